"""Files are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """Open a temporary neighbour of `path` for writing; it becomes `path` only when the block succeeds.

    A reader sees the old file or the new one, also after a power cut; after an error, the old one.
    Missing directories are made. `mode`: "wb", or "w" for UTF-8 text with plain newlines.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A fixed name: what a kill left behind is overwritten by the next run instead of piling up.
    temporary = path.with_name(path.name + ".tmp")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        with open(temporary, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # the rename itself must reach the disk
    finally:
        os.close(descriptor)
