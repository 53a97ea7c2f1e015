"""Results made up for tests: which images a classifier has right, and all else that follows."""

import numpy as np
import pandas as pd

from cnn.comparison.revisions import Result
from cnn.results import intervals, metrics
from cnn.results.metrics import Answers

CLASSES = ["ant", "bee", "cat"]


def images(n, seed=0):
    """Names of n images, as predictions.csv has them."""
    return [bytes(name).hex() for name in np.random.default_rng(seed).integers(0, 256, (n, 8), np.uint8)]


def rows(right, named=None, split="validation", seed=0, classes=CLASSES):
    """Rows of predictions.csv. right: (n,) bool; image number i is of class i modulo the number of classes."""
    n, k, random = len(right), len(classes), np.random.default_rng(seed)
    actual = np.arange(n) % k
    predicted = np.where(right, actual, (actual + 1) % k)
    confidence = (1 / k + (1 - 1 / k) * random.random(n)).round(6)
    likelihood = np.where(right, confidence, (1 - confidence) / 2)
    columns = {"image": images(n) if named is None else named, "actual": actual, "predicted": predicted}
    return pd.DataFrame({"split": split, "index": range(n), **columns, "confidence": confidence}).assign(
        likelihood=likelihood
    )


def answers(table, classes=CLASSES):
    """The rows of a split, as `metrics.measure` takes them."""
    arrays = (table[name].to_numpy() for name in ("actual", "predicted", "confidence", "likelihood"))
    return Answers(*arrays, len(classes))


def result(name, *tables, classes=CLASSES):
    """A Result with these rows of predictions.csv, and the details that belong to them."""
    details = {}
    for table in tables:
        values, limits = (measure(answers(table, classes)) for measure in (metrics.measure, intervals.intervals))
        for metric, value in values.items():
            low, high, kind = limits[metric]
            row = {"value": value, "low": low, "high": high, "interval": kind}
            details[table["split"].iloc[0], metric] = row
    predictions = pd.concat([rows(np.zeros(0, bool)), *tables], ignore_index=True)
    return Result(name, "", {}, {}, {}, list(classes), predictions, details, [])


def pair(n, gained, lost, both_wrong=0):
    """Two results on n validation images; on so many only the second, or only the first, is right."""
    sides = np.repeat([0, 1, 2, 3], [gained, lost, both_wrong, n - gained - lost - both_wrong])
    sides = np.random.default_rng(0).permutation(sides)
    return result("a", rows(sides % 2 == 1, seed=1)), result("b", rows(sides % 3 == 0, seed=2))
