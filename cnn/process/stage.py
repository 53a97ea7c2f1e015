"""A stage is alone in its folder, ends with the `dvc` or `make` that started it, and reports its errors."""

import fcntl
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cnn.process import cluster, errors
from cnn.process.errors import InputError

LOCKS = Path("data/checkpoint")  # ignored by git and DVC
PATIENCE = 10  # seconds for a stage that is just ending


@contextmanager
def running(name: str) -> Iterator[None]:
    """Run the block as the stage `name`, in the current folder."""
    with errors.reported(name):
        _end_with(_starters())
        workers = cluster.read()
        # Those that TF_CONFIG names may share a folder: only the chief writes there.
        with _alone(f"{name}-worker-{workers.index}" if workers and workers.index else name):
            yield


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the lock of this stage in this folder. The kernel drops it with the process, however that ends."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    with open(LOCKS / f"{name}.lock", "a+") as file:
        deadline = time.monotonic() + PATIENCE
        while not _taken(file):
            if time.monotonic() > deadline:
                file.seek(0)
                raise InputError(
                    f"expected to be alone in {Path.cwd()}. Received: another {name} at work there, process "
                    f"{file.read().strip() or 'unknown'}. To go on: wait for its end, or end it, then run again."
                )
            time.sleep(0.1)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _starters() -> list[int]:
    """The processes above this one up to the topmost `dvc` or `make`, shells between them. None: started by hand."""
    line, last, pid = [], 0, os.getppid()
    while pid > 1:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:3]
            parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            break
        names = {os.path.basename(word) for word in words}
        line.append(pid)
        if names & {"dvc", "make"}:
            last = len(line)
        elif not os.path.basename(words[0]).endswith("sh"):
            break
        pid = int(parent)
    return line[:last]


def _end_with(pids: list[int]) -> None:
    """Send this process a SIGTERM when one of the processes named ends.

    DVC runs a stage in a shell, and neither hands a signal on: a stage would go on without them, and write its
    outputs into the next run's.
    """
    watch = select.poll()
    for pid in pids:
        try:
            watch.register(os.pidfd_open(pid), select.POLLIN)
        except ProcessLookupError:
            os.kill(os.getpid(), signal.SIGTERM)

    def wait() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the main thread may hold them back
        watch.poll()
        os.kill(os.getpid(), signal.SIGTERM)

    if pids:
        threading.Thread(target=wait, daemon=True).start()
