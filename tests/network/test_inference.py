"""Inference: an image's probabilities are its own, to the last bit, whatever the batch."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn.network.batch_norm import fold_batch_norm
from cnn.network.inference import feature_maps, predictor
from tests import tiny
from tests.network.networks import RICH, build, noise, outputs, settled

MOST = 130
STRIDED = {
    "blocks": tiny.blocks([5, 9], kernel_size=4, stride=2),
    "batch_norm": True,
    "activation": "elu",
    "padding": "same",
    "head": "average",
}
# Each: the images' shape, how far they are shifted, the options of `model`. All that was ever seen to make the last
# bits depend on the batch: functions of each value at the end of a tensor, means over feature maps, matrix products.
KINDS = {
    "lesson": ((28, 28, 1), 0, tiny.LESSON["model"]),
    "strided, batch norm, elu, same, average": ((16, 16, 1), 0, STRIDED),
    "batch norm, shifted": ((12, 12, 1), 2, RICH),
    "kernel 5": ((12, 12, 1), 0, {"blocks": tiny.blocks([7], kernel_size=5, pool_size=2), "dense_units": 10}),
    "kernel 1": ((9, 9, 1), 0, {"blocks": tiny.blocks([8, 6], kernel_size=1, stride=2), "dense_units": 7}),
    "no dense layer": ((12, 12, 1), 0, {"dense_units": 0}),
    "colour, shifted": ((10, 12, 3), 1, {"blocks": tiny.blocks([6, 7]), "dense_units": 9, "activation": "tanh"}),
    "average of 17 maps, sigmoid": (
        (12, 12, 1),
        0,
        {"blocks": tiny.blocks([17], stride=3), "head": "average", "activation": "sigmoid"},
    ),
    "average of 130 maps, softplus": (
        (12, 12, 1),
        3,
        {"blocks": tiny.blocks([130], stride=3), "head": "average", "dense_units": 130, "activation": "softplus"},
    ),
    "one pixel, gelu": ((1, 1, 1), 0, {"blocks": tiny.blocks([3], kernel_size=1), "activation": "gelu"}),
}
KINDS_FOLDED = [
    (kind, folded) for kind in KINDS for folded in (False, True) if not folded or KINDS[kind][2].get("batch_norm")
]


@functools.cache
def prepared(kind, folded):
    """A network, its predictor, images for it, and what the predictor gives for all of them at once."""
    shape, shift, options = KINDS[kind]
    model = build(shape=shape, classes=10, **options)
    if options.get("batch_norm"):
        settled(model)
    predict = predictor(fold_batch_norm(model) if folded else model, shift)
    images = noise(MOST, shape)
    return model, predict, images, predict(images, MOST)


@pytest.mark.parametrize(("kind", "folded"), KINDS_FOLDED)
@settings(max_examples=15)
@given(count=st.integers(1, MOST), batch_size=st.integers(1, 200))
def test_predictions_do_not_depend_on_the_batch_size_nor_on_what_follows(kind, folded, count, batch_size):
    _, predict, images, probabilities = prepared(kind, folded)
    np.testing.assert_array_equal(predict(images[:count], batch_size), probabilities[:count])


@functools.cache
def prepared_for_many(units, shift):
    """The lesson's network with so many hidden units, its predictor, and images for it."""
    predict = predictor(build(shape=(28, 28, 1), classes=10, **tiny.LESSON["model"] | {"dense_units": units}), shift)
    images = noise(2000, (28, 28, 1))
    return predict, images, predict(images[:300], 24)


@pytest.mark.parametrize("batch_size", [1, 96, 97, 500, 1000, 1_000_000])
@pytest.mark.parametrize(("units", "shift"), [(64, 0), (600, 0), (512, 1)])
def test_predictions_of_many_images_do_not_depend_on_the_batch_size(units, shift, batch_size):
    """Matrix products of many rows by many columns are added in another order than those of few."""
    predict, images, of_few = prepared_for_many(units, shift)
    np.testing.assert_array_equal(predict(images, batch_size)[:300], of_few)


