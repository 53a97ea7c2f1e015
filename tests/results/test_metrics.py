"""Metrics: against published values, scikit-learn, and examples by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from cnn.process.errors import InputError
from cnn.results import metrics
from tests import tiny


@pytest.fixture(scope="module")
def answers():
    """Probabilities (400, 5), a third of them right, and labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 400, np.uint8)
    probabilities = random.dirichlet(np.ones(5), 400) + 0.3 * np.eye(5)[labels]
    return (probabilities / 1.3).astype(np.float32), labels


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
    assert tuple(round(value, decimals) for value in metrics.wilson_interval(successes, n)) == (low, high)


def test_wilson_interval_agrees_with_scipy_and_stays_a_share():
    for successes, n in ((0, 1), (1, 1), (0, 10), (10, 10), (1, 3), (9912, 10_000), (10_000, 10_000)):
        low, high = metrics.wilson_interval(successes, n)
        expected = binomtest(successes, n).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= low < high <= 1


def test_wilson_interval_reaches_the_ends():
    assert metrics.wilson_interval(0, 10)[0] == pytest.approx(0, abs=1e-15)
    assert metrics.wilson_interval(10, 10)[1] == pytest.approx(1, abs=1e-15)


def test_confusion_matrix_has_a_row_per_actual_class():
    matrix = metrics.confusion_matrix(np.array([0, 0, 1, 2], np.uint8), np.array([0, 1, 1, 0]), 4)
    np.testing.assert_array_equal(matrix, [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_confusion_matrix_of_256_classes_does_not_overflow():
    labels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(metrics.confusion_matrix(labels, labels, 256), np.eye(256))


def test_metrics_agree_with_scikit_learn(answers):
    probabilities, labels = answers
    predicted = probabilities.argmax(axis=1)
    measured = metrics.measure(probabilities, labels)
    exact = probabilities.astype(np.float64)
    expected = {
        "loss": reference.log_loss(labels, exact / exact.sum(axis=1, keepdims=True)),
        "accuracy": reference.accuracy_score(labels, predicted),
        "macro_f1": reference.f1_score(labels, predicted, average="macro"),
        "worst_class_recall": reference.recall_score(labels, predicted, average=None).min(),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(labels, predicted, 5), reference.confusion_matrix(labels, predicted)
    )


def test_class_without_images_counts_in_f1_as_zero_and_not_in_recall():
    probabilities = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    measured = metrics.measure(probabilities, np.array([0, 0, 1, 0], np.uint8))
    # F1: class 0 4/5, class 1 2/3, classes 2 and 3 none. Recall: 2/3 and 1.
    assert measured["macro_f1"] == round((4 / 5 + 2 / 3) / 4, 6)
    assert measured["worst_class_recall"] == round(2 / 3, 6)


def test_calibration_error_of_an_example_by_hand():
    confidence = np.array([0.95, 0.95, 0.55, 0.55, 1.0])
    probabilities = np.stack([confidence, 1 - confidence], axis=1).astype(np.float32)
    labels = np.array([0, 1, 0, 0, 0], np.uint8)
    # Of 15 bins the last holds three, two of them right: |2 - 2.9|. The ninth holds two, both right: |2 - 1.1|.
    assert metrics.calibration_error(probabilities, labels) == pytest.approx((0.9 + 0.9) / 5, abs=1e-6)


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not():
    probabilities = np.eye(3, dtype=np.float32)
    assert metrics.calibration_error(probabilities, np.array([0, 1, 2], np.uint8)) == 0
    assert metrics.calibration_error(probabilities, np.array([1, 2, 0], np.uint8)) == 1


def test_measure_has_its_keys_and_six_decimals(answers):
    measured = metrics.measure(*answers)
    keys = "loss accuracy accuracy_low accuracy_high macro_f1 worst_class_recall calibration_error n"
    assert list(measured) == keys.split()
    assert measured["n"] == 400
    assert isinstance(measured["n"], int)
    for value in measured.values():
        assert value == round(value, 6)
    assert measured["accuracy_low"] < measured["accuracy"] < measured["accuracy_high"]


def test_perfect_answers_of_one_class_are_perfect():
    measured = metrics.measure(np.eye(2, dtype=np.float32)[[1, 1, 1]], np.array([1, 1, 1], np.uint8))
    assert (measured["loss"], measured["accuracy"], measured["worst_class_recall"]) == (0, 1, 1)
    assert measured["calibration_error"] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@given(st.sets(st.integers(0, 399), min_size=1, max_size=5), st.integers(0, 4))
def test_probabilities_that_are_not_finite_are_refused(answers, value, rows, column):
    probabilities, labels = answers
    broken = probabilities.copy()
    broken[list(rows), column] = value
    with pytest.raises(InputError) as refused:
        metrics.measure(broken, labels)
    assert str(refused.value) == (
        f"expected finite probabilities from the model. Received: others, for {len(rows)} of 400 images. "
        "Train it again, with a lower train.learning_rate."
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 12))
def test_every_metric_is_a_share_and_the_interval_holds_the_accuracy(seed, count, classes):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), count).astype(np.float32)
    measured = metrics.measure(probabilities, random.integers(0, classes, count, np.uint8))
    assert measured.pop("n") == count
    assert 0 <= measured.pop("loss") <= 16.2
    assert all(0 <= value <= 1 for value in measured.values())
    assert measured["accuracy_low"] <= measured["accuracy"] <= measured["accuracy_high"]
    assert measured["worst_class_recall"] <= measured["accuracy"]


def test_measuring_needs_no_tensorflow():
    code = """
import sys
import numpy as np
from cnn.results.metrics import measure
print(measure(np.eye(2, dtype=np.float32), np.array([0, 1]))["accuracy"])
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    done = tiny.fresh_python(code)
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
