"""Arrays in files, a piece at a time: bounds the memory that a stage needs, whatever the size of the data."""

from collections.abc import Iterator
from math import prod
from typing import IO

import numpy as np
from numpy.typing import NDArray

BYTES = 1 << 22


def rows(shape: tuple[int, ...]) -> int:
    """How many rows of an array of uint8 of this shape make a piece."""
    return max(1, BYTES // max(1, prod(shape[1:])))


def read(file: IO[bytes], shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Read an array of uint8 from where a file stands: (some, ...). Raises EOFError where the file ends before."""
    for start in range(0, shape[0], rows(shape)):
        count = min(rows(shape), shape[0] - start)
        content = file.read(count * prod(shape[1:]))
        if len(content) < count * prod(shape[1:]):
            raise EOFError("it ends early")
        yield np.frombuffer(content, np.uint8).reshape(count, *shape[1:])
