"""Which of several results is best, and which cannot be told apart from it?"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn.comparison.noise import Noise
from cnn.comparison.paired import LEVEL, Paired, holm
from cnn.comparison.revisions import Result
from cnn.comparison.verdict import KEYS, NOT_COMPARABLE, keyed, why_not

FIRST, WORSE, TOGETHER = "first", "worse than the first", "not told apart from the first"


class Ranked(NamedTuple):
    """A result's place. p_value: of the difference from the first one, corrected for all pairs; 1 for the first."""

    result: Result
    place: str
    p_value: float


def rank(results: list[Result], split: str = "validation", noise: Noise | None = None) -> list[Ranked]:
    """Rank results by accuracy (then loss) on a split; at the end those that have other images than the first named.

    The first one is chosen by looking at all, so p-values are corrected for all pairs, by Holm's method: among results
    that are equally good, one is called worse in at most 5 of 100 such rankings.
    """
    tables = [keyed(result, split) for result in results]
    reasons = [
        why_not(results[0], result, tables[0], table, split) for result, table in zip(results, tables, strict=True)
    ]
    comparable = [index for index, reason in enumerate(reasons) if not reason]
    order = sorted(comparable, key=lambda index: _quality(results[index], split))
    sorted_tables = [tables[index].sort_values(KEYS) for index in order]
    right = [(table["actual"] == table["predicted"]).to_numpy() for table in sorted_tables]
    limit = noise.limit(f"{split}.accuracy") if noise else 0.0
    ranked = [Ranked(results[index], *place) for index, place in zip(order, places(right, limit), strict=True)]
    others = [(result, reason) for result, reason in zip(results, reasons, strict=True) if reason]
    return ranked + [Ranked(result, f"{NOT_COMPARABLE}: {reason}", 1.0) for result, reason in others]


def places(right: list[NDArray[np.bool_]], limit: float = 0.0) -> list[tuple[str, float]]:
    """The place and the corrected p-value of each classifier. right: (n,) each, on the same images, the best first.

    limit: the difference in accuracy below which none is called worse.
    """
    pairs = {(one, other): _paired(right[one], right[other]) for one, other in combinations(range(len(right)), 2)}
    corrected = dict(zip(pairs, holm([pair.p_value() for pair in pairs.values()]), strict=True))
    found = [(FIRST, 1.0)] * bool(right)
    for other in range(1, len(right)):
        lead, p_value = -pairs[0, other].difference, corrected[0, other]
        found.append((WORSE if p_value < LEVEL and lead > 0 and lead >= limit else TOGETHER, p_value))
    return found


def _quality(result: Result, split: str) -> tuple[float, float]:
    return -result.details[split, "accuracy"]["value"], result.details[split, "loss"]["value"]


def _paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    return Paired(len(first), int((second & ~first).sum()), int((first & ~second).sum()))
