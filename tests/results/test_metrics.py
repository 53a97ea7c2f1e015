"""Metrics: against published values, scikit-learn, and examples by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from cnn.process.errors import InputError
from cnn.results import metrics
from tests import tiny


def calibration_error(probabilities, labels):
    return metrics.measure(metrics.answers_of(probabilities, labels))["calibration_error"]


@pytest.fixture(scope="module")
def answers():
    """Probabilities (400, 5), a third of them right, and labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 400, np.uint8)
    probabilities = random.dirichlet(np.ones(5), 400) + 0.3 * np.eye(5)[labels]
    return (probabilities / 1.3).astype(np.float32), labels


def test_confusion_matrix_has_a_row_per_actual_class():
    matrix = metrics.confusion_matrix(np.array([0, 0, 1, 2], np.uint8), np.array([0, 1, 1, 0]), 4)
    np.testing.assert_array_equal(matrix, [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_confusion_matrix_of_256_classes_does_not_overflow():
    labels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(metrics.confusion_matrix(labels, labels, 256), np.eye(256))


def test_metrics_agree_with_scikit_learn(answers):
    probabilities, labels = answers
    predicted = probabilities.argmax(axis=1)
    measured = metrics.measure(metrics.answers_of(probabilities, labels))
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
    measured = metrics.measure(metrics.answers_of(probabilities, np.array([0, 0, 1, 0], np.uint8)))
    # F1: class 0 4/5, class 1 2/3, classes 2 and 3 none. Recall: 2/3 and 1.
    assert measured["macro_f1"] == round((4 / 5 + 2 / 3) / 4, 6)
    assert measured["worst_class_recall"] == round(2 / 3, 6)


def test_calibration_error_of_an_example_by_hand():
    confidence = np.array([0.95, 0.95, 0.55, 0.55, 1.0])
    probabilities = np.stack([confidence, 1 - confidence], axis=1).astype(np.float32)
    labels = np.array([0, 1, 0, 0, 0], np.uint8)
    # Of 15 bins the last holds three, two of them right: |2 - 2.9|. The ninth holds two, both right: |2 - 1.1|.
    assert calibration_error(probabilities, labels) == pytest.approx((0.9 + 0.9) / 5, abs=1e-6)


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not():
    probabilities = np.eye(3, dtype=np.float32)
    assert calibration_error(probabilities, np.array([0, 1, 2], np.uint8)) == 0
    assert calibration_error(probabilities, np.array([1, 2, 0], np.uint8)) == 1


def test_measure_has_its_keys_and_six_decimals(answers):
    measured = metrics.measure(metrics.answers_of(*answers))
    assert list(measured) == ["accuracy", "loss", "macro_f1", "worst_class_recall", "calibration_error"]
    for value in measured.values():
        assert value == round(value, 6)


def test_perfect_answers_of_one_class_are_perfect():
    measured = metrics.measure(
        metrics.answers_of(np.eye(2, dtype=np.float32)[[1, 1, 1]], np.array([1, 1, 1], np.uint8))
    )
    assert (measured["loss"], measured["accuracy"], measured["worst_class_recall"]) == (0, 1, 1)
    assert measured["calibration_error"] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@given(st.sets(st.integers(0, 399), min_size=1, max_size=5), st.integers(0, 4))
def test_probabilities_that_are_not_finite_are_refused(answers, value, rows, column):
    probabilities, labels = answers
    broken = probabilities.copy()
    broken[list(rows), column] = value
    with pytest.raises(InputError) as refused:
        metrics.answers_of(broken, labels)
    assert str(refused.value) == (
        f"expected finite probabilities from the model. Received: others, for {len(rows)} of 400 images. "
        "Train it again, with a lower train.learning_rate."
    )


def test_measuring_needs_no_tensorflow():
    code = """
import sys
import numpy as np
from cnn.results import intervals, metrics
answers = metrics.answers_of(np.eye(2, dtype=np.float32), np.array([0, 1]))
print(metrics.measure(answers)["accuracy"], intervals.intervals(answers)["loss"].low)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    done = tiny.fresh_python(code)
    assert (done.returncode, done.stdout) == (0, "1.0 0.0\n"), done.stderr
