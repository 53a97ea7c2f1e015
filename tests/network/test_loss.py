"""Cross-entropy, accuracy, and a logarithm that is the same on every CPU."""

import math

import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnn.network.loss import loss_and_accuracy, portable_log
from tests import tiny


@given(st.floats(2.0**-126, 2.0**127, width=32))
@example(1.0)
@example(0.5)
@example(float(np.float32(0.70710677)))  # the last below sqrt(1/2), where the series changes its argument
@example(float(np.float32(0.70710683)))
@example(float(np.float32(1) - np.float32(2**-24)))
@example(float(np.float32(1e-7)))
def test_logarithm_agrees_with_numpy_in_double_precision(value):
    (logarithm,) = portable_log(np.array([value], np.float32))
    assert logarithm.dtype == np.float64
    assert abs(logarithm - math.log(value)) <= 1e-15 * abs(math.log(value))


def test_logarithm_of_one_is_exactly_zero():
    np.testing.assert_array_equal(portable_log(np.ones(3, np.float32)), 0)


def test_logarithm_of_many_is_that_of_each():
    values = np.random.default_rng(0).uniform(1e-7, 1, 20_001).astype(np.float32)
    logarithms = portable_log(values)
    np.testing.assert_allclose(logarithms, np.log(values.astype(np.float64)), rtol=1e-15)
    alone = [portable_log(values[row : row + 1])[0] for row in range(0, 20_001, 1000)]
    np.testing.assert_array_equal(logarithms[::1000], alone)


def test_loss_and_accuracy_of_an_example_by_hand():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.5, 0.25, 0.25]], np.float32)
    measured = loss_and_accuracy(probabilities, np.array([0, 1, 2], np.uint8))
    assert measured["loss"] == pytest.approx(-np.log(0.5 * 0.75 * 0.25) / 3, rel=1e-14)
    assert measured["accuracy"] == 2 / 3


def test_loss_and_accuracy_agree_with_keras():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(10), 500).astype(np.float32)
    labels = random.integers(0, 10, 500, np.uint8)
    measured = loss_and_accuracy(probabilities, labels)
    assert measured["loss"] == pytest.approx(
        float(np.mean(keras.losses.sparse_categorical_crossentropy(labels, probabilities))), rel=1e-5
    )
    assert measured["accuracy"] == pytest.approx(
        float(np.mean(keras.metrics.sparse_categorical_accuracy(labels, probabilities)))
    )


@given(st.randoms(use_true_random=False))
def test_loss_does_not_depend_on_the_order_of_images(random):
    generator = np.random.default_rng(random.randrange(2**32))
    probabilities = generator.dirichlet(np.ones(4), 50).astype(np.float32)
    labels, order = generator.integers(0, 4, 50), generator.permutation(50)
    assert loss_and_accuracy(probabilities, labels) == loss_and_accuracy(probabilities[order], labels[order])


def test_loss_of_a_sure_mistake_is_finite():
    measured = loss_and_accuracy(np.array([[1, 0]], np.float32), np.array([1], np.uint8))
    assert measured == {"loss": pytest.approx(-np.log(np.float32(1e-7).astype(float)), rel=1e-14), "accuracy": 0.0}


def test_loss_needs_no_tensorflow():
    code = """
import sys
import numpy as np
from cnn.network.loss import loss_and_accuracy
print(loss_and_accuracy(np.array([[0.5, 0.5]], np.float32), np.array([0])))
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    done = tiny.fresh_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'loss': 0.6931471805599453, 'accuracy': 1.0}\n"
