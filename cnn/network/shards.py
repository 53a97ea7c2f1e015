"""A batch is cut into shards that run side by side, one thread each, and are added in a fixed order."""

import functools
from collections.abc import Iterable

import tensorflow as tf

SHARDS = 4  # parts of a batch that are computed side by side where images are predicted


def cuts(size: int, count: int) -> list[int]:
    """Where each of `count` equal parts of so many rows begins, and where the last one ends."""
    return [size * part // count for part in range(count + 1)]


def total(parts: Iterable[tf.Tensor]) -> tf.Tensor:
    """Add tensors in the order given. `tf.add_n` of three or more adds in an order that depends on timing."""
    return functools.reduce(tf.add, parts)
