"""The splits on disk: arrays in .npy files that are memory-mapped, so that they may be larger than memory."""

import json
import mmap
import os
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cnn.process.errors import REMAKE, InputError
from cnn.storage.paths import PROCESSED, SUMMARY

SPLITS = ("train", "validation", "test")
PIECE = 1024  # rows read at a time where they lie one after the other
HELD = 1 << 26  # bytes of the largest array that is read into memory as a whole: all of MNIST has 55 million


def write_npy_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Begin a .npy file of uint8 whose rows the caller appends."""
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def open_split(name: str, directory: Path = PROCESSED) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Open a split ("train", "validation" or "test"), read-only.

    Returns images (n, height, width, channels) uint8 in [0, 255], memory-mapped, and labels (n,) uint8.
    Raises InputError where the files are missing, damaged, or do not belong together.
    """
    if name not in SPLITS:
        raise InputError(f"expected a split of {', '.join(SPLITS)}. Received: {name!r}.")
    images = _open_npy(directory / f"{name}_images.npy", dimensions=4)
    labels = np.array(_open_npy(directory / f"{name}_labels.npy", dimensions=1))
    if len(images) != len(labels):
        raise InputError(
            f"{directory}: expected as many labels as images in {name}. Received: {len(labels)} and {len(images)}."
        )
    return images, labels


def read_classes(path: Path = SUMMARY) -> list[str]:
    """The names of the classes, in the order of their labels."""
    return read_summary(path)["classes"]


def read_summary(path: Path = SUMMARY) -> dict[str, Any]:
    """What preprocess says of the data set and its splits."""
    return json.loads(path.read_text())


def hold(array: NDArray) -> NDArray:
    """The array, read into memory where it is memory-mapped and small: row by row takes longer, again in each epoch."""
    return take(array, range(len(array))) if isinstance(array, np.memmap) and array.nbytes <= HELD else array


def take(array: NDArray, rows: NDArray[np.integer] | range) -> NDArray:
    """Copy the rows named, from 0 on, in their order.

    Those of a memory-mapped array are read from its file: what is read by way of the mapping would stay in the
    process' memory, with all that lies near it. Raises InputError where the file has become shorter.
    """
    if (
        not isinstance(array, np.memmap)
        or array.filename is None
        or array.mode != "r"  # with "c", what was changed is in memory alone
        or not array[:1].flags.c_contiguous
    ):
        return array[np.asarray(rows, np.intp)]
    copy = np.empty((len(rows), *array.shape[1:]), array.dtype)
    first, stride, size = _place(array), array.strides[0], array[:1].nbytes
    targets = copy.reshape(-1).view(np.uint8).data
    together = PIECE if isinstance(rows, range) and rows.step == 1 and array.flags.c_contiguous else 1
    with open(array.filename, "rb", buffering=0) as file:
        for number in range(0, len(rows), together):
            target = targets[number * size : (number + together) * size]
            if os.preadv(file.fileno(), [target], first + stride * int(rows[number])) != len(target):
                raise InputError(f"{array.filename}: expected {len(array)} rows. Received: fewer. {REMAKE}")
    return copy


def pieces(array: NDArray) -> Iterator[NDArray]:
    """Copies of all rows, in order, a piece at a time: the array may be larger than memory."""
    for start in range(0, len(array), PIECE):
        yield take(array, range(start, min(start + PIECE, len(array))))


def _place(array: np.memmap) -> int:
    """Where in its file the array begins; `array.offset` is that of the whole of which this may be a part."""
    start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY  # what is mapped begins with a page
    mapping = np.frombuffer(array._mmap, np.uint8, count=1)  # type: ignore[attr-defined]
    return start + array.ctypes.data - mapping.ctypes.data


def load_split(name: str, normalize: bool = True, directory: Path = PROCESSED) -> tuple[NDArray, NDArray[np.uint8]]:
    """Load a split into memory, for a notebook.

    Returns images (n, height, width, channels), float32 in [0, 1] with `normalize` and uint8 in [0, 255]
    without, and labels (n,) uint8.
    """
    images, labels = open_split(name, directory)
    return (images / np.float32(255) if normalize else np.array(images)), np.array(labels)


def _open_npy(path: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        # An empty file cannot be mapped, so an empty split is read.
        array = np.load(path, allow_pickle=False)[:0] if _is_empty(path) else np.load(path, "r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"expected the file {path}, and there is none. {REMAKE}") from None
    # The last three: what Python's own parser says of a damaged header.
    except (ValueError, EOFError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise InputError(f"{path}: expected an array in .npy format: {error}. {REMAKE}") from None
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise InputError(
            f"{path}: expected uint8 in {dimensions} dimensions. Received: {array.dtype} {array.shape}. {REMAKE}"
        )
    return array


def _is_empty(path: Path) -> bool:
    with open(path, "rb") as file:
        version = npy.read_magic(file)
        shape, _, _ = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    return 0 in shape
