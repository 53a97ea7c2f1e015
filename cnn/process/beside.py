"""Processes that work beside this one, and end with it, however that ends."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

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
        raise _gone(what) from None


@contextmanager
def worker(function: Callable[[Any], Any], arguments: Sequence[Any]) -> Iterator[Connection]:
    """A process that calls a function on each of the arguments, in turn. `received` takes what it gave, one by one.

    For large results: where a process of a pool is killed while it hands one over, the pool waits for the rest of it
    forever. This pipe has no other writer, so it ends with the process.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(function, arguments, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def received(connection: Connection, what: str) -> Any:
    """What a worker's function gave next, or raised. Raises RunAgainError where it is gone, which does `what`."""
    try:
        given = connection.recv()
    except (EOFError, OSError):  # before, or in the midst of it
        raise _gone(what) from None
    if isinstance(given, MemoryError):
        raise _gone(what)
    if isinstance(given, Exception):
        raise given
    return given


def _gone(what: str) -> RunAgainError:
    return RunAgainError(
        f"expected the processes that {what} to live. Received: the end of one, killed or out of memory. "
        "To go on: free some memory, then run again."
    )


def _work(function: Callable[[Any], Any], arguments: Sequence[Any], connection: Connection) -> None:
    _begin()
    for argument in arguments:
        try:
            given = function(argument)
        except Exception as error:  # noqa: BLE001  # whatever it is: it is raised again where it is received
            error.add_note(traceback.format_exc())
            given = error
        connection.send(given)


def _begin() -> None:
    """In each process: leave Ctrl-C to the one that started it, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    starter = multiprocessing.parent_process()
    assert starter

    def wait() -> None:
        starter.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
