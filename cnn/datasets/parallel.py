"""Work on many files, in as many processes as there are CPUs."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from cnn.process import machine
from cnn.process.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2  # chunks for each process under way or waiting to be taken: bounds the memory


def in_chunks(
    function: Callable[[Sequence[Item]], Result], items: Sequence[Item], size: int, title: str
) -> Iterator[Result]:
    """Call a function on `size` items at a time, and give its results in their order, whichever is ready first.

    Shows a progress bar on a terminal. Raises InputError where a process is killed, or has no memory left.
    """
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    processes = min(machine.threads(), len(chunks))
    with tqdm(desc=title, total=len(items), unit="picture", disable=None) as bar:
        results = map(function, chunks) if processes < 2 else _in_processes(function, chunks, processes)
        for chunk, result in zip(chunks, results, strict=True):
            bar.update(len(chunk))
            yield result


def _in_processes(
    function: Callable[[Sequence[Item]], Result], chunks: list[Sequence[Item]], processes: int
) -> Iterator[Result]:
    # Not forked: this process has a thread that watches for the end of DVC.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_begin)
    waiting: deque[Future[Result]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) >= AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except (BrokenProcessPool, MemoryError):
        raise InputError(
            "expected the processes that read pictures to live. Received: the end of one, killed or out of memory. "
            "To go on: free some memory, then run again."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In each process: leave Ctrl-C to the one that started it, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    starter = multiprocessing.parent_process()
    assert starter

    def wait() -> None:
        starter.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
