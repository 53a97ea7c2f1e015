"""A batch is cut into shards that run side by side, one thread each, and are added in a fixed order."""

import functools
import itertools
from collections.abc import Iterable

import tensorflow as tf

SHARDS = 4  # parts of a batch: a constant of the result, and the most cores that one step can use


def in_shards(batch: tf.Tensor) -> list[tf.Tensor]:
    """Cut a batch into SHARDS parts along its first axis, as equal as can be; into fewer where it has fewer rows.

    No part is empty: oneDNN's fused convolution fails on an empty batch.
    """
    size = batch.shape[0] or tf.shape(batch)[0]
    count = min(SHARDS, batch.shape[0] or SHARDS)
    cuts = [size * part // count for part in range(count + 1)]
    return [batch[start:stop] for start, stop in itertools.pairwise(cuts)]


def total(parts: Iterable[tf.Tensor]) -> tf.Tensor:
    """Add tensors in the order given. `tf.add_n` of three or more adds in an order that depends on timing."""
    return functools.reduce(tf.add, parts)
