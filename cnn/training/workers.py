"""Several processes, or several GPUs of one, that train one network: each takes some shards of every batch."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn.process.errors import InputError, RunAgainError

ANSWER = 2  # seconds for an address to answer
AGAIN = "To go on: start all of them again; training goes on from the chief's last checkpoint."
# What TensorFlow raises where another process has ended, hangs, or has been started anew.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


@dataclass(frozen=True)
class Workers:
    """Who trains together, and which of them this process is: number 0 is the chief. strategy: None: one device."""

    strategy: tf.distribute.Strategy | None = None
    addresses: tuple[str, ...] = ("",)
    index: int = 0

    def shards(self, count: int) -> range:
        """Which of `count` shards this process takes."""
        processes = len(self.addresses)
        return range(count * self.index // processes, count * (self.index + 1) // processes)

    def gather(self, share: Callable[[int], list[tf.Tensor]], count: int) -> list[list[tf.Tensor]]:
        """What `share` gives for each of `count` shards, in their order: float32 tensors of the same shapes.

        Each is asked for where its turn is, and all have all: one long vector a shard goes round, once.
        """
        strategy = self.strategy
        if not strategy:
            return [share(shard) for shard in range(count)]
        shapes: list[tf.TensorShape] = []

        def mine() -> tf.Tensor:
            replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
            replicas = strategy.num_replicas_in_sync
            found = [share(shard) for shard in range(count * replica // replicas, count * (replica + 1) // replicas)]
            shapes[:] = [part.shape for part in found[0]]
            return tf.stack([tf.concat([tf.reshape(part, [-1]) for part in parts], 0) for parts in found])

        rows = strategy.gather(strategy.run(mine), axis=0)
        sizes = [shape.num_elements() for shape in shapes]
        return [
            [tf.reshape(part, shape) for part, shape in zip(tf.split(row, sizes), shapes, strict=True)]
            for row in tf.unstack(rows, count)
        ]

    def exchange(self, content: bytes) -> list[bytes]:
        """The content that each process gives, of any length, in the order of the addresses."""
        if len(self.addresses) == 1:
            return [content]
        sizes = self._gathered(np.array([len(content)], np.int32))[:, 0]
        # TensorFlow crashes on an empty one.
        padded = content.ljust((int(sizes.max()) // 4 + 1) * 4, b"\0")
        rows = self._gathered(np.frombuffer(padded, np.int32))
        return [row.tobytes()[:size] for row, size in zip(rows, sizes, strict=True)]

    def _gathered(self, row: NDArray[np.int32]) -> NDArray[np.int32]:
        """Rows (processes, n) of what each process gives, (n,)."""
        strategy: Any = self.strategy
        gather = tf.function(lambda mine: strategy.gather(strategy.run(lambda: mine[None]), axis=0), autograph=False)
        with self.watched():
            rows = gather(tf.constant(row)).numpy()
        return rows[:: len(rows) // len(self.addresses)]

    def require_same(self, key: str) -> None:
        """Raise InputError where the processes' keys differ."""
        keys = self.exchange(key.encode())
        if others := [name for name, other in zip(self.addresses, keys, strict=True) if other != keys[0]]:
            raise InputError(
                f"expected the data, parameters, code and versions of the chief, {self.addresses[0]}, everywhere. "
                f"Received: others at {', '.join(others)}. Bring all to the same commit, and run again."
            )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise RunAgainError where another process is lost in the block."""
        try:
            yield
        except LOST:
            if len(self.addresses) == 1:
                raise
            raise RunAgainError(
                f"expected {len(self.addresses)} workers to the end. Received: {_silent(self.addresses)}. {AGAIN}"
            ) from None


def _silent(addresses: tuple[str, ...]) -> str:
    """Which of the addresses do not answer, in words."""
    silent = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
        except OSError:
            silent.append(address)
    return f"no answer from {', '.join(silent)}" if silent else "one that was cut off, or started anew"
