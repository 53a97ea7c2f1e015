"""The learning rate of each step: constant, or up and down once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn.training.rates import learning_rates
from tests import tiny

totals = st.integers(1, 3000)
rates = st.floats(1e-6, 10)


def one_cycle(**changes):
    return tiny.train_options(schedule="one_cycle", **changes)


def as_defined(rate, total):
    """All rates of a cycle: first up, from a 25th, then down to 0."""
    rise = max(total // 4, 1)
    up = 0.04 + 0.96 * np.arange(rise) / rise
    down = np.arange(total - rise, 0, -1) / (total - rise) if total > rise else np.empty(0)
    return (rate * np.concatenate([up, down])).astype(np.float32)


@given(totals, rates)
def test_a_cycle_has_the_rates_of_its_definition_to_the_last_bit(total, rate):
    received = learning_rates(one_cycle(learning_rate=rate), total, 0, total)
    assert received.dtype == np.float32
    np.testing.assert_array_equal(received, as_defined(rate, total))


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
@given(totals, rates, st.lists(st.integers(0, 3000), max_size=8))
def test_pieces_of_a_training_have_the_rates_of_the_whole(schedule, total, rate, cuts):
    options = tiny.train_options(schedule=schedule, learning_rate=rate)
    places = sorted({0, total, *(cut for cut in cuts if cut < total)})
    pieces = [
        learning_rates(options, total, first, end - first) for first, end in zip(places, places[1:], strict=False)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), learning_rates(options, total, 0, total))


@given(totals, rates)
def test_constant_rate_stays(total, rate):
    received = learning_rates(tiny.train_options(learning_rate=rate), total, 0, total)
    assert received.dtype == np.float32
    np.testing.assert_array_equal(received, np.full(total, rate, np.float32))


def test_one_cycle_peaks_at_a_quarter_and_ends_near_zero():
    received = learning_rates(one_cycle(learning_rate=0.5), 400, 0, 400)
    assert len(received) == 400
    assert received[0] == pytest.approx(0.02), "a 25th"
    assert received.argmax() == 100
    assert received[100] == 0.5
    assert (np.diff(received[:101]) > 0).all()
    assert (np.diff(received[100:]) < 0).all()
    assert 0 < received[-1] < 0.002


@pytest.mark.parametrize("total", [1, 2, 3, 5])
def test_one_cycle_of_few_steps_has_a_rate_for_each(total):
    received = learning_rates(one_cycle(learning_rate=0.5), total, 0, total)
    assert len(received) == total
    assert (received > 0).all()
    assert (received <= 0.5).all()
