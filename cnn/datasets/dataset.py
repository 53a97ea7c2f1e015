"""A data set as preprocess reads it, whatever its format: images of the size that the network sees."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnn.datasets import pictures
from cnn.process.errors import InputError
from cnn.settings.schema import Preprocess
from cnn.storage import pieces


class Part(NamedTuple):
    """Images that belong together, and their labels (n,) uint8.

    pieces: reads the images, in the order of the labels, as often as it is called: (some, height, width, channels)
    uint8.
    """

    labels: NDArray[np.uint8]
    pieces: Callable[[], Iterable[NDArray[np.uint8]]]


class DataSet(NamedTuple):
    """parts: "train", and "validation" and "test" where the data set has them. unreadable: pictures left out."""

    name: str
    classes: list[str]
    parts: dict[str, Part]
    unreadable: int = 0


def fitted(arrays: Iterable[NDArray[np.uint8]], options: Preprocess) -> Iterator[NDArray[np.uint8]]:
    """Images (some, height, width[, channels]) of any size, made to be of the size wanted."""
    for images in arrays:
        if images.ndim == 3:
            images = images[..., np.newaxis]
        if images.shape[1:] == options.image.shape:
            yield images
        else:
            most = pieces.rows(options.image.shape)
            for start in range(0, len(images), most):
                some = images[start : start + most]
                yield np.stack([pictures.pixels(_picture(image), options) for image in some])


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def require_classes(place: object, labels: NDArray[np.integer], classes: list[str]) -> None:
    """Raise InputError where a label has no class, or a class has no image."""
    counts = np.bincount(labels, minlength=len(classes))
    if len(counts) > len(classes):
        raise InputError(f"{place}: expected labels from 0 to {len(classes) - 1}. Received: {labels.max()}.")
    if not counts.all():
        empty = [classes[label] for label in np.flatnonzero(counts == 0)]
        raise InputError(f"{place}: expected images of every class. Received: none of {', '.join(empty)}.")
