"""The folders in which trials run, each with a lock beside it that the kernel drops with the process that holds it."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Folder:
    """A folder of which this process holds the lock."""

    def __init__(self, path: Path, lock: IO[str]):
        self.path, self._lock = path, lock

    def remove(self) -> None:
        """Delete the folder and let go of it; the lock last, so that what a kill leaves is found again."""
        shutil.rmtree(self.path, ignore_errors=True)
        _lock_of(self.path).unlink(missing_ok=True)
        self._lock.close()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock in a file, and wait for it."""
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def new(path: Path) -> Folder:
    """Make a folder, and hold it."""
    lock = open(_lock_of(path), "w")  # noqa: SIM115 (it is held until the end)
    fcntl.flock(lock, fcntl.LOCK_EX)
    path.mkdir()
    return Folder(path, lock)


def left(parent: Path) -> Iterator[Folder]:
    """The folders that no process holds; each is held from then on."""
    for path in sorted(parent.glob("*.lock")):
        try:
            lock = open(path)  # noqa: SIM115 (it is held until the end)
        except FileNotFoundError:  # its process has just ended it
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            yield Folder(path.with_suffix(""), lock)


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")
