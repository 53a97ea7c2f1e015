"""A file of arrays of one's own: x_train, y_train; if it has them, x_validation, y_validation, x_test, y_test.

x: images (n, height, width) or (n, height, width, channels) uint8, of 1 or 3 channels. y: whole numbers (n,) from 0 on,
or text (n,): the names of the classes. The names are those that Keras' mnist.npz has.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cnn.datasets import dataset
from cnn.datasets.dataset import DataSet, Part
from cnn.datasets.folders import MOST_CLASSES
from cnn.process.errors import InputError
from cnn.settings.local import AboutLocal
from cnn.settings.schema import Preprocess
from cnn.storage import pieces
from cnn.storage.arrays import SPLITS

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, SyntaxError, TypeError, NotImplementedError)
WANTED = "x_train (n, height, width[, 1 or 3]) uint8 in C order, and y_train (n,), whole numbers or text"


def opened(about: AboutLocal, options: Preprocess) -> DataSet:
    """The data set in the file that `about` names. Images are read a piece at a time. Raises InputError."""
    path = Path(about.path)
    if not path.is_file():
        raise InputError(f"{path}: expected a file of arrays. Received: none. Put it there, or `dvc pull` it.")
    with _named(path), zipfile.ZipFile(path) as file:
        names = {Path(name).stem for name in file.namelist()}
        present = [part for part in SPLITS if {f"x_{part}", f"y_{part}"} & names]
        if "train" not in present or not {f"{kind}_{part}" for part in present for kind in "xy"} <= names:
            raise InputError(f"{path}: expected {WANTED}, and both of what else it has. Received: {sorted(names)}.")
        answers = {part: _labels(path, part) for part in present}
    classes = about.classes or _classes(answers["train"])
    numbers = {part: _numbers(path, part, values, classes) for part, values in answers.items()}
    shapes = {part: _shape(path, part) for part in present}
    for part, shape in shapes.items():
        if len(numbers[part]) != shape[0]:
            raise InputError(
                f"{path}: expected as many labels as images in {part}. Received: {len(numbers[part])} and {shape[0]}."
            )
    return DataSet(about.name, classes, {part: _part(path, part, numbers[part], options) for part in present})


def _part(path: Path, part: str, labels: NDArray[np.uint8], options: Preprocess) -> Part:
    return Part(labels, lambda: dataset.fitted(_images(path, part), options))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say of which file a fault is."""
    try:
        yield
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path}: expected arrays as `numpy.savez` writes them. Received: {error}.") from None


def _labels(path: Path, part: str) -> NDArray:
    """y of a part: (n,) whole numbers or text."""
    with np.load(path, allow_pickle=False) as file:
        values = file[f"y_{part}"]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "uiU" or not len(values):
        raise InputError(
            f"{path}: expected y_{part} (n,), whole numbers or text. Received: {values.dtype} {values.shape}. "
            "Of one-hot labels, take y.argmax(1)."
        )
    if values.dtype.kind != "U" and not 0 <= values.min() <= values.max() < MOST_CLASSES:
        raise InputError(
            f"{path}: expected y_{part} from 0 to {MOST_CLASSES - 1}. Received: {values.min()} to {values.max()}."
        )
    return values


def _classes(labels: NDArray) -> list[str]:
    """The names of the classes that labels tell: the different texts in order, or 0 to the highest number."""
    if labels.dtype.kind == "U":
        return np.unique(labels).tolist()
    return [str(number) for number in range(int(labels.max()) + 1)]


def _numbers(path: Path, part: str, labels: NDArray, classes: list[str]) -> NDArray[np.uint8]:
    """The labels as numbers of the classes: (n,) uint8. Raises InputError."""
    if not 2 <= len(set(classes)) == len(classes) <= MOST_CLASSES:
        raise InputError(
            f"{path}: expected 2 to {MOST_CLASSES} different classes. Received: {len(classes)}, {len(set(classes))} of "
            "them different."
        )
    if labels.dtype.kind == "U":
        if unknown := sorted(set(np.unique(labels).tolist()) - set(classes)):
            raise InputError(f"{path}: expected in y_{part} the classes {classes}. Received: {unknown} as well.")
        order = np.argsort(classes)
        labels = order[np.searchsorted(np.array(classes)[order], labels)]
    dataset.require_classes(f"{path}: y_{part}", labels.astype(np.int64), classes)
    return labels.astype(np.uint8)


@contextmanager
def _array(path: Path, part: str) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """x of a part, open at its first byte, and its shape. Raises InputError."""
    with _named(path), zipfile.ZipFile(path) as file, file.open(f"x_{part}.npy") as array:
        read = npy.read_array_header_1_0 if npy.read_magic(array) == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(array)
        if dtype != np.uint8 or fortran or len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or 0 in shape:
            raise InputError(
                f"{path}: expected {WANTED}. Received: x_{part} {dtype} {shape}{' in Fortran order' * fortran}."
            )
        yield array, shape


def _shape(path: Path, part: str) -> tuple[int, ...]:
    with _array(path, part) as (_, shape):
        return shape


def _images(path: Path, part: str) -> Iterator[NDArray[np.uint8]]:
    with _array(path, part) as (array, shape):
        yield from pieces.read(array, shape)
