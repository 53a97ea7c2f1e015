"""The network as training runs it: the same outputs and gradients as the layers in the order written."""

from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnn.network.logits import logits_of
from cnn.settings import schema
from tests import tiny
from tests.network.networks import build, noise, outputs


def names(model):
    return [layer.name for layer in model.layers]


def test_logits_are_what_softmax_takes(rich):
    images, _ = tiny.bars(6)
    logits = outputs(logits_of(rich), images)
    np.testing.assert_allclose(keras.ops.softmax(logits), outputs(rich, images), atol=1e-6)
    with pytest.raises(ValueError, match="whose last layer is a Softmax"):
        logits_of(logits_of(rich))


def test_a_convolution_with_an_activation_of_its_own_is_not_moved():
    layers = keras.layers
    convolution, pool = layers.Conv2D(4, 3, activation="relu", name="conv"), layers.MaxPooling2D(2, name="pool")
    model = keras.Sequential([keras.Input(tiny.SHAPE), convolution, pool, layers.Flatten(), layers.Softmax()])
    assert names(logits_of(model))[:2] == ["conv", "pool"]


NETWORKS = {
    "pooled": {"blocks": tiny.blocks([8, 4], kernel_size=2, pool_size=2)},
    "pooled and strided": {"blocks": tiny.blocks([8, 4], stride=2, pool_size=2), "padding": "same"},
    "not pooled": {"blocks": tiny.blocks([4, 8], kernel_size=5), "dense_units": 5},
    "a kernel as large as the image": {"blocks": tiny.blocks([5], kernel_size=12)},
    "the second kernel as large as its map": {"blocks": tiny.blocks([8, 6], stride=4)},
    "an average": {"blocks": tiny.blocks([8, 4], pool_size=2), "padding": "same", "head": "average"},
}


def results(layers, model, batch_norm):
    """The logits that these layers of the model give, and the gradients of its variables."""
    with tf.GradientTape() as tape:
        logits = layers(noise(32, tiny.SHAPE).astype(np.float32), training=batch_norm)
        loss = tf.reduce_sum(logits[:, 0] - logits[:, 1])
    return logits, tape.gradient(loss, model.trainable_variables)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", get_args(schema.Model.model_fields["activation"].annotation))
@pytest.mark.parametrize("network", NETWORKS)
def test_training_gives_the_outputs_and_gradients_of_the_layers_as_written(network, activation, batch_norm):
    model = build(**NETWORKS[network], activation=activation, batch_norm=batch_norm)
    biases = [weights for weights in model.trainable_variables if weights.name == "bias"]
    for number, bias in enumerate(biases):  # from 0, they would hardly matter
        bias.assign(np.random.default_rng(number).normal(0, 0.3, bias.shape))
    written = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    (logits, slopes), (same, others) = (results(layers, model, batch_norm) for layers in (written, logits_of(model)))
    np.testing.assert_allclose(same, logits, rtol=1e-5, atol=1e-5)
    for slope, other in zip(slopes, others, strict=True):
        size = np.abs(slope).max()
        np.testing.assert_allclose(other / size, slope / size, atol=1e-4)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_with_relu_all_gradients_but_those_of_biases_are_the_same_bits(batch_norm):
    """Biases are summed in another order."""
    model = build(**NETWORKS["pooled"], activation="relu", batch_norm=batch_norm)
    written = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    (_, slopes), (_, others) = (results(layers, model, batch_norm) for layers in (written, logits_of(model)))
    for weights, slope, other in zip(model.trainable_variables, slopes, others, strict=True):
        if weights.name == "bias":
            np.testing.assert_allclose(other, slope, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(other, slope)


class Doubled(keras.layers.Conv2D):
    """Stands for a convolution of another kind."""

    def call(self, inputs):
        return 2 * super().call(inputs)


@pytest.mark.parametrize(
    "layers",
    [
        [keras.layers.Activation("relu"), keras.layers.MaxPooling2D(2)],
        [keras.layers.MaxPooling2D(2)],
        [Doubled(4, 3), keras.layers.MaxPooling2D(2)],
        [keras.layers.Conv2D(4, 3, activation="tanh", dilation_rate=2), keras.layers.Activation("relu")],
        [keras.layers.Conv2D(4, 3, dilation_rate=2), keras.layers.Activation("relu"), keras.layers.MaxPooling2D(2)],
        [keras.layers.Conv2D(4, 12, 3, "same"), keras.layers.Activation("relu"), keras.layers.MaxPooling2D(2)],
    ],
)
def test_other_networks_of_keras_compute_what_they_did(layers):
    model = keras.Sequential([keras.Input(tiny.SHAPE), *layers, keras.layers.Flatten(), keras.layers.Softmax()])
    images = noise(5, tiny.SHAPE) / np.float32(255)
    np.testing.assert_allclose(keras.ops.softmax(logits_of(model)(images)), model(images), atol=1e-6)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", get_args(schema.Model.model_fields["activation"].annotation))
def test_training_pools_before_a_monotone_activation_and_any_batch_normalisation(activation, batch_norm):
    rows = tiny.blocks([8, 4], kernel_size=2, pool_size=2)
    order = names(logits_of(build(blocks=rows, activation=activation, batch_norm=batch_norm)))
    for number in (1, 2):
        assert (order.index(f"pool{number}") < order.index(f"{activation}{number}")) == (
            batch_norm or activation != "gelu"
        )
        assert not batch_norm or order.index(f"pool{number}") < order.index(f"norm{number}")
