"""Processes that work beside this one, and end with it, however that ends."""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from cnn.process.errors import RunAgainError

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextmanager
def worker(*modules: str) -> Iterator[Connection]:
    """A process that waits for a function and arguments to be `sent`. `received` takes what the calls give, one by one.

    modules: what it imports first. It is not one of a pool: where one of those is killed while something is handed
    over, the other side waits for the rest of it forever. This pipe has two ends alone, and ends with the process.
    """
    context = multiprocessing.get_context("spawn")  # not forked: a stage has a thread, which watches DVC
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, modules), daemon=True)
    try:
        with _starting():
            process.start()
        theirs.close()
        yield ours
    finally:
        if process.pid:
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


@contextmanager
def _starting() -> Iterator[None]:
    """Around the start of a process: signals wait, in this thread until it has started, there until `_begin`.

    One that another thread takes, as TensorFlow's may, does not wait: then a traceback is printed. The process gets no
    arguments of this program: were it killed before it had read more than a pipe holds, they would be waited for to be
    read.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    resource_tracker.ensure_running()  # `start` would do it otherwise, and let signals through
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = arguments
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, modules: Sequence[str]) -> None:
    _begin()
    with suppress(ImportError):  # it is told where the module is needed
        for module in modules:
            import_module(module)
    with suppress(EOFError, OSError):  # the other end is gone
        while True:
            for content in _results(connection.recv_bytes()):
                connection.send_bytes(content)


def _results(sent: bytes) -> Iterator[bytes]:
    """What the function that was sent gives for each of its arguments, until it raises something: then that."""
    try:
        function, arguments = ForkingPickler.loads(sent)
        for argument in arguments:
            yield bytes(ForkingPickler.dumps(function(argument)))
    except Exception as error:  # noqa: BLE001  # whatever it is: it is raised again where it is received
        error.add_note(traceback.format_exc())
        yield bytes(ForkingPickler.dumps(error))


def _begin() -> None:
    """In each process: leave Ctrl-C to the one that started it, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    starter = multiprocessing.parent_process()
    assert starter

    def wait() -> None:
        starter.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
