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
from multiprocessing.reduction import ForkingPickler
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
def worker() -> Iterator[Connection]:
    """A process that waits for a function and arguments to be `sent`. `received` takes what the calls give, one by one.

    For what is large: where a process of a pool is killed while something is handed over, the other side waits for the
    rest of it forever. This pipe has only these two ends, so it ends with the process.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # there for good; here until it has started
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


def send(connection: Connection, function: Callable[[Any], Any], arguments: Sequence[Any], what: str) -> None:
    """Have a worker call a function on each of the arguments, in turn. Raises RunAgainError where it is gone."""
    try:
        connection.send((function, arguments))
    except OSError:
        raise _gone(what) from None


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


def _work(connection: Connection) -> None:
    _begin()
    function, arguments = connection.recv()
    for argument in arguments:
        try:
            content = ForkingPickler.dumps(function(argument))
        except Exception as error:  # noqa: BLE001  # whatever it is: it is raised again where it is received
            error.add_note(traceback.format_exc())
            content = ForkingPickler.dumps(error)
        connection.send_bytes(content)


def _begin() -> None:
    """In each process: leave Ctrl-C to the one that started it, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    starter = multiprocessing.parent_process()
    assert starter

    def wait() -> None:
        starter.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
