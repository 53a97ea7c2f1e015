"""Two classifiers on the same images: statistics of those on which only one of them is right."""

import math
from itertools import accumulate
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.05  # how often a test may see a difference where there is none
Z = NormalDist().inv_cdf(1 - LEVEL / 2)
POWER = 0.8


class Paired(NamedTuple):
    """n images; on `gained` of them only the second classifier is right, on `lost` only the first."""

    n: int
    gained: int
    lost: int

    @property
    def changed(self) -> int:
        """The images that changed sides."""
        return self.gained + self.lost

    @property
    def difference(self) -> float:
        """The second's accuracy less the first's."""
        return (self.gained - self.lost) / self.n

    def p_value(self) -> float:
        """McNemar's exact test, two-sided (Q. McNemar, Psychometrika 12, 1947, 153-157).

        Without a difference each image that changed sides did so either way with probability 1/2. Exact: the
        binomial sum is taken in whole numbers, of any size.
        """
        term, tail = 1, 1
        for k in range(1, min(self.gained, self.lost) + 1):
            term = term * (self.changed - k + 1) // k
            tail += term
        return min(1.0, 2 * tail / 2**self.changed)

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference. It leaves 0 out just when the p-value is below 0.05 (as tests hold).

        D. Bonett and R. Price's adjusted Wald interval (J. Educ. Behav. Stat. 37, 2012, 479-488), widened to the
        exact test's own where that reaches further.
        """
        n, gained, lost = self.n + 2, self.gained + 1, self.lost + 1
        centre = (gained - lost) / n
        half = Z * math.sqrt(((gained + lost) / n - centre * centre) / n)
        low, high = self._exact_interval()
        return max(min(centre - half, low), -1.0), min(max(centre + half, high), 1.0)

    def _exact_interval(self) -> tuple[float, float]:
        """C. Clopper and E. Pearson's interval (Biometrika 26, 1934, 404-413) of the share of the gained among the
        changed, carried over to the difference."""
        if not self.changed:
            return 0.0, 0.0
        low, high = clopper_pearson(self.gained, self.changed)
        return (2 * low - 1) * self.changed / self.n, (2 * high - 1) * self.changed / self.n

    def detectable(self) -> float:
        """The smallest difference that these images show 8 times in 10, where as many change sides as here.

        The usual normal approximation: z = z(1 - level / 2) + z(power) standard deviations. A difference of so many
        takes z squared changed images, if all go one way; so fewer are not counted.
        """
        z = Z + NormalDist().inv_cdf(POWER)
        return min(z * math.sqrt(max(self.changed, z * z)) / self.n, 1.0)


def clopper_pearson(successes: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share."""
    from scipy.special import betaincinv

    low = betaincinv(successes, n - successes + 1, LEVEL / 2) if successes else 0.0
    high = betaincinv(successes + 1, n - successes, 1 - LEVEL / 2) if successes < n else 1.0
    return float(low), float(high)


def holm(p_values: list[float]) -> list[float]:
    """P-values corrected for being several (S. Holm, Scand. J. Statist. 6, 1979, 65-70), in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = accumulate((p_values[index] * (len(order) - rank) for rank, index in enumerate(order)), max)
    by_index = dict(zip(order, corrected, strict=True))
    return [min(by_index[index], 1.0) for index in range(len(p_values))]
