"""What is in the splits: images per class, pixel statistics, duplicates."""

import hashlib
import math
from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn.process.errors import InputError
from cnn.settings.catalogue import About


class Tally:
    """What the summary says of a split, gathered a piece at a time."""

    def __init__(self, classes: int):
        self.per_class = np.zeros(classes, np.int64)
        # Integers: the same sums on every CPU, in whatever order they are added.
        self.values = self.total = self.squares = 0
        self.seen: Counter[bytes] = Counter()

    def add(self, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        """Count images (n, ...) and their labels (n,)."""
        histogram = np.bincount(images.ravel(), minlength=256)
        pixels = np.arange(256)
        self.per_class += np.bincount(labels, minlength=len(self.per_class))
        self.values += images.size
        self.total += int(histogram @ pixels)
        self.squares += int(histogram @ pixels**2)
        self.seen.update(hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)

    def summary(self) -> dict[str, Any]:
        """Counts; mean and standard deviation of the pixels (0 to 255), None where there are none."""
        mean = self.total / self.values if self.values else None
        variance = (self.squares * self.values - self.total**2) / self.values**2 if self.values else None
        return {
            "images": int(self.per_class.sum()),
            "per_class": self.per_class.tolist(),
            "mean": mean,
            "standard_deviation": math.sqrt(variance) if variance is not None else None,
            "duplicates": self.seen.total() - len(self.seen),
        }


def summarize(about: About, tallies: dict[str, Tally]) -> dict[str, Any]:
    """Describe the splits. Raises InputError where an image of the test set is in another one as well."""
    across = {
        f"{one}-{other}": len(tallies[one].seen.keys() & tallies[other].seen.keys())
        for one, other in combinations(tallies, 2)
    }
    leaked = across["train-test"] + across["validation-test"]
    if leaked:
        raise InputError(
            f"expected no image of the test set among those trained or tuned on. Received: {leaked}. "
            "Remove the duplicates from the data set: a test on images seen before proves nothing."
        )
    return {
        "dataset": about.name,
        "shape": about.shape,
        "classes": about.classes,
        **{split: tally.summary() for split, tally in tallies.items()},
        "duplicates_across": across,
    }
