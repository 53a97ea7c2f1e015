"""Small networks for tests."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnn.network.build import build_cnn_model
from tests import tiny

RICH = {
    "blocks": tiny.blocks([8], stride=2),
    "batch_norm": True,
    "dropout": 0.3,
    "dense_units": 16,
    "activation": "elu",
}


def build(seed: int = 7, shape: tuple[int, ...] = tiny.SHAPE, classes: int = tiny.CLASSES, **options: Any):
    """A network of `tiny.model_options` with the initial weights of a seed."""
    keras.utils.set_random_seed(seed)
    return build_cnn_model(shape, classes, tiny.model_options(**options))


def settled(model: keras.Sequential) -> keras.Sequential:
    """The network after it has seen images in training: batch normalisation's statistics are theirs."""
    for seed in range(3):
        model(noise(64, model.input_shape[1:], seed).astype(np.float32), training=True)
    return model


def noise(count: int, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    """Images (count, *shape) that are all different."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def outputs(model: keras.Sequential, images: NDArray) -> NDArray[np.float32]:
    """What Keras itself gives, all images at once."""
    return np.asarray(model(images.astype(np.float32), training=False))
