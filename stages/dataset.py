"""Image arrays on disk: IDX files as data sets are published, .npy files as the stages share them."""

import mmap
import struct
import tokenize
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from stages.errors import InputError

RAW, PROCESSED = Path("data/raw"), Path("data/processed")
SPLITS = ("train", "validation", "test")
ROWS = 4096  # images read at a time: bounds the memory that a stage needs, whatever the size of the data
PIECE = 1024  # rows copied at a time from here and there: for each one Linux maps 64 KiB or more around it


def idx_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of an IDX file of unsigned bytes: (n,) for labels, (n, height, width) for images.

    The format: two zero bytes, the type (8: uint8), the number of dimensions, then each dimension as a
    big-endian 32-bit integer (http://yann.lecun.com/exdb/mnist/). Raises InputError where the file is
    not that, or not as long as its header says.
    """
    with open(path, "rb") as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in (1, 3):
            raise InputError(
                f"{path}: expected an IDX file of uint8 (0x00000801 or 0x00000803). Received: 0x{magic.hex()}."
            )
        header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise InputError(
            f"{path}: expected an IDX header of {4 + 4 * magic[3]} bytes. Received: {path.stat().st_size} bytes."
        )
    shape = struct.unpack(f">{magic[3]}I", header)
    expected, received = 4 + len(header) + prod(shape), path.stat().st_size
    if expected != received:
        raise InputError(f"{path}: expected {expected} bytes for shape {shape}. Received: {received} bytes.")
    return shape


def idx_rows(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Read an IDX file a piece at a time: uint8 (up to ROWS, ...)."""
    shape = idx_shape(path)
    with open(path, "rb") as file:
        file.seek(4 + 4 * len(shape))
        for start in range(0, shape[0], ROWS):
            rows = min(ROWS, shape[0] - start)
            yield np.fromfile(file, np.uint8, rows * prod(shape[1:])).reshape(rows, *shape[1:])


def write_idx(file: IO[bytes], array: NDArray[np.uint8]) -> None:
    """Write an array of uint8 in IDX format."""
    file.write(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape))
    file.write(np.ascontiguousarray(array, np.uint8).tobytes())


def write_npy_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """Begin a .npy file of uint8 whose rows the caller appends."""
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def open_split(name: str, directory: Path = PROCESSED) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Memory-map a split ("train", "validation" or "test"), read-only.

    Returns images (n, height, width, channels) uint8 in [0, 255] and labels (n,) uint8.
    Raises InputError where the files are missing, damaged, or do not belong together.
    """
    if name not in SPLITS:
        raise InputError(f"expected a split of {', '.join(SPLITS)}. Received: {name!r}.")
    images = _open_npy(directory / f"{name}_images.npy", dimensions=4)
    labels = _open_npy(directory / f"{name}_labels.npy", dimensions=1)
    if len(images) != len(labels):
        raise InputError(
            f"{directory}: expected as many labels as images in {name}. Received: {len(labels)} and {len(images)}."
        )
    return images, labels


def take(array: NDArray, rows: NDArray[np.integer]) -> NDArray:
    """Copy the rows named, in their order; of a memory-mapped array, without keeping in memory what was read."""
    copy = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for start in range(0, len(rows), PIECE):
        copy[start : start + PIECE] = array[rows[start : start + PIECE]]
        release(array)
    return copy


def release(array: NDArray) -> None:
    """Hand back the memory that reading a memory-mapped array has taken; it can be read again.

    Otherwise a process that goes through its data keeps all of it. Does nothing for other arrays, nor for one
    mapped with mode "c", whose changes are in that memory alone.
    """
    mapping = getattr(array, "_mmap", None)
    if mapping is not None and array.mode != "c":  # type: ignore[attr-defined]
        mapping.madvise(mmap.MADV_DONTNEED)


def load_split(name: str, normalize: bool = True, directory: Path = PROCESSED) -> tuple[NDArray, NDArray[np.uint8]]:
    """Load a split into memory, for a notebook.

    Returns images (n, height, width, channels), float32 in [0, 1] with `normalize` and uint8 in [0, 255]
    without, and labels (n,) uint8.
    """
    images, labels = open_split(name, directory)
    return (images / np.float32(255) if normalize else np.array(images)), np.array(labels)


def _open_npy(path: Path, dimensions: int) -> NDArray[np.uint8]:
    mend = "To go on: `dvc repro` makes it again, or `dvc checkout` fetches it from the cache."
    try:
        # An empty file cannot be mapped, so an empty split is read.
        array = np.load(path, allow_pickle=False)[:0] if _is_empty(path) else np.load(path, "r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"expected the file {path}, and there is none. {mend}") from None
    # The last three: what Python's own parser says of a damaged header.
    except (ValueError, EOFError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise InputError(f"{path}: expected an array in .npy format: {error}. {mend}") from None
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise InputError(
            f"{path}: expected uint8 in {dimensions} dimensions. Received: {array.dtype} {array.shape}. {mend}"
        )
    return array


def _is_empty(path: Path) -> bool:
    with open(path, "rb") as file:
        version = npy.read_magic(file)
        shape, _, _ = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    return 0 in shape
