"""Shards: a batch is cut into few equal parts, and what they give is added in one order."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from cnn.network.shards import SHARDS, cuts, in_shards, total

# In a graph that does not know how many rows will come.
of_unknown_size = tf.function(in_shards, input_signature=[tf.TensorSpec((None,), tf.int32)], autograph=False)


@pytest.mark.parametrize("cut", [in_shards, of_unknown_size], ids=["known", "unknown"])
@given(count=st.integers(SHARDS, 3000))
def test_a_batch_is_cut_into_equal_parts_in_its_order(cut, count):
    parts = [part.numpy().tolist() for part in cut(tf.range(count))]
    assert sum(parts, []) == list(range(count))
    assert len(parts) == SHARDS
    sizes = set(map(len, parts))
    assert max(sizes) - min(sizes) <= 1


@given(size=st.integers(1, 3000), count=st.integers(1, 64))
def test_any_number_of_rows_is_cut_into_any_number_of_equal_parts(size, count):
    at = cuts(size, count)
    sizes = np.diff(at)
    assert (at[0], at[-1], len(sizes)) == (0, size, count)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("count", range(1, SHARDS))
def test_no_shard_is_empty(count):
    assert [part.numpy().tolist() for part in in_shards(tf.range(count))] == [[row] for row in range(count)]


def test_parts_are_added_from_the_first_on():
    numbers = np.array([1, 1e8, -1e8, 1], np.float32)  # ((1 + 1e8) - 1e8) + 1 = 1 in float32; other orders: 0 or 2
    assert total(map(tf.constant, numbers)).numpy() == 1
    assert total(map(tf.constant, numbers[[1, 2, 0, 3]])).numpy() == 2
