"""How a stage ends when it cannot go on: one clear line and an exit code, never a traceback.

Only what a user can cause or mend is reported so. Errors in our own code keep their traceback.
"""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# DVC removes a stage's outputs before it runs the stage.
RESTORE = "DVC removed what this stage had made. To have it back, untrained: undo the change, then `dvc repro`."
REMAKE = "To go on: `dvc repro` makes it again, or `dvc checkout` fetches it from the cache."

# What the operating system refuses and the user can mend.
MENDABLE = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some space in the quota",
    errno.EROFS: "use a directory on a file system that is not read-only",
    errno.EACCES: "give this user the permission",
    errno.EPERM: "give this user the permission",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOENT: "run `dvc repro`, which makes it",
}


class InputError(ValueError):
    """Something that the user can mend. Says what was expected, what was received, and how to go on."""


class RunAgainError(InputError):
    """Something outside has stopped the stage: nothing that the user wrote is to be undone."""


@contextmanager
def reported(stage: str) -> Iterator[None]:
    """Run the block as the stage `stage`: its mendable errors become one line and exit code 1.

    Ctrl-C, SIGTERM and a closed terminal end it with exit codes 130, 143 and 129. They leave by `SystemExit`,
    so that every `with` block on the way out cleans up. A signal that is ignored (nohup) stays so.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    except InputError as error:
        undo = os.environ.get("DVC_STAGE") and not isinstance(error, RunAgainError)
        sys.exit(f"{stage}: {error}" + (f"\n{RESTORE}" if undo else ""))
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        name = f": '{error.filename}'" if error.filename else ""
        sys.exit(f"{stage}: {error.strerror}{name}. To go on: {MENDABLE[error.errno]}, then run again.")
    except MemoryError:
        sys.exit(
            f"{stage}: out of memory. To go on: free memory, or lower batch_size (train, evaluate), then run again."
        )


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    # A second Ctrl-C (DVC and the terminal may both send one) must not interrupt the cleaning up.
    signal.signal(number, signal.SIG_IGN)
    print(f"\nStopped by {signal.Signals(number).name}. To go on: run it again.", file=sys.stderr)
    raise SystemExit(128 + number)
