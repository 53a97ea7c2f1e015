"""An end for code that waits without one, holds Python's lock and catches signals."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

# It knows by the end of its input that the block has ended, or the process.
SHELL = 'timeout "$1" cat; [ $? -ne 124 ] || { echo "$2" >&2; kill -KILL "$3"; }'


@contextmanager
def within(seconds: float, line: str) -> Iterator[None]:
    """Print the line and kill this process where the block takes longer: only another process can do so."""
    command = ["sh", "-c", SHELL, "sh", str(seconds), line, str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watch:
        try:
            yield
        finally:
            assert watch.stdin
            watch.stdin.close()
