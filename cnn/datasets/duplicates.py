"""Equal images: found by a hash of their pixels, so that none has to be in memory."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from cnn.datasets.dataset import Part
from cnn.process.errors import InputError
from cnn.storage.arrays import SPLITS

ALONE = -1
PIECE = 1 << 16  # hashes compared at a time
# The group of each image of a part: (n,) the same number for equal images, of all parts; ALONE for one without equals.
Groups = dict[str, NDArray[np.int32]]


def find(parts: dict[str, Part]) -> Groups:
    """Which images are equal, to the pixel. While it works, it takes 32 bytes an image in memory."""
    digests = {name: _digests(part) for name, part in parts.items()}
    ordered = np.concatenate(list(digests.values()))
    ordered.sort()
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    return {name: _numbers(values, several) for name, values in digests.items()}


def _digests(part: Part) -> NDArray[np.bytes_]:
    """The hash of each image: (n,), 16 bytes each."""
    hashes = (hashlib.blake2b(image, digest_size=16).digest() for images in part.pieces() for image in images)
    return np.fromiter(hashes, "S16", len(part.labels))


def _numbers(values: NDArray[np.bytes_], several: NDArray[np.bytes_]) -> NDArray[np.int32]:
    """Where each value stands in the ordered values `several`; ALONE for one that is none of them."""
    numbers = np.full(len(values), ALONE, np.int32)
    for start in range(0, len(values) if len(several) else 0, PIECE):
        some = values[start : start + PIECE]
        places = np.minimum(np.searchsorted(several, some), len(several) - 1)
        numbers[start : start + PIECE] = np.where(several[places] == some, places, ALONE)
    return numbers


def different(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """The groups that images are of, each once."""
    return np.unique(groups[groups != ALONE])


def allowed(groups: Groups, drop: bool) -> dict[str, NDArray[np.bool_]]:
    """Which images of each part of a data set have no equal in the parts after it (train, validation, test): (n,) each.

    Raises InputError where some have, and are not to be dropped.
    """
    marks = {}
    for place, part in enumerate(SPLITS):
        if part in groups:
            later = [different(groups[other]) for other in SPLITS[place + 1 :] if other in groups]
            marks[part] = ~np.isin(groups[part], np.concatenate([[ALONE - 1], *later]))
    for place, used in ((2, "trained or tuned on"), (1, "trained on")):
        before = [different(groups[part]) for part in SPLITS[:place] if part in groups]
        here = different(groups.get(SPLITS[place], np.empty(0, np.int32)))
        if (leaked := np.isin(here, np.concatenate(before)).sum()) and not drop:
            raise InputError(
                f"expected no image of the {SPLITS[place]} set among those {used}. Received: {leaked}. Remove the "
                "duplicates from the data set, or set preprocess.duplicates to drop: a test on images seen before "
                "proves nothing."
            )
    return marks


def contradictory(parts: dict[str, Part], groups: Groups) -> int:
    """How many images have an equal one in another class."""
    group = np.concatenate([groups[name] for name in parts])
    labels = np.concatenate([part.labels for part in parts.values()])[group != ALONE]
    group = group[group != ALONE]
    lowest, highest = (np.full(group.max(initial=ALONE) + 1, value) for value in (255, 0))
    np.minimum.at(lowest, group, labels)
    np.maximum.at(highest, group, labels)
    return int(np.sum((lowest != highest)[group]))
