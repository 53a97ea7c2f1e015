"""Equal images: found by a hash of their pixels, so that none has to be in memory."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from cnn.datasets.dataset import Part
from cnn.process.errors import InputError
from cnn.storage.arrays import SPLITS

Digests = NDArray[np.bytes_]  # (n,), 16 bytes an image


def digests_of(part: Part) -> Digests:
    """The hash of each image of a part."""
    hashes = (hashlib.blake2b(image, digest_size=16).digest() for images in part.pieces() for image in images)
    return np.fromiter(hashes, "S16", len(part.labels))


def allowed(digests: dict[str, Digests], drop: bool) -> dict[str, NDArray[np.bool_]]:
    """Which images of each part of a data set are in none of the parts after it (train, validation, test): (n,) each.

    Raises InputError where some are, and are not to be dropped.
    """
    marks = {}
    for place, part in enumerate(SPLITS):
        if part in digests:
            later = [digests[other] for other in SPLITS[place + 1 :] if other in digests]
            marks[part] = ~np.isin(digests[part], np.concatenate(later)) if later else np.ones(len(digests[part]), bool)
    for place, used in ((2, "trained or tuned on"), (1, "trained on")):
        before = [digests[part] for part in SPLITS[:place] if part in digests]
        leaked = len(np.intersect1d(np.concatenate(before), digests.get(SPLITS[place], [])))
        if leaked and not drop:
            raise InputError(
                f"expected no image of the {SPLITS[place]} set among those {used}. Received: {leaked}. Remove the "
                "duplicates from the data set, or set preprocess.duplicates to drop: a test on images seen before "
                "proves nothing."
            )
    return marks


def contradictory(parts: dict[str, Part], digests: dict[str, Digests]) -> int:
    """How many images have an equal one in another class."""
    names = np.concatenate([part.labels for part in parts.values()])
    images, group = np.unique(np.concatenate([digests[part] for part in parts]), return_inverse=True)
    lowest, highest = np.full(len(images), 255), np.zeros(len(images), int)
    np.minimum.at(lowest, group, names)
    np.maximum.at(highest, group, names)
    return int(np.sum((lowest != highest)[group]))
