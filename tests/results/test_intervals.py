"""Intervals: against published values, SciPy, and their own coverage on samples of a known population."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from cnn.results import intervals, metrics
from cnn.results.metrics import Answers


def sample(n, seed, overconfident=0.0, classes=4):
    """Answers to n images of a population: right as often as the confidence says, less where it is overconfident."""
    random = np.random.default_rng(seed)
    confidence = 1 - 0.6 * random.beta(0.5, 2, n)
    right = random.random(n) < confidence - overconfident * (1 - confidence)
    actual = random.integers(0, classes, n)
    predicted = np.where(right, actual, (actual + random.integers(1, classes, n)) % classes)
    likelihood = np.where(right, confidence, (1 - confidence) * random.random(n))
    return Answers(actual, predicted, confidence, likelihood, classes)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.4901624715, 0.9433178485),
        # R. G. Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_as_published(successes, n, low, high):
    decimals = 10 if n == 10 else 4
    assert tuple(round(value, decimals) for value in intervals.wilson_interval(successes, n)) == (low, high)


def test_wilson_interval_agrees_with_scipy_and_stays_a_share():
    for successes, n in ((0, 1), (1, 1), (0, 10), (10, 10), (1, 3), (9912, 10_000), (10_000, 10_000)):
        low, high = intervals.wilson_interval(successes, n)
        expected = binomtest(successes, n).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= low < high <= 1


def test_wilson_interval_reaches_the_ends():
    assert intervals.wilson_interval(0, 10)[0] == pytest.approx(0, abs=1e-15)
    assert intervals.wilson_interval(10, 10)[1] == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("overconfident", [0, 0.5])
def test_intervals_hold_the_truth_as_often_as_they_say(overconfident):
    """About 95 of 100 times. The bound is loose: with 60 samples, 95 % is 57, and fewer than 51 comes 1 time in 200."""
    truth = metrics.measure(sample(400_000, 0, overconfident))
    held = dict.fromkeys(truth, 0)
    for seed in range(1, 61):
        for name, (low, high, _) in intervals.intervals(sample(1000, seed, overconfident)).items():
            held[name] += low <= truth[name] <= high
    assert min(held.values()) >= 51, held


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 12))
def test_an_interval_holds_its_value_and_stays_in_range(seed, count, classes):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), count).astype(np.float32)
    answers = metrics.answers_of(probabilities, random.integers(0, classes, count, np.uint8))
    measured, limits = metrics.measure(answers), intervals.intervals(answers)
    assert list(measured) == list(limits)
    for name, (low, high, kind) in limits.items():
        assert kind in (intervals.WILSON, intervals.BOOTSTRAP)
        assert 0 <= low <= high <= (16.2 if name == "loss" else 1)
        if name != "macro_f1":  # its resamples lie below it where a class has one image
            assert low - 1e-6 <= measured[name] <= high + 1e-6, name


def test_more_images_narrow_every_interval():
    small, large = (intervals.intervals(sample(n, 3)) for n in (400, 6400))
    for name in small:
        assert (large[name].high - large[name].low) < 0.5 * (small[name].high - small[name].low), name


def test_the_worst_of_many_classes_has_a_wider_interval_than_one_class():
    counts = metrics.Counts(*(np.array([values] * 10) for values in (90, 100, 90)))
    low, high = intervals.worst_class_interval(counts)
    alone = intervals.wilson_interval(90, 100)
    assert low < alone[0]
    assert high > alone[1]
    expected = binomtest(90, 100).proportion_ci(0.995, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_a_class_without_images_has_no_part_in_the_worst_of_them():
    counts = metrics.Counts(np.array([9, 0]), np.array([10, 0]), np.array([9, 1]))
    assert intervals.worst_class_interval(counts) == pytest.approx(intervals.wilson_interval(9, 10), abs=1e-6)


def test_the_corrected_point_is_the_same_whatever_the_last_bits_of_a_logarithm():
    for count in range(1, 257):
        exact = norm.isf(0.025 / count)
        assert intervals.corrected_z(count) == pytest.approx(exact, abs=1e-6)
        to_the_border = abs(exact * 1e6 % 1 - 0.5)
        assert to_the_border > 1e-6, "rounded to the same six decimals, whatever the last ten bits"


def test_resamples_of_two_networks_are_of_the_same_images():
    one = sample(300, 5)
    other = one._replace(likelihood=one.likelihood / 2)
    difference = intervals.resample(other)["loss"] - intervals.resample(one)["loss"]
    np.testing.assert_allclose(difference, np.log(2), atol=1e-9)
    np.testing.assert_array_equal(intervals.resample(other)["macro_f1"], intervals.resample(one)["macro_f1"])


def test_resamples_scatter_as_theory_says():
    answers = sample(2000, 7)
    losses = -np.log(answers.likelihood)
    drawn = intervals.resample(answers)["loss"]
    assert len(drawn) == 999
    assert drawn.mean() == pytest.approx(losses.mean(), abs=0.3 * losses.std() / np.sqrt(2000))
    assert drawn.std() == pytest.approx(losses.std() / np.sqrt(2000), rel=0.1)
    assert intervals.percentiles(np.arange(1.0, 1000)) == (25, 975)
