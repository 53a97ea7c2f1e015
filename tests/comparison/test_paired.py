"""Paired statistics: against SciPy and statsmodels, and by what they promise of errors in simulations."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from cnn.comparison.paired import LEVEL, Paired, clopper_pearson, holm

LARGE = [(0, 700), (300, 700), (520, 480), (2000, 2300), (9000, 9400), (20_000, 20_000)]
CHANGED = [(gained, lost) for gained in range(21) for lost in range(21) if gained + lost] + LARGE


def test_p_values_are_those_of_scipy_and_statsmodels():
    """Small ones agree in their leading digits too: 1e-200 is not 0."""
    for gained, lost in CHANGED:
        n = 2 * (gained + lost)
        p_value = Paired(n, gained, lost).p_value()
        binomial = binomtest(gained, gained + lost).pvalue
        exact = mcnemar([[n - gained - lost, lost], [gained, 0]], exact=True).pvalue
        assert p_value == pytest.approx(binomial, rel=1e-10, abs=1e-320), (gained, lost)
        assert p_value == pytest.approx(binomial, rel=0, abs=1e-12), (gained, lost)
        assert p_value == pytest.approx(exact, rel=0, abs=1e-12), (gained, lost)


def test_a_p_value_is_0_only_where_no_float_holds_it():
    assert Paired(2000, 1070, 0).p_value() == 2.0**-1069
    assert Paired(2000, 0, 1075).p_value() == 2.0**-1074, "the smallest float"
    assert Paired(2000, 0, 1080).p_value() == 0.0


def test_a_hundred_thousand_changed_images_are_no_trouble():
    assert Paired(10**6, 50_000, 50_000).p_value() == 1.0
    p_value = Paired(10**6, 49_500, 50_500).p_value()
    assert p_value == pytest.approx(binomtest(49_500, 100_000).pvalue, rel=1e-9)
    low, high = Paired(10**6, 49_500, 50_500).interval()
    assert low < -0.001 < high < 0
    assert Paired(10**6, 100_000, 0).p_value() == 0.0


def test_shares_have_the_exact_interval_of_scipy_and_statsmodels():
    for successes, other in [*CHANGED, (0, 1), (1, 0), (3, 0)]:
        n = successes + other
        interval = clopper_pearson(successes, n)
        exact = binomtest(successes, n).proportion_ci(method="exact")
        assert interval == pytest.approx((exact.low, exact.high), rel=0, abs=1e-12), (successes, n)
        limits = proportion_confint(successes, n, method="beta")
        assert interval == pytest.approx(limits, rel=0, abs=1e-12), (successes, n)


def test_holms_correction_is_that_of_statsmodels():
    random = np.random.default_rng(0)
    for count in (1, 2, 3, 6, 15, 45):
        p_values = (random.random(count) ** 4).round(3)  # small ones, ties, now and then 0
        expected = multipletests(p_values, method="holm")[1]
        assert holm(p_values.tolist()) == pytest.approx(expected, rel=0, abs=1e-12)


def test_holms_correction_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@pytest.mark.parametrize("n", [60, 121, 400, 1000, 10_000, 10**6])
def test_the_interval_leaves_0_out_just_when_the_test_sees_a_difference(n):
    for gained in range(61):
        for lost in range(min(60, n - gained) + 1):
            paired = Paired(n, gained, lost)
            low, high = paired.interval()
            assert (low > 0 or high < 0) == (paired.p_value() < LEVEL), paired


counts = st.tuples(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 5000)).filter(any)


@given(counts)
def test_the_interval_holds_the_difference_and_stays_in_range(counts):
    gained, lost, rest = counts
    paired = Paired(gained + lost + rest, gained, lost)
    low, high = paired.interval()
    assert -1 <= low <= paired.difference <= high <= 1
    assert (low > 0 or high < 0) == (paired.p_value() < LEVEL)


@given(counts)
def test_swapping_the_two_mirrors_everything(counts):
    gained, lost, rest = counts
    one, other = Paired(gained + lost + rest, gained, lost), Paired(gained + lost + rest, lost, gained)
    low, high = one.interval()
    assert other.interval() == pytest.approx((-high, -low), rel=0, abs=1e-15)
    assert (other.p_value(), other.difference) == (one.p_value(), -one.difference)
    assert (other.detectable(), other.changed) == (one.detectable(), one.changed)


def test_intervals_of_worked_examples():
    """Bonett and Price's, by hand: (gained - lost) / (n + 2), and 1.96 standard deviations."""
    assert Paired(400, 0, 0).interval() == pytest.approx((-0.006895, 0.006895), abs=1e-6)
    centre, half = 10 / 1002, 1.959964 * np.sqrt((32 / 1002 - (10 / 1002) ** 2) / 1002)
    low, high = Paired(1000, 20, 10).interval()
    assert (low, high) == pytest.approx((min(centre - half, low), centre + half), abs=1e-8)
    exact = binomtest(20, 30).proportion_ci()
    assert low == pytest.approx((2 * exact.low - 1) * 30 / 1000), "the exact test's own reaches further"


cached_interval = cache(lambda n, gained, lost: Paired(n, gained, lost).interval())
cached_p_value = cache(lambda n, gained, lost: Paired(n, gained, lost).p_value())
DRAWS = 5000


def draw(n, disagreement, difference, seed):
    """Gained and lost of DRAWS test sets, of two classifiers that differ so much."""
    share = (disagreement + difference) / 2, (disagreement - difference) / 2
    return np.random.default_rng(seed).multinomial(n, [*share, 1 - sum(share)], DRAWS)[:, :2].tolist()


@pytest.mark.parametrize("n", [100, 400, 1000, 10_000])
@pytest.mark.parametrize("disagreement", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("of_it", [0, 0.5, 0.9])
def test_the_interval_holds_the_truth_in_94_of_100_cases_or_more(n, disagreement, of_it):
    difference = of_it * disagreement
    pairs = draw(n, disagreement, difference, seed=1)
    intervals = [cached_interval(n, *pair) for pair in pairs]
    assert np.mean([low - 1e-12 <= difference <= high + 1e-12 for low, high in intervals]) >= 0.94


@pytest.mark.parametrize("n", [100, 400, 1000, 10_000])
@pytest.mark.parametrize("disagreement", [0.01, 0.02, 0.05])
def test_equals_are_told_apart_in_no_more_than_5_of_100_cases(n, disagreement):
    """The margin: three standard deviations of a share of 5 % among so many draws."""
    pairs = draw(n, disagreement, 0, seed=2)
    margin = 3 * np.sqrt(0.05 * 0.95 / DRAWS)
    assert np.mean([cached_p_value(n, *pair) < LEVEL for pair in pairs]) <= 0.05 + margin


@pytest.mark.parametrize("n", [400, 10_000])
@pytest.mark.parametrize("changed", [0, 1, 5, 10, 20, 60, 300])
def test_the_detectable_difference_is_seen_about_8_times_in_10(n, changed):
    difference = Paired(n, changed // 2, changed - changed // 2).detectable()
    pairs = draw(n, max(changed / n, difference), difference, seed=3)
    assert np.mean([cached_p_value(n, *pair) < LEVEL for pair in pairs]) == pytest.approx(0.78, abs=0.03)


def test_the_detectable_difference_stays_a_share():
    assert 0 < Paired(400, 0, 0).detectable() < 0.02
    assert Paired(1, 1, 0).detectable() == 1.0
