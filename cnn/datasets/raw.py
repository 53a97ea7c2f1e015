"""Read the raw files of a data set, held against what the catalogue says of it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cnn.process.errors import InputError
from cnn.settings.catalogue import About
from cnn.storage import idx


def read_about(path: Path) -> About:
    """Read what the catalogue says of the data set: the file dataset.json. Raises InputError."""
    try:
        about = About.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{path}: expected what download writes: {error.errors()[0]['msg']}. Run `dvc repro`."
        ) from None
    if about.shape[2] != 1:
        raise InputError(f"{path}: expected 1 channel: IDX images are grey. Received: {about.shape[2]}.")
    return about


def read_labels(raw: Path, part: str, about: About) -> NDArray[np.uint8]:
    """Read the labels of a part ("train" or "test") of a data set: (n,) uint8. Raises InputError."""
    path = raw / about.files[f"{part}_labels"]
    shape = idx.idx_shape(path)
    images = idx.idx_shape(raw / about.files[f"{part}_images"])
    if len(shape) != 1 or len(images) != 3:
        raise InputError(f"{path}: expected labels in one dimension, images in three. Received: {shape} and {images}.")
    if shape[0] != images[0]:
        raise InputError(f"{path}: expected as many labels as images. Received: {shape[0]} and {images[0]}.")
    if shape[0] == 0:
        raise InputError(f"{path}: expected images. Received: none.")
    if list(images[1:]) != about.shape[:2]:
        raise InputError(f"{path}: expected images of {about.shape[:2]} pixels. Received: {list(images[1:])}.")
    labels = np.concatenate(list(idx.idx_rows(path)))
    _require_classes(path, labels, about.classes)
    return labels


def _require_classes(path: Path, labels: NDArray[np.uint8], classes: list[str]) -> None:
    """Raise InputError where a label has no class, or a class has no image."""
    counts = np.bincount(labels, minlength=len(classes))
    if len(counts) > len(classes):
        raise InputError(f"{path}: expected labels from 0 to {len(classes) - 1}. Received: {labels.max()}.")
    if not counts.all():
        empty = [classes[label] for label in np.flatnonzero(counts == 0)]
        raise InputError(f"{path}: expected images of every class. Received: none of {', '.join(empty)}.")
