"""A run of the pipeline that is ended in one of several ways, and of which nothing is left."""

import ctypes
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from checks.clone import CannotRunError, dvc_environment
from checks.mend import mend

# What is sent, and to whom. "dvc": to DVC alone, which leaves the stage an orphan.
KILLS = {"all KILL": signal.SIGKILL, "dvc KILL": signal.SIGKILL, "dvc TERM": signal.SIGTERM}
PATIENCE = 30  # seconds for DVC to end after a signal


class Attempt:
    """One `dvc repro` in a process group of its own, of which nothing is left at the end of the `with` block."""

    def __init__(self, clone: Path):
        self.mended = mend(clone)  # as `make run` does
        # A log of its own: an orphan of an earlier attempt may write still.
        descriptor, log = tempfile.mkstemp(prefix="attempt-", suffix=".log", dir=clone.parent)
        self.log = Path(log)
        self.process = subprocess.Popen(
            ["dvc", "repro"],
            cwd=clone,
            env=dvc_environment(clone),
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            preexec_fn=_end_with(os.getpid()),
        )
        os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while members(self.process.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            time.sleep(0.02)
        self.process.wait()

    def kill_after(self, seconds: float, kill: str) -> bool:
        """End it in one of the ways of KILLS. False where it ended before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            return False
        if kill.startswith("all"):
            os.killpg(self.process.pid, KILLS[kill])
        else:
            self.process.send_signal(KILLS[kill])
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise CannotRunError(f"DVC did not end within {PATIENCE} s of a {KILLS[kill].name}.") from None
        return True

    def stage(self) -> str:
        """The stage that ran last."""
        return (re.findall(r"Running stage '(\w+)'", self.log.read_text()) or ["(start)"])[-1]

    def note(self) -> str:
        """What was mended, and what train said of its checkpoint."""
        found = re.search(r"going on from step [\d,]+ of [\d,]+|the checkpoint is .*", self.log.read_text())
        return "; ".join(self.mended + ([found[0]] if found else []))


def _end_with(parent: int) -> Callable[[], None]:
    """A function for a new process: has the kernel kill it when its parent ends, also where that is killed."""
    kill_with_parent = partial(ctypes.CDLL(None).prctl, 1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def end_with_it() -> None:
        kill_with_parent()
        if os.getppid() != parent:  # it has ended already
            os.kill(os.getpid(), signal.SIGKILL)

    return end_with_it


def members(group: int) -> list[int]:
    """The processes of a process group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found
