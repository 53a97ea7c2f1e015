"""Run a network over images."""

import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn.network.shards import SHARDS, total
from cnn.storage import arrays

# Images computed at a time, always as many: kernels add in an order that depends on how many they are given (oneDNN's
# matrix products of many inputs), and treat the last ones in another way (its products the rows beyond a multiple of 6,
# Eigen's elu, sigmoid, … the values beyond one of 8). So an image's outputs depend neither on the batch size nor on
# how many follow.
PART = 24


def predictor(
    model: keras.Sequential, shift: int = 0, flip: bool = False
) -> Callable[[NDArray, int], NDArray[np.float32]]:
    """Compile the model for inference.

    shift: where not 0, the outputs are the mean over each image and its four copies moved by so many pixels
    up, down, left and right (test-time augmentation). flip: and over the same of its mirror image.
    The function returned takes images (n, height, width, channels), uint8 or float, and a batch size, and
    gives the model's outputs (n, ...) float32. The batch size decides how many images are read at a time, not the
    outputs; it is rounded up to a multiple of PART. SHARDS parts of a batch are computed side by side.
    """

    def outputs_of(part: tf.Tensor) -> tf.Tensor:
        seen = _views(part, shift, flip)
        parts = tf.split(model(tf.cast(tf.concat(seen, axis=0), tf.float32), training=False), len(seen))
        return total(parts) / len(seen)

    @tf.function(autograph=False)
    def forward(batch: tf.Tensor) -> tf.Tensor:
        parts = tf.reshape(batch, (-1, PART, *batch.shape[1:]))
        outputs = tf.map_fn(outputs_of, parts, SHARDS, fn_output_signature=tf.float32)
        return tf.reshape(outputs, (-1, *model.output_shape[1:]))

    def predict(images: NDArray, batch_size: int) -> NDArray[np.float32]:
        outputs = np.empty((len(images), *model.output_shape[1:]), np.float32)
        size = _rounded(batch_size)
        compiled = forward.get_concrete_function(tf.TensorSpec((None, *images.shape[1:]), images.dtype))  # once a dtype
        for start in range(0, len(images), size):
            batch = arrays.take(images, range(start, min(start + size, len(images))))
            outputs[start : start + size] = compiled(tf.constant(_padded(batch)))[: len(batch)]
        return outputs

    return predict


def feature_maps(model: keras.Sequential, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What each activation and pooling layer makes of an image (height, width, channels), by the layer's name.

    A pooling that an activation follows is left out.
    """
    activation, kinds = keras.layers.Activation, (keras.layers.Activation, keras.layers.MaxPooling2D)
    pairs = itertools.pairwise(model.layers)
    shown = [layer for layer, after in pairs if isinstance(layer, kinds) and not isinstance(after, activation)]
    maps = keras.Model(model.inputs[0], [layer.output for layer in shown])
    # Of one layer alone, Keras gives its output, and no list.
    outputs = keras.tree.flatten(maps(image[np.newaxis].astype(np.float32), training=False))
    return {layer.name: output[0].numpy() for layer, output in zip(shown, outputs, strict=True)}


def views(shift: int, flip: bool) -> int:
    """How many views of an image the predictor averages."""
    return (5 if shift else 1) * (2 if flip else 1)


def _views(images: tf.Tensor, shift: int, flip: bool) -> list[tf.Tensor]:
    """The images, where `shift` is not 0 their copies moved by it to the four sides, and with `flip` all mirrored."""
    views = [images]
    if shift:
        height, width = images.shape[1:3]
        framed = tf.pad(images, [[0, 0], [shift, shift], [shift, shift], [0, 0]])
        corners = [(shift, shift), (0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift)]
        views = [framed[:, top : top + height, left : left + width] for top, left in corners]
    return [*views, *(tf.reverse(view, [2]) for view in views)] if flip else views


def _rounded(count: int) -> int:
    """The next multiple of PART."""
    return -(-count // PART) * PART


def _padded(batch: NDArray) -> NDArray:
    """The batch, and empty images behind it up to a multiple of PART."""
    padded = np.zeros((_rounded(len(batch)), *batch.shape[1:]), batch.dtype)
    padded[: len(batch)] = batch
    return padded
