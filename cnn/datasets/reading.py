"""Read a folder of pictures into a file of arrays, and say which cannot be read."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn.datasets import dataset, folders, parallel, pictures
from cnn.datasets.dataset import DataSet, Part
from cnn.datasets.folders import Listing
from cnn.process.errors import InputError
from cnn.settings.local import AboutLocal
from cnn.settings.schema import Preprocess
from cnn.storage import pieces

CHUNK = 64  # pictures a process reads at a time, unless they are large


class Chunk(NamedTuple):
    """Pictures that were read: (n, height, width, channels), and why others were not, by their place in the chunk."""

    images: NDArray[np.uint8]
    reasons: dict[int, str]


def read_chunk(options: Preprocess, paths: Sequence[str]) -> Chunk:
    """Read some pictures."""
    images, reasons = [], {}
    for place, path in enumerate(paths):
        try:
            images.append(pictures.read(path, options))
        except pictures.UnreadableError as error:
            reasons[place] = str(error)
    return Chunk(np.array(images, np.uint8).reshape(-1, *options.image.shape), reasons)


@contextmanager
def opened(about: AboutLocal, options: Preprocess, place: Path) -> Iterator[DataSet]:
    """Read the pictures in a folder into a file without a name in `place`: nothing of it stays, however this ends.

    Raises InputError that lists the pictures that cannot be read, where they are more than allowed.
    """
    listing = folders.list_pictures(Path(about.path))
    if listing.ignored:
        kinds = listing.kinds_ignored()
        print(f"preprocess: {listing.root}: {listing.ignored.total():,} files ignored: {kinds}", flush=True)
    everything = [picture for part in listing.parts.values() for picture in part]
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=place) as file:
        readable = _read_all(listing, [path for path, _ in everything], options, file)
        labels = np.array([label for _, label in everything], np.uint8)
        parts, start, row = {}, 0, 0
        for name, listed in listing.parts.items():
            kept = readable[start : start + len(listed)]
            part = labels[start : start + len(listed)][kept]
            dataset.require_classes(listing.root, part, listing.classes)
            parts[name] = Part(part, partial(_rows, file, row, (len(part), *options.image.shape)))
            start, row = start + len(listed), row + len(part)
        yield DataSet(about.name, listing.classes, parts, int(np.sum(~readable)))


def _read_all(listing: Listing, paths: list[str], options: Preprocess, out: IO[bytes]) -> NDArray[np.bool_]:
    """Append all pictures that can be read to a file. Says which they are: (n,). Raises InputError."""
    size = min(CHUNK, pieces.rows((0, *options.image.shape)))
    files = [f"{listing.root}/{path}" for path in paths]
    reasons: dict[int, str] = {}
    chunks = parallel.in_chunks(partial(read_chunk, options), files, size, "pictures")
    for number, chunk in enumerate(chunks):
        out.write(chunk.images.tobytes())
        reasons |= {number * size + place: reason for place, reason in chunk.reasons.items()}
    if reasons:
        names = folders.shown([f"{paths[number]!r}: {reason}" for number, reason in reasons.items()])
        count = f"{len(reasons):,} of {len(paths):,}"
        if len(reasons) / len(paths) > options.unreadable_share:
            raise InputError(
                f"{listing.root}: expected pictures that can be read, but for a share of {options.unreadable_share} "
                f"(preprocess.unreadable_share). Received: {count} that cannot:\n{names}\n"
                "To go on: mend or remove them, or raise that share."
            )
        print(f"preprocess: {listing.root}: {count} pictures cannot be read, and are left out:\n{names}", flush=True)
    return np.isin(np.arange(len(paths)), list(reasons), invert=True)


def _rows(file: IO[bytes], row: int, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Read the rows of an array of this shape from a row of a file on."""
    file.seek(row * int(np.prod(shape[1:])))
    yield from pieces.read(file, shape)
