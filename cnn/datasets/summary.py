"""What is in the splits: images per class, pixel statistics, duplicates."""

import math
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn.datasets import duplicates
from cnn.datasets.dataset import DataSet
from cnn.datasets.duplicates import Groups
from cnn.settings.schema import Preprocess

UNEQUAL = 10  # times as many images in one class as in another: said


class Tally:
    """What the summary says of a split, gathered a piece at a time."""

    def __init__(self, classes: int):
        self.per_class = np.zeros(classes, np.int64)
        # Integers: the same sums on every CPU, in whatever order they are added.
        self.values = self.total = self.squares = 0

    def add(self, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        """Count images (n, ...) and their labels (n,)."""
        histogram = np.bincount(images.ravel(), minlength=256)
        pixels = np.arange(256)
        self.per_class += np.bincount(labels, minlength=len(self.per_class))
        self.values += images.size
        self.total += int(histogram @ pixels)
        self.squares += int(histogram @ pixels**2)

    def summary(self) -> dict[str, Any]:
        """Counts; mean and standard deviation of the pixels (0 to 255), None where there are none."""
        mean = self.total / self.values if self.values else None
        variance = (self.squares * self.values - self.total**2) / self.values**2 if self.values else None
        return {
            "images": int(self.per_class.sum()),
            "per_class": self.per_class.tolist(),
            "mean": mean,
            "standard_deviation": math.sqrt(variance) if variance is not None else None,
        }


def summarize(
    data: DataSet, options: Preprocess, tallies: dict[str, Tally], groups: Groups, found: dict[str, int]
) -> dict[str, Any]:
    """Describe the splits.

    groups: of each image of each split. found: what was left out, or is odd, and how many images; said where there
    are some.
    """
    different = {split: duplicates.different(group) for split, group in groups.items()}
    equal = {split: int(np.sum(group != duplicates.ALONE)) - len(different[split]) for split, group in groups.items()}
    return {
        "dataset": data.name,
        "shape": list(options.image.shape),
        "fit": options.fit,
        "classes": data.classes,
        **{split: tally.summary() | {"duplicates": equal[split]} for split, tally in tallies.items()},
        "duplicates_across": {
            f"{one}-{other}": len(np.intersect1d(different[one], different[other], assume_unique=True))
            for one, other in combinations(tallies, 2)
        },
        **{key: count for key, count in found.items() if count},
    }


def notes(summary: dict[str, Any]) -> list[str]:
    """A line for each thing that whoever trains on the splits should know."""
    lines = []
    per_class = summary["train"]["per_class"]
    few, many = min(per_class), max(per_class)
    if many >= UNEQUAL * few:
        names = [f"{count:,} of {summary['classes'][per_class.index(count)]!r}" for count in (few, many)]
        lines.append(f"classes of very different sizes: {' and '.join(names)} to train on")
    if summary.get("dropped"):
        lines.append(f"{summary['dropped']:,} images dropped: they are in the test or the validation set as well")
    if summary.get("contradictory"):
        lines.append(f"{summary['contradictory']:,} images have an equal one in another class")
    return lines
