"""Shards: a batch is cut into few equal parts, and what they give is added in one order."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from cnn.network.shards import cuts, total


@given(size=st.integers(1, 3000), count=st.integers(1, 64))
def test_any_number_of_rows_is_cut_into_any_number_of_equal_parts(size, count):
    at = cuts(size, count)
    sizes = np.diff(at)
    assert (at[0], at[-1], len(sizes)) == (0, size, count)
    assert sizes.max() - sizes.min() <= 1


def test_parts_are_added_from_the_first_on():
    numbers = np.array([1, 1e8, -1e8, 1], np.float32)  # ((1 + 1e8) - 1e8) + 1 = 1 in float32; other orders: 0 or 2
    assert total(map(tf.constant, numbers)).numpy() == 1
    assert total(map(tf.constant, numbers[[1, 2, 0, 3]])).numpy() == 2
