"""The verdict on two results: paired by image, the same from both sides, and silent where there is no evidence."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn.comparison import verdict
from cnn.comparison.noise import Noise
from cnn.comparison.revisions import Result
from cnn.results import intervals, metrics
from tests.comparison import made_up
from tests.comparison.made_up import pair, result, rows


def seed_noise(deviation, seeds=5, **more):
    return Noise({"validation.accuracy": deviation, **more}, seeds, ("train.seed",), "0" * 16)


def shuffled(table, seed):
    """The same images in another order, with another index."""
    mixed = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    return mixed.assign(index=range(len(mixed)))


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [(6, 0, verdict.BETTER), (0, 6, verdict.WORSE), (5, 0, verdict.NO_EVIDENCE), (20, 20, verdict.NO_EVIDENCE)],
)
def test_the_verdict_is_that_of_the_exact_test(gained, lost, expected):
    said = verdict.compare(*pair(300, gained, lost, both_wrong=9))
    assert said.verdict == expected
    assert said.comparable
    assert (said.paired.n, said.paired.gained, said.paired.lost) == (300, gained, lost)
    assert said.p_value == said.paired.p_value()
    assert f"{gained} gained, {lost} lost of 300 images: p = " in said.reason


def test_without_evidence_it_says_what_would_be_seen():
    said = verdict.compare(*pair(1000, 10, 6))
    assert said.reason.endswith("A difference of 0.0112 would be seen here 8 times in 10, a smaller one less often.")


def test_without_evidence_it_promises_nothing_below_the_seeds_noise():
    noise = seed_noise(0.01)
    limit = noise.limit("validation.accuracy")
    reason = verdict.compare(*pair(1000, 10, 6), noise=noise).reason
    assert reason.endswith(f" None below {limit:.4f}, the seed's noise, would be evidence here.")
    assert "8 times in 10" not in reason
    assert "8 times in 10" in verdict.compare(*pair(1000, 10, 6), noise=seed_noise(0.0001)).reason


def test_two_that_are_right_on_the_same_images_differ_in_nothing():
    said = verdict.compare(*pair(1200, 0, 0, both_wrong=30))
    assert (said.verdict, said.p_value, len(said.changed)) == (verdict.NO_EVIDENCE, 1.0, 0)
    assert said.reason == "No image changed sides: both are right on the same ones of 1,200."


def test_the_metrics_are_those_of_the_results_and_so_are_their_differences():
    a, b = pair(300, 12, 30, both_wrong=20)
    said = verdict.compare(a, b)
    assert [row.metric for row in said.metrics] == ["accuracy", "loss", "macro_f1", "calibration_error"]
    measured = [metrics.measure(made_up.answers(one.predictions)) for one in (a, b)]
    for row in said.metrics:
        assert (row.a, row.b) == (measured[0][row.metric], measured[1][row.metric])
        assert row.difference == row.b - row.a
        assert row.low <= row.difference <= row.high
    assert said.metrics[0].difference == pytest.approx(said.paired.difference, abs=1e-6)
    assert said.metrics[0][-2:] == said.paired.interval()


def test_differences_have_the_interval_of_the_resamples_that_both_share():
    a, b = pair(300, 30, 12)
    ordered = [one.predictions.sort_values(verdict.KEYS[:2]) for one in (a, b)]
    drawn = [intervals.resample(made_up.answers(table)) for table in ordered]
    for row in verdict.compare(a, b).metrics[1:3]:
        half = 1.959964 * (drawn[1][row.metric] - drawn[0][row.metric]).std(ddof=1)
        assert (row.low, row.high) == pytest.approx((row.difference - half, row.difference + half), abs=1e-7)


def sure_or_not(random, n, overconfident):
    """Rows of two classifiers of the same confidence on the same images; the second is overconfident."""
    confidence, luck = 1 - 0.6 * random.beta(0.2, 2, n), random.random(n)
    named = [f"{number:016x}" for number in range(n)]
    tables = []
    for too_much in (0, overconfident):
        right = luck < confidence - too_much * (1 - confidence)
        likelihood = np.where(right, confidence, (1 - confidence) / 2)
        tables.append(rows(right, named).assign(confidence=confidence, likelihood=likelihood))
    return tables


@pytest.mark.slow
@pytest.mark.parametrize("overconfident", [0, 0.5])
def test_the_interval_of_a_difference_holds_the_truth_about_as_often_as_it_says(overconfident):
    """Also of a calibration error, which chance raises more where calibration is good: uncorrected, 55 of 100 times.

    The bound is loose: of 40 samples 95 % is 38, and fewer than 33 comes 1 time in 100.
    """
    random = np.random.default_rng(0)
    one, other = (metrics.measure(made_up.answers(table)) for table in sure_or_not(random, 300_000, overconfident))
    held = dict.fromkeys(verdict.METRICS, 0)
    for _ in range(40):
        a, b = (
            Result(name, "", {}, {}, {}, made_up.CLASSES, table, {}, [])
            for name, table in zip("ab", sure_or_not(random, 1000, overconfident), strict=True)
        )
        for row in verdict.compare(a, b).metrics:
            held[row.metric] += row.low <= other[row.metric] - one[row.metric] <= row.high
    assert min(held.values()) >= 33, held


def test_pairing_narrows_the_interval_of_the_loss():
    """Two that differ by the same factor on every image: no resample says otherwise."""
    a, _ = pair(300, 0, 0, both_wrong=30)
    table = a.predictions.assign(likelihood=a.predictions["likelihood"] / 2)
    loss = verdict.compare(a, result("b", table)).metrics[1]
    assert (loss.low, loss.high) == pytest.approx((np.log(2), np.log(2)), abs=2e-6)


def test_images_are_paired_by_their_pixels_not_by_their_place():
    a, b = pair(300, 12, 30)
    expected = verdict.compare(a, b)
    said = verdict.compare(a, result("b", shuffled(b.predictions, seed=1)))
    assert said[:-1] == expected[:-1]
    columns = ["image", "actual", "a", "b", "gained"]
    pd.testing.assert_frame_equal(
        *(one.changed[columns].sort_values("image", ignore_index=True) for one in (said, expected))
    )


def test_changed_images_are_named_by_the_index_in_the_second_result():
    a, b = pair(60, 3, 2)
    mixed = shuffled(b.predictions, seed=1)
    changed = verdict.compare(a, result("b", mixed)).changed
    assert changed["gained"].tolist() == [False] * 2 + [True] * 3
    for row in changed.to_dict("records"):
        assert mixed["image"][row["index"]] == row["image"]
        assert (row["b"] == row["actual"]) == row["gained"] == (row["a"] != row["actual"])


def test_images_that_occur_twice_count_twice():
    named = made_up.images(30) * 2
    right = np.arange(30) >= 8
    a = result("a", rows(np.tile(right, 2), named))
    b = result("b", shuffled(rows(np.ones(60, bool), named), seed=3))
    said = verdict.compare(a, b)
    assert (said.verdict, said.paired) == (verdict.BETTER, (60, 16, 0))
    assert sorted(said.changed["image"]) == sorted(named[:8] * 2)


sides = st.lists(st.sampled_from(["both", "neither", "gained", "lost"]), min_size=1, max_size=60)


@settings(max_examples=10)
@given(sides, st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_against_b_mirrors_b_against_a(sides, different, seed):
    """Also where images occur twice, and the two have them in another order."""
    named = [made_up.images(60)[number % different] for number in range(len(sides))]
    firsts = {}
    sides = np.array(
        [firsts.setdefault((name, i % 3), side) for i, (name, side) in enumerate(zip(named, sides, strict=True))]
    )
    a = result("a", rows(np.isin(sides, ["both", "lost"]), named, seed=1))
    b = result("b", shuffled(rows(np.isin(sides, ["both", "gained"]), named, seed=1), seed))
    there, back = verdict.compare(a, b), verdict.compare(b, a)
    opposite = {verdict.BETTER: verdict.WORSE, verdict.WORSE: verdict.BETTER}
    assert back.verdict == opposite.get(there.verdict, there.verdict)
    assert (back.paired, back.p_value) == ((there.paired.n, there.paired.lost, there.paired.gained), there.p_value)
    for one, other in zip(there.metrics, back.metrics, strict=True):
        assert (other.metric, other.a, other.b, other.difference) == (one.metric, one.b, one.a, -one.difference)
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low), rel=0, abs=1e-12)
    mirrored = back.changed.rename(columns={"a": "b", "b": "a"}).assign(gained=~back.changed["gained"].astype(bool))
    columns = ["image", "actual", "a", "b", "gained"]
    first, second = (table[columns].sort_values(columns, ignore_index=True) for table in (there.changed, mirrored))
    assert first.to_dict("records") == second.to_dict("records")


def test_other_classes_are_not_comparable():
    a, _ = pair(30, 0, 0)
    for classes in (["ant", "cat", "bee"], ["ant", "bee", "cat", "dog"], ["ant", "bee", "CAT"]):
        b = result("b", rows(np.ones(30, bool), classes=made_up.CLASSES), classes=classes)
        said = verdict.compare(a, b)
        assert said.verdict == f"not comparable: other classes (3 and {len(classes)}, by name and order)"
        assert (said.comparable, said.metrics, len(said.changed), said.p_value) == (False, [], 0, 1.0)


def test_other_images_are_not_comparable_and_counted():
    a = result("a", rows(np.ones(1200, bool), made_up.images(1200)))
    more = result("b", rows(np.ones(1300, bool), made_up.images(1300)))
    assert verdict.compare(a, more).verdict == (
        "not comparable: other validation images (1,200 and 1,300, of which 1,200 are the same)"
    )
    none = result("b", rows(np.ones(1200, bool), made_up.images(1200, seed=1)))
    assert verdict.compare(a, none).verdict.endswith("(1,200 and 1,200, of which 0 are the same)")


def test_an_image_that_occurs_twice_in_one_of_them_only_makes_them_not_comparable():
    named = made_up.images(30)
    a = result("a", rows(np.ones(30, bool), named))
    b = result("b", rows(np.ones(30, bool), [*named[:27], *named[:3]]))
    assert verdict.compare(a, b).verdict.endswith("other validation images (30 and 30, of which 27 are the same)")


def test_other_labels_of_the_same_images_are_not_comparable():
    a, b = pair(30, 0, 0)
    actual = b.predictions["actual"].to_numpy().copy()
    actual[:4] = (actual[:4] + 1) % 3
    said = verdict.compare(a, result("b", b.predictions.assign(actual=actual)))
    assert said.verdict == "not comparable: other classes for 4 of the same validation images"


def test_without_validation_images_it_says_so_and_why():
    a, b = (result(name, rows(np.ones(30, bool), split="test")) for name in "ab")
    assert verdict.compare(a, b).verdict == (
        "not comparable: no validation images (preprocess.validation_fraction is 0)"
    )
    assert verdict.compare(a, b, "test").verdict == verdict.NO_EVIDENCE
    c, _ = pair(30, 0, 0)
    assert verdict.compare(a, c).verdict.endswith("(0 and 30, of which 0 are the same)")


def test_splits_are_compared_apart():
    a = result("a", rows(np.ones(60, bool)), rows(np.zeros(90, bool), split="test"))
    b = result("b", rows(np.zeros(60, bool)), rows(np.ones(90, bool), split="test"))
    assert verdict.compare(a, b).verdict == verdict.WORSE
    assert verdict.compare(a, b, "test").verdict == verdict.BETTER


def test_below_the_seeds_noise_a_significant_difference_is_no_evidence():
    a, b = pair(1000, 30, 10)
    assert verdict.compare(a, b).verdict == verdict.BETTER
    noise = seed_noise(0.01)
    said = verdict.compare(a, b, noise=noise)
    assert said.verdict == verdict.NO_EVIDENCE
    assert said.p_value < 0.05
    assert said.reason.endswith(
        " But +0.0200 is below the seed's noise: two runs that differ in the seed alone differ by up to "
        f"{noise.limit('validation.accuracy'):.4f} in 95 of 100 cases."
    )
    assert verdict.compare(b, a, noise=noise).verdict == verdict.NO_EVIDENCE


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_beyond_the_seeds_noise_it_is_evidence(factor):
    noise = seed_noise(1.0)
    noise = seed_noise(0.02 * factor / noise.limit("validation.accuracy"))
    said = verdict.compare(*pair(1000, 10, 30), noise=noise)
    assert said.verdict == (verdict.WORSE if factor < 1 else verdict.NO_EVIDENCE)


def test_the_noise_of_the_split_that_is_compared_counts():
    sides = [rows(np.arange(1000) >= wrong, split="test") for wrong in (40, 20)]
    noise = seed_noise(1.0, **{"test.accuracy": 0.0001})
    assert verdict.compare(*(result("one", table) for table in sides), "test", noise).verdict == verdict.BETTER
