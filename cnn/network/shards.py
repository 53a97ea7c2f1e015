"""A batch is cut into shards that run side by side, one thread each, and are added in a fixed order."""

import functools
import itertools
from collections.abc import Iterable

import tensorflow as tf

SHARDS = 4  # parts of a batch where images are predicted: no setting, so that predictions depend on none


def in_shards(batch: tf.Tensor, shards: int = SHARDS) -> list[tf.Tensor]:
    """Cut a batch into parts along its first axis, as equal as can be; into fewer where it has fewer rows.

    No part is empty: oneDNN's fused convolution fails on an empty batch.
    """
    size = batch.shape[0] or tf.shape(batch)[0]
    count = min(shards, batch.shape[0] or shards)
    return [batch[start:stop] for start, stop in itertools.pairwise(cuts(size, count))]


def cuts(size: int | tf.Tensor, count: int) -> list:
    """Where each of `count` equal parts of so many rows begins, and where the last one ends."""
    return [size * part // count for part in range(count + 1)]


def total(parts: Iterable[tf.Tensor]) -> tf.Tensor:
    """Add tensors in the order given. `tf.add_n` of three or more adds in an order that depends on timing."""
    return functools.reduce(tf.add, parts)
