"""95 % intervals of metrics, the same bits on every CPU. Free of TensorFlow.

Shares have Wilson's interval. The others are measured on 999 resamples of the images, drawn with replacement (the
bootstrap: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993).
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn.network.loss import cross_entropy
from cnn.results import metrics
from cnn.results.metrics import Answers

Z = 1.959963984540054  # the 97.5 % point of the normal distribution
RESAMPLES = 999  # then the 25th and the 975th in order are the ends of the middle 95 %
SEED = 0
WILSON, BOOTSTRAP = "95 % Wilson", "95 % bootstrap"


class Interval(NamedTuple):
    """Where a metric lies with 95 % confidence; `kind`: the level and the method."""

    low: float
    high: float
    kind: str


def intervals(answers: Answers) -> dict[str, Interval]:
    """The interval of each metric that `metrics.measure` gives."""
    n, counts = len(answers.actual), metrics.count(answers)
    drawn = resample(answers)
    values = metrics.measure(answers)
    return {
        "accuracy": Interval(*wilson_interval(int(counts.right.sum()), n), WILSON),
        "loss": Interval(*percentiles(drawn["loss"]), BOOTSTRAP),
        "macro_f1": Interval(*percentiles(drawn["macro_f1"]), BOOTSTRAP),
        "worst_class_recall": Interval(*worst_class_interval(counts), WILSON),
        "calibration_error": Interval(
            *calibration_interval(values["calibration_error"], drawn["calibration_error"]), BOOTSTRAP
        ),
    }


def wilson_interval(successes: int, n: int, z: float = Z) -> tuple[float, float]:
    """The interval of a share (E. B. Wilson, J. Amer. Statist. Assoc. 22, 1927, 209-212), by default at 95 %."""
    share, square = successes / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def worst_class_interval(counts: metrics.Counts) -> tuple[float, float]:
    """The interval of the lowest recall of a class.

    It is chosen among k classes. With Bonferroni's correction all k intervals hold their recall at once with 95 %
    confidence, and then the lowest recall lies between the lowest of their lower and the lowest of their upper ends.
    """
    there = counts.actual > 0
    z = corrected_z(int(np.count_nonzero(there)))
    pairs = zip(counts.right[there].tolist(), counts.actual[there].tolist(), strict=True)
    lows, highs = zip(*(wilson_interval(right, actual, z) for right, actual in pairs), strict=True)
    return min(lows), min(highs)


def corrected_z(count: int) -> float:
    """The point of the normal distribution for `count` intervals that hold together with 95 %.

    Six decimals: so the last bits of the C library's logarithm decide nothing.
    """
    return round(NormalDist().inv_cdf(1 - 0.025 / count), 6)


def resample(answers: Answers) -> dict[str, NDArray[np.float64]]:
    """Loss, macro_f1 and calibration_error of each resample (RESAMPLES,).

    For the same n the same images are drawn, so that two networks on the same images can be compared resample by
    resample. Integers are drawn, and sums are taken in a fixed order: the same bits on every CPU.
    """
    random, n, k = np.random.default_rng(SEED), len(answers.actual), answers.classes
    losses, bins = cross_entropy(answers.likelihood), metrics.bin_of(answers.confidence)
    gaps = (answers.actual == answers.predicted) - answers.confidence.astype(np.float64)
    pairs = answers.actual * k + answers.predicted
    drawn = {name: np.empty(RESAMPLES) for name in ("loss", "macro_f1", "calibration_error")}
    for number in range(RESAMPLES):
        rows = random.integers(n, size=n)
        counts = metrics.counts_of(np.bincount(pairs[rows], minlength=k * k).reshape(k, k))
        drawn["loss"][number] = losses[rows].sum() / n
        drawn["macro_f1"][number] = metrics.f1(counts).sum() / k
        drawn["calibration_error"][number] = np.abs(np.bincount(bins[rows], weights=gaps[rows])).sum() / n
    return drawn


def percentiles(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the middle 95 % of the resamples."""
    ordered = np.sort(drawn)
    return float(ordered[24]), float(ordered[-25])


def calibration_interval(value: float, drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The interval of a calibration error: the value, 1.96 standard deviations of the resamples to each side.

    The lower end goes down by what chance may have added.
    """
    half = Z * float(drawn.std(ddof=1))
    return max(value - chance(value, drawn) - half, 0.0), min(value + half, 1.0)


def chance(value: float, drawn: NDArray[np.float64]) -> float:
    """By how much chance alone may have raised a calibration error. drawn: that of the resamples.

    A sum of absolute values is too large by chance alone. Of a perfectly calibrated network the value is all chance,
    and the resamples, with twice its variance, are larger by a factor of sqrt(2): so it is their excess over the value
    divided by sqrt(2) - 1. Where calibration is bad, there is hardly any excess.
    """
    return max(float(drawn.mean()) - value, 0.0) / (math.sqrt(2) - 1)
