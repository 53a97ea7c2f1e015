"""Work on many files, in as many processes as there are CPUs."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from tqdm import tqdm

from cnn.process import beside, machine

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
    pool = beside.pool(processes)
    waiting: deque[Future[Result]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) >= AHEAD * processes:
                yield beside.result(waiting.popleft(), "read pictures")
        while waiting:
            yield beside.result(waiting.popleft(), "read pictures")
    finally:
        pool.shutdown(cancel_futures=True)
