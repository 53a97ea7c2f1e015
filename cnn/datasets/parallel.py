"""Work on many files, in as many processes as there are CPUs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from tqdm import tqdm

from cnn.process import beside, machine

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_chunks(
    function: Callable[[Sequence[Item]], Result], items: Sequence[Item], size: int, title: str
) -> Iterator[Result]:
    """Call a function on `size` items at a time, and give its results in their order, whichever is ready first.

    A process works ahead until its pipe is full, of large results by one. Shows a progress bar on a terminal. Raises
    InputError where a process is killed, or has no memory left.
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
    """Deal the chunks out to the processes in turn, and take the results in the same turns."""
    with ExitStack() as stack:
        workers = [stack.enter_context(beside.worker()) for _ in range(processes)]
        for number, worker in enumerate(workers):
            beside.send(worker, function, chunks[number::processes], "read pictures")
        for number in range(len(chunks)):
            yield beside.received(workers[number % processes], "read pictures")
