"""Cut splits from images, with equal shares of each class."""

import math

import numpy as np
from numpy.typing import NDArray

from cnn.datasets.duplicates import ALONE
from cnn.process.errors import InputError
from cnn.storage.arrays import SPLITS


def assign(
    labels: NDArray[np.uint8], groups: NDArray[np.int32], classes: list[str], fractions: dict[str, float], seed: int
) -> NDArray[np.int8]:
    """Choose a split for each image: (n,) indices into SPLITS, stratified by class, equal images in the same split.

    groups: equal images have the same number. fractions: which splits are cut, in this order, and the share of what
    is left then. Raises InputError where a class is too small for that.
    """
    train = SPLITS.index("train")
    split_of = np.full(len(labels), train, np.int8)
    (equal,) = np.nonzero(groups != ALONE)
    _, first, member = np.unique(groups[equal], return_index=True, return_inverse=True)
    split_of[equal] = len(SPLITS)  # not to be chosen: the first of each group decides for the others
    split_of[equal[first]] = train
    for split, fraction in fractions.items():
        if fraction:
            rest = np.flatnonzero(split_of == train)
            chosen = _chosen(f"preprocess.{split}_fraction", fraction, labels[rest], classes, seed)
            split_of[rest[chosen]] = SPLITS.index(split)
    split_of[equal] = split_of[equal[first]][member]
    return split_of


def _chosen(name: str, fraction: float, labels: NDArray[np.uint8], classes: list[str], seed: int) -> NDArray[np.intp]:
    """Draw a share of the images of each class: their places in `labels`. Raises InputError."""
    from sklearn.model_selection import train_test_split  # here: it takes two seconds to import

    _require_enough(name, fraction, labels, classes)
    rest, chosen = train_test_split(np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=labels)
    for side, places in (("for", chosen), ("besides", rest)):
        counts = np.bincount(labels[places], minlength=len(classes))
        if not counts.all():
            smallest = int(counts.argmin())
            raise InputError(
                f"{name}: expected enough images of each class for a share of {fraction} and for the rest. Received: "
                f"{np.sum(labels == smallest)} different ones of {classes[smallest]!r}, so none {side} this share."
            )
    return chosen


def _require_enough(name: str, fraction: float, labels: NDArray[np.uint8], classes: list[str]) -> None:
    """Raise InputError where a class cannot be on both sides of a split."""
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < 2:
        smallest = classes[int(counts.argmin())]
        raise InputError(
            f"{name}: expected at least 2 different images of each class to split. Received: {counts.min()} of "
            f"{smallest!r}."
        )
    chosen = math.ceil(fraction * len(labels))  # as scikit-learn rounds
    if not len(counts) <= chosen <= len(labels) - len(counts):
        raise InputError(
            f"{name}: expected {len(counts)} to {len(labels) - len(counts)} of {len(labels)} images, one of each class "
            f"on both sides. Received: {fraction}, which is {chosen}."
        )