@pytest.mark.parametrize("kind", ["lesson", "kernel 1", "batch norm, shifted", "colour, shifted"])
def test_an_image_alone_has_the_probabilities_that_it_has_among_others(kind):
    """With flattened feature maps, at any place. (A mean over 17 of them depends on the place modulo 8.)"""
    _, predict, images, probabilities = prepared(kind, False)
    for place in (0, 1, 7, 24, 50, MOST - 1):
        np.testing.assert_array_equal(predict(images[place : place + 1], 1)[0], probabilities[place])


def test_a_predictor_made_anew_gives_the_same_bits():
    model, images = build(**RICH), noise(30, tiny.SHAPE)
    first = predictor(model)(images[:1], 1)  # compiled for another number of images than the second
    np.testing.assert_array_equal(predictor(model)(images, 30)[:1], first)


@pytest.mark.parametrize(("kind", "folded"), [(kind, folded) for kind, folded in KINDS_FOLDED if not KINDS[kind][1]])
def test_predictions_are_what_keras_gives(kind, folded):
    model, _, images, probabilities = prepared(kind, folded)
    expected = outputs(model, images[:25])
    assert np.ptp(expected, axis=0).max() > 1e-4, "images differ"
    np.testing.assert_allclose(probabilities[:25], expected, atol=1e-6)


def test_images_of_floats_give_what_those_of_bytes_give(rich):
    images, _ = tiny.bars(9)
    np.testing.assert_array_equal(predictor(rich)(images.astype(np.float64), 4), predictor(rich)(images, 4))


def test_a_network_that_learns_on_is_used_as_it_is_then():
    model, images = build(), noise(5, tiny.SHAPE)
    predict = predictor(model)
    before = predict(images, 5)
    model.set_weights([weights + 0.1 for weights in build(seed=8).get_weights()])
    after = predict(images, 5)
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, outputs(model, images), atol=1e-6)


def test_shifted_views_are_averaged(rich):
    images, _ = tiny.bars(9)
    framed = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    views = [framed[:, top : top + 12, left : left + 12] for top, left in ((2, 2), (0, 2), (4, 2), (2, 0), (2, 4))]
    expected = np.mean([outputs(rich, view) for view in views], axis=0)
    np.testing.assert_allclose(predictor(rich, shift=2)(images, 9), expected, atol=1e-6)


@pytest.mark.parametrize("shift", [0, 2])
def test_an_image_and_its_mirror_image_are_taken_for_the_same(rich, shift):
    """Their outputs are the mean of both, each with its shifted views."""
    images, _ = tiny.bars(9)
    plain, mirrored = predictor(rich, shift), predictor(rich, shift, flip=True)
    expected = (plain(images, 9) + plain(images[:, :, ::-1], 9)) / 2
    assert np.abs(plain(images, 9) - expected).max() > 1e-3
    np.testing.assert_allclose(mirrored(images, 9), expected, atol=1e-6)
    np.testing.assert_allclose(mirrored(images[:, :, ::-1], 9), expected, atol=1e-6)


def test_no_images_give_no_predictions(rich):
    probabilities = predictor(rich)(np.empty((0, *tiny.SHAPE), np.uint8), 10)
    assert probabilities.shape == (0, tiny.CLASSES)
    assert probabilities.dtype == np.float32


@pytest.mark.parametrize(("batch_norm", "expected"), [(False, "relu1 pool1 relu2 pool2"), (True, "relu1 relu2")])
def test_feature_maps_are_activated_pooled_or_not(batch_norm, expected):
    blocks = tiny.blocks([8, 4], kernel_size=2, pool_size=2)
    model = fold_batch_norm(build(activation="relu", batch_norm=batch_norm, blocks=blocks))
    maps = feature_maps(model, noise(1, tiny.SHAPE)[0])
    assert list(maps) == expected.split()
    assert all(values.min() >= 0 for values in maps.values())
    assert [values.shape[-1] for values in (maps["relu1"], maps["relu2"])] == [8, 4]
