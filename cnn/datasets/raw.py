"""Read the IDX files of a published data set, held against what the catalogue says of it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cnn.datasets import dataset
from cnn.datasets.dataset import DataSet, Part
from cnn.process.errors import InputError
from cnn.settings.local import AboutLocal
from cnn.settings.published import About
from cnn.settings.schema import Preprocess
from cnn.storage import idx


def read_about(path: Path) -> About | AboutLocal:
    """Read what the catalogue says of the data set: the file dataset.json. Raises InputError."""
    content = path.read_bytes()
    kind = AboutLocal if b'"path"' in content else About
    try:
        about = kind.model_validate_json(content)
    except ValidationError as error:
        raise InputError(
            f"{path}: expected what download writes: {error.errors()[0]['msg']}. Run `dvc repro`."
        ) from None
    return about


def opened(about: About, options: Preprocess, raw: Path) -> DataSet:
    """The data set in the folder `raw`. Raises InputError."""
    parts = {"train": _part(raw, "train", about, options)}
    if "test_labels" in about.files:
        parts["test"] = _part(raw, "test", about, options)
    return DataSet(about.name, about.classes, parts)


def _part(raw: Path, part: str, about: About, options: Preprocess) -> Part:
    labels = read_labels(raw, part, about)
    images = raw / about.files[f"{part}_images"]
    return Part(labels, lambda: dataset.fitted(idx.idx_rows(images), options))


def read_labels(raw: Path, part: str, about: About) -> NDArray[np.uint8]:
    """Read the labels of a part ("train" or "test") of a data set: (n,) uint8. Raises InputError."""
    path = raw / about.files[f"{part}_labels"]
    shape = idx.idx_shape(path)
    images = idx.idx_shape(raw / about.files[f"{part}_images"])
    if len(shape) != 1 or len(images) == 1:
        raise InputError(
            f"{path}: expected labels in one dimension, images in three or four. Received: {shape} and {images}."
        )
    if shape[0] != images[0]:
        raise InputError(f"{path}: expected as many labels as images. Received: {shape[0]} and {images[0]}.")
    if shape[0] == 0:
        raise InputError(f"{path}: expected images. Received: none.")
    wanted = about.shape[:2] if about.shape[2] == 1 else about.shape
    if list(images[1:]) != wanted:
        raise InputError(f"{path}: expected images of {wanted} pixels. Received: {list(images[1:])}.")
    labels = np.concatenate(list(idx.idx_rows(path)))
    dataset.require_classes(path, labels, about.classes)
    return labels
