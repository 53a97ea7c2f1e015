"""Batch normalisation: the same as Keras' own, also on one image, and folded into convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnn.network.batch_norm import BatchNormalization, fold_batch_norm
from tests import tiny
from tests.network.networks import RICH, build, noise, outputs, settled


@pytest.mark.parametrize("shape", [(16, 5, 6, 4), (1, 5, 6, 4), (3, 1, 1, 4)])
def test_batch_normalization_agrees_with_keras(shape):
    random = np.random.default_rng(0)
    ours, theirs = BatchNormalization(), keras.layers.BatchNormalization(epsilon=1e-3)
    for layer in (ours, theirs):
        layer.build((None, *shape[1:]))
    start = [random.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4)]  # gamma, beta, mean, variance
    theirs.set_weights(start)
    ours.set_weights([start[0] * [1, -1, 1, -1], *start[1:]])  # the sign of gamma makes no difference
    batch = random.normal(3, 2, shape).astype(np.float32)
    np.testing.assert_allclose(ours(batch, training=False), theirs(batch, training=False), atol=1e-5)
    np.testing.assert_allclose(ours(batch, training=True), theirs(batch, training=True), atol=1e-5)
    *_, mean, variance = ours.get_weights()
    np.testing.assert_allclose(mean, 0.9 * start[2] + 0.1 * batch.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(variance, 0.9 * start[3] + 0.1 * batch.var((0, 1, 2), ddof=1), atol=1e-5)


def test_one_value_a_channel_has_no_variance_and_stays_a_number():
    """n - 1 is 0 here."""
    layer = BatchNormalization()
    layer.build((None, 1, 1, 3))
    step = tf.function(lambda batch: layer(batch, training=True), autograph=False)
    for value in (5, -7):
        np.testing.assert_array_equal(step(np.full((1, 1, 1, 3), value, np.float32)), 0)
    *_, mean, variance = layer.get_weights()
    np.testing.assert_allclose(mean, 0.9 * 0.5 - 0.7, atol=1e-6)
    np.testing.assert_allclose(variance, 0.81, atol=1e-6)


FOLDED = {
    "strided": RICH,
    "same padding, average": {"batch_norm": True, "padding": "same", "head": "average"},
    "pooled with a rest, gelu": {"batch_norm": True, "blocks": tiny.blocks([5], pool_size=3), "activation": "gelu"},
    "pooled, two blocks": {"batch_norm": True, "blocks": tiny.blocks([5, 6], kernel_size=2, pool_size=2)},
}


@pytest.mark.parametrize("options", FOLDED.values(), ids=FOLDED)
def test_folding_leaves_plain_layers_of_the_same_function(options):
    model = settled(build(**options))
    for number, layer in enumerate(model.layers):
        if isinstance(layer, BatchNormalization):  # an initial 1 would hide a scale that is forgotten, or negative
            random = np.random.default_rng(number)
            layer.gamma.assign(random.choice([-1, 1], layer.gamma.shape) * random.uniform(0.5, 2, layer.gamma.shape))
    folded = fold_batch_norm(model)
    kinds = {type(layer) for layer in folded.layers}
    assert kinds.isdisjoint({BatchNormalization, keras.layers.Dropout})
    assert all(layer.use_bias for layer in folded.layers if isinstance(layer, keras.layers.Conv2D))
    images = noise(20, tiny.SHAPE, seed=9)
    assert np.ptp(outputs(model, images), axis=0).max() > 0.01, "images differ"
    np.testing.assert_allclose(outputs(folded, images), outputs(model, images), atol=1e-5)


def test_folding_a_network_without_batch_normalisation_copies_its_weights():
    model = build(dense_units=5)
    folded = fold_batch_norm(model)
    assert tiny.digest(folded.get_weights()) == tiny.digest(model.get_weights())
    folded.set_weights([np.zeros_like(weights) for weights in folded.get_weights()])
    assert any(weights.any() for weights in model.get_weights()), "a copy, not the same variables"
