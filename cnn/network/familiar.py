"""Does an image look like those that a network was trained on? Free of TensorFlow.

A network answers anything, and often surely. So a model keeps coarse descriptions of some of its training images; an
image is unfamiliar where it lies farther from them than 99 of 100 validation images do. Distance to the k-th nearest
neighbour, as in Y. Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors (arXiv:2204.06507), but of
pixels: in a small network's features, inverted images and noise look familiar.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn.storage import arrays

GRID = 4  # an image is described by the mean and the standard deviation of 4 x 4 fields of each channel
KEPT = 500  # descriptions of training images that are kept, and validation images measured, evenly spaced
NEIGHBOUR = 5
SHARE = 0.01  # of validation images that count as unfamiliar


class Familiar(NamedTuple):
    """reference: descriptions (k, 2 * GRID**2 * channels) float32; limit: the distance up to which all is familiar."""

    reference: NDArray[np.float32]
    limit: float

    def knows(self, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Say of each image (n, height, width, channels) whether it looks like those trained on."""
        return distances(describe(images), self.reference) <= self.limit


def learn(images: NDArray[np.uint8], validation: NDArray[np.uint8]) -> Familiar:
    """Describe training images (n, height, width, channels); the limit is what 1 % of validation images exceed.

    Without validation images the limit is infinite: nothing is called unfamiliar.
    """
    reference = describe(arrays.take(images, _spaced(len(images)))).astype(np.float32)
    if not len(validation):
        return Familiar(reference, float("inf"))
    held_out = np.sort(distances(describe(arrays.take(validation, _spaced(len(validation)))), reference))
    return Familiar(reference, float(held_out[int((1 - SHARE) * (len(held_out) - 1))]))


def describe(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean and standard deviation, from 0 to 1, of each field of each channel: (n, 2 * GRID**2 * channels).

    Sums of whole numbers: the same bits on every CPU. An image of fewer than GRID pixels has fewer fields.
    """
    height, width = images.shape[1:3]
    rows, columns = (np.unique(np.arange(min(GRID, side)) * side // min(GRID, side)) for side in (height, width))
    values = images.astype(np.int64)
    sums, squares = (
        np.add.reduceat(np.add.reduceat(one, rows, axis=1), columns, axis=2) for one in (values, values * values)
    )
    sizes = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))[:, :, None]
    deviation = np.sqrt((squares * sizes - sums * sums) / sizes**2)
    return np.concatenate([sums / sizes, deviation], axis=3).reshape(len(images), -1) / 255


def distances(descriptions: NDArray[np.float64], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    """The squared distance of each description to its fifth nearest one of the reference."""
    nearest = min(NEIGHBOUR, len(reference)) - 1
    # One after the other, and without matrix products, whose last bits depend on the CPU.
    every = (np.partition(((one - reference) ** 2).sum(axis=1), nearest)[nearest] for one in descriptions)
    return np.fromiter(every, np.float64, len(descriptions))


def _spaced(count: int) -> NDArray[np.intp]:
    """Up to KEPT rows, evenly spaced."""
    return np.arange(min(count, KEPT)) * count // min(count, KEPT)
