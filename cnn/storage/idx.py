"""IDX files, as MNIST and its relatives are published."""

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from cnn.process.errors import InputError
from cnn.storage import pieces


def idx_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of an IDX file of unsigned bytes: (n,) for labels, (n, height, width[, 3]) for images.

    The format: two zero bytes, the type (8: uint8), the number of dimensions, then each dimension as a
    big-endian 32-bit integer (http://yann.lecun.com/exdb/mnist/). Raises InputError where the file is
    not that, or not as long as its header says.
    """
    with open(path, "rb") as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in (1, 3, 4):
            raise InputError(
                f"{path}: expected an IDX file of uint8 (0x00000801, 803 or 804). Received: 0x{magic.hex()}."
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
    """Read an IDX file a piece at a time: uint8 (some, ...)."""
    shape = idx_shape(path)
    with open(path, "rb") as file:
        file.seek(4 + 4 * len(shape))
        yield from pieces.read(file, shape)


def idx_header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of an IDX file of unsigned bytes; its rows follow."""
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


def write_idx(file: IO[bytes], array: NDArray[np.uint8]) -> None:
    """Write an array of uint8 in IDX format."""
    file.write(idx_header(array.shape))
    file.write(np.ascontiguousarray(array, np.uint8).tobytes())
