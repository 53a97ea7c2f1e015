"""Processes that work beside this one, and end with it, however that ends."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from cnn.process.errors import RunAgainError

Result = TypeVar("Result")


def pool(processes: int) -> ProcessPoolExecutor:
    """So many new processes, started with the first work. Not forked: a stage has a thread, which watches DVC."""
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_begin)


def result(future: Future[Result], what: str) -> Result:
    """What a function gave there, or raised. Raises RunAgainError where its process, which does `what`, is gone."""
    try:
        return future.result()
    except (BrokenProcessPool, MemoryError):
        raise RunAgainError(
            f"expected the processes that {what} to live. Received: the end of one, killed or out of memory. "
            "To go on: free some memory, then run again."
        ) from None


def _begin() -> None:
    """In each process: leave Ctrl-C to the one that started it, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    starter = multiprocessing.parent_process()
    assert starter

    def wait() -> None:
        starter.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
