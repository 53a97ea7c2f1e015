"""Make the IDX files of a data set from its archive, whose hash was verified before.

Only the members that the catalogue names are read, no more of them than it says, and never by a path of the archive's.
"""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from cnn.process.errors import InputError
from cnn.settings.published import File, Source
from cnn.storage import files, idx, pieces

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, RuntimeError, ValueError)
# Bytes before the pixels of a CIFAR record, the last of which is the class; then red, green, blue, a plane each
# (https://www.cs.toronto.edu/~kriz/cifar.html).
LABEL_BYTES = {"cifar-10": 1, "cifar-100": 2}


def unpack(source: Source, archive: Path, directory: Path) -> None:
    """Write the files of a data set to a directory. Raises InputError where the archive does not hold them."""
    for role, file in source.files:
        if not file:
            continue
        pixels = role.endswith("images")
        shape = _shape(source, file, pixels)
        try:
            with files.whole(directory / file.name) as out:
                out.write(idx.idx_header(shape))
                for rows in _rows(source, archive, file, shape):
                    out.write(rows.tobytes())
        except DAMAGED as error:
            raise InputError(f"{archive.name}: expected {file.name} in {file.members}. Received: {error}.") from None


def _shape(source: Source, file: File, pixels: bool) -> tuple[int, ...]:
    """The shape of the array in a file: (n,) for labels, (n, height, width[, 3]) for images."""
    row = tuple(source.shape if source.shape[2] == 3 else source.shape[:2]) if pixels else ()
    return ((file.bytes - 8 - 4 * len(row)) // prod(row), *row)


def _rows(source: Source, archive: Path, file: File, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Read the rows of a file, a piece at a time. Raises one of DAMAGED."""
    for name in file.members:
        with _member(archive, name) as stream:
            if source.format == "emnist":
                yield from _emnist(stream, shape)
            else:
                part = (shape[0] // len(file.members), *shape[1:])
                yield from _cifar(stream, part, LABEL_BYTES[source.format], source.shape)
            if stream.read(1):
                raise EOFError(f"more than that in {name}")


def _emnist(stream: IO[bytes], shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Read an IDX file. EMNIST's images are stored column by column."""
    if stream.read(len(idx.idx_header(shape))) != idx.idx_header(shape):
        raise ValueError(f"no IDX file of the shape {shape}")
    for rows in pieces.read(stream, shape):
        yield rows.swapaxes(1, 2) if rows.ndim == 3 else rows


def _cifar(stream: IO[bytes], shape: tuple[int, ...], labels: int, image: list[int]) -> Iterator[NDArray[np.uint8]]:
    """Read the images (n, height, width, 3), or only the labels (n,), of records."""
    height, width, channels = image
    for records in pieces.read(stream, (shape[0], labels + prod(image))):
        if len(shape) == 1:
            yield records[:, labels - 1]
        else:
            yield records[:, labels:].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


@contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a plain file in an archive; those in a zip are gzipped as well. Raises one of DAMAGED."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            if name not in packed.namelist():
                raise ValueError(f"no plain file {name}")
            with packed.open(name) as content, gzip.open(content) as unpacked:
                yield cast(IO[bytes], unpacked)
    else:
        with tarfile.open(archive, "r:gz") as packed:
            member = next((one for one in packed if one.name == name), None)
            plain = packed.extractfile(member) if member and member.isreg() else None
            if not plain:
                raise ValueError(f"no plain file {name}")
            with plain:
                yield plain
