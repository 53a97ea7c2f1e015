"""Which of two results is better, on the same images?"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from cnn.comparison.noise import Noise
from cnn.comparison.paired import LEVEL, Paired, Z
from cnn.comparison.revisions import METRICS, Result
from cnn.results import intervals, metrics
from cnn.results.metrics import Answers

BETTER, WORSE, NO_EVIDENCE = "better", "worse", "no evidence of a difference"
NOT_COMPARABLE = "not comparable"
KEYS = ["image", "actual", "copy"]


class Row(NamedTuple):
    """A metric of both results; difference: the second's less the first's, with its paired 95 % interval."""

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float


class Comparison(NamedTuple):
    """What can be said of two results on one split. verdict: of the second one, in the words above.

    changed: the images on which only one of them is right: image, index, actual, a, b (class numbers), gained.
    """

    split: str
    verdict: str
    reason: str
    paired: Paired
    p_value: float
    metrics: list[Row]
    changed: pd.DataFrame

    @property
    def comparable(self) -> bool:
        """Whether both were measured on the same images."""
        return not self.verdict.startswith(NOT_COMPARABLE)


def compare(a: Result, b: Result, split: str = "validation", noise: Noise | None = None) -> Comparison:
    """Compare b with a. noise: of one of them; without evidence that goes beyond it no verdict is better or worse."""
    one, other = keyed(a, split), keyed(b, split)
    if reason := why_not(a, b, one, other, split):
        nothing = Paired(0, 0, 0)
        return Comparison(split, f"{NOT_COMPARABLE}: {reason}", "", nothing, 1.0, [], pd.DataFrame())
    # In an order of the images' own, so that A against B mirrors B against A, and both bootstraps draw the same.
    both = one.merge(other, on=KEYS, suffixes=("_a", "_b")).sort_values(KEYS)
    right_a, right_b = (both[f"predicted_{name}"] == both["actual"] for name in "ab")
    paired = Paired(len(both), int((right_b & ~right_a).sum()), int((right_a & ~right_b).sum()))
    verdict, reason = _judge(paired, noise.limit(f"{split}.accuracy") if noise else None)
    columns = {"image": "image", "index_b": "index", "actual": "actual", "predicted_a": "a", "predicted_b": "b"}
    changed = both[right_a != right_b].rename(columns=columns)[list(columns.values())]
    changed = changed.assign(gained=changed["b"] == changed["actual"]).sort_values(
        ["gained", "index"], ascending=[True, True]
    )
    rows = _rows(_answers(both, "a", len(a.classes)), _answers(both, "b", len(a.classes)), paired)
    return Comparison(split, verdict, reason, paired, paired.p_value(), rows, changed)


def doubts(results: list[Result]) -> list[str]:
    """What makes each of the results doubtful, with its name."""
    return [f"{result.name}: {note}" for result in results for note in result.notes]


def keyed(result: Result, split: str) -> pd.DataFrame:
    """The rows of a split. KEYS name an image: its pixels and its class; `copy` counts those that occur again."""
    table = result.predictions[result.predictions["split"] == split]
    return table.assign(copy=table.groupby(["image", "actual"]).cumcount())


def why_not(a: Result, b: Result, one: pd.DataFrame, other: pd.DataFrame, split: str) -> str:
    """Why the two cannot be compared; nothing where they can."""
    if a.classes != b.classes:
        return f"other classes ({len(a.classes)} and {len(b.classes)}, by name and order)"
    if one.empty and other.empty:
        return f"no {split} images (preprocess.validation_fraction is 0)"
    common = len(one[KEYS].merge(other[KEYS]))
    if common < max(len(one), len(other)):
        if sorted(one["image"]) == sorted(other["image"]):
            return f"other classes for {len(one) - common:,} of the same {split} images"
        return f"other {split} images ({len(one):,} and {len(other):,}, of which {common:,} are the same)"
    return ""


def _judge(paired: Paired, limit: float | None) -> tuple[str, str]:
    """The verdict and the reason for it. limit: the difference up to which the seed alone is to be expected."""
    p = paired.p_value()
    if not paired.changed:
        return NO_EVIDENCE, f"No image changed sides: both are right on the same ones of {paired.n:,}."
    sides = f"{paired.gained:,} gained, {paired.lost:,} lost of {paired.n:,} images: p = {p:.2g}"
    test = f"{sides} (McNemar's exact test, level {LEVEL})."
    if p >= LEVEL:
        if limit is not None and limit > paired.detectable():
            return NO_EVIDENCE, f"{test} None below {limit:.4f}, the seed's noise, would be evidence here."
        seen = f"A difference of {paired.detectable():.4f} would be seen here 8 times in 10, a smaller one less often."
        return NO_EVIDENCE, f"{test} {seen}"
    if limit is not None and abs(paired.difference) < limit:
        return NO_EVIDENCE, (
            f"{test} But {paired.difference:+.4f} is below the seed's noise: two runs that differ in the seed alone "
            f"differ by up to {limit:.4f} in 95 of 100 cases."
        )
    return (BETTER if paired.gained > paired.lost else WORSE), test


def _answers(both: pd.DataFrame, name: str, classes: int) -> Answers:
    predicted, confidence, likelihood = (
        both[f"{column}_{name}"].to_numpy() for column in ("predicted", "confidence", "likelihood")
    )
    return Answers(both["actual"].to_numpy(), predicted, confidence, likelihood, classes)


def _rows(a: Answers, b: Answers, paired: Paired) -> list[Row]:
    """Each metric; the intervals of those that are no shares from the same resamples of the images for both."""
    measured_a, measured_b = metrics.measure(a), metrics.measure(b)
    drawn_a, drawn_b = intervals.resample(a), intervals.resample(b)
    rows = []
    for name in METRICS:
        difference = measured_b[name] - measured_a[name]
        if name == "accuracy":
            low, high = paired.interval()
        else:
            half = Z * float(np.std(drawn_b[name] - drawn_a[name], ddof=1))
            low, high = difference - half, difference + half
        if name == "calibration_error":
            # Chance raises that of a calibrated network, hardly that of a badly calibrated one: it is no part of both.
            low -= intervals.chance(measured_b[name], drawn_b[name])
            high += intervals.chance(measured_a[name], drawn_a[name])
        rows.append(Row(name, measured_a[name], measured_b[name], difference, low, high))
    return rows
