"""The network that is built: its layers, its initial weights, what it refuses."""

import keras
import numpy as np
import pytest

from cnn.network.build import build_cnn_model
from cnn.process.errors import InputError
from tests import tiny
from tests.network.networks import RICH, build, noise, outputs

LESSON_LAYERS = "rescale conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 flatten dense1 logits probabilities"


def names(model):
    return [layer.name for layer in model.layers]


def test_lesson_network_has_its_layers_and_parameters():
    model = build_cnn_model((28, 28, 1), 10, tiny.model_options(**tiny.LESSON["model"]))
    assert names(model) == LESSON_LAYERS.split()
    assert model.count_params() == 93_322
    assert model.output_shape == (None, 10)


def test_every_option_has_its_layer():
    model = build(**RICH | {"head": "average", "blocks": tiny.blocks([8, 4], kernel_size=2, pool_size=2)})
    expected = (
        "rescale conv1 pool1 norm1 elu1 conv2 pool2 norm2 elu2 average dropout1 dense1 dropout logits probabilities"
    )
    assert names(model) == expected.split()
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.3, 0.3]
    assert model.get_layer("dense1").units == 16
    assert model.get_layer("dense1").activation is keras.activations.elu


def test_without_dense_units_there_is_no_hidden_layer_and_one_dropout():
    assert names(build(dense_units=0, dropout=0.3))[-4:] == ["flatten", "dropout", "logits", "probabilities"]


def test_each_block_is_its_row():
    rows = {
        "conv1": {"filters": 5, "kernel_size": 4, "stride": 2, "pool_size": 1},
        "conv2": {"filters": 6, "kernel_size": 2, "stride": 1, "pool_size": 2},
    }
    model = build(blocks=rows)
    for name, row in rows.items():
        layer = model.get_layer(name)
        assert (layer.filters, layer.kernel_size, layer.strides) == (
            row["filters"],
            (row["kernel_size"],) * 2,
            (row["stride"],) * 2,
        )
    assert [layer.pool_size for layer in model.layers if "pool" in layer.name] == [(2, 2)]
    assert tuple(model.get_layer("pool2").output.shape[1:]) == (
        *tiny.model_options(blocks=rows).feature_maps(12, 12)[-1],
        6,
    )


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_convolution_has_a_bias_unless_batch_normalisation_would_take_it_away(batch_norm):
    assert build(batch_norm=batch_norm).get_layer("conv1").use_bias is not batch_norm


def test_names_do_not_depend_on_what_was_built_before():
    first, second = build(**RICH), build(**RICH)
    for of in (
        lambda model: [model.name, *names(model)],
        lambda model: [variable.path for variable in model.trainable_variables],
    ):
        assert of(first) == of(second)


def test_same_seed_gives_same_initial_weights():
    first, second, other = (tiny.digest(build(seed).get_weights()) for seed in (1, 1, 2))
    assert first == second != other


def test_pixels_are_rescaled_inside_the_network():
    with_rescaling, without = build(normalize=True), build(normalize=False)
    without.set_weights(with_rescaling.get_weights())
    images, _ = tiny.bars(6)
    np.testing.assert_allclose(outputs(with_rescaling, images), outputs(without, images / 255), atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 14, 1)])
def test_any_image_shape_gives_probabilities(shape):
    probabilities = outputs(build(shape=shape, classes=5), noise(4, shape))
    assert probabilities.shape == (4, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_network_too_deep_for_its_images_is_refused():
    with pytest.raises(InputError) as refused:
        build(blocks=tiny.blocks([4, 4, 4], pool_size=2), padding="valid")
    assert str(refused.value) == (
        "model.blocks.conv3.kernel_size: expected at most 1: its feature map is 1 x 1. Received: 3. "
        "Use fewer blocks, or smaller kernels, strides or pools before it."
    )
