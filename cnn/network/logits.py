"""The network as training runs it: the same function of the same variables, in an order that costs less."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

# Activations that never make the larger of two numbers the smaller one: all but gelu.
MONOTONE = ("relu", "leaky_relu", "elu", "softplus", "tanh", "sigmoid")


def logits_of(model: keras.Sequential) -> keras.Sequential:
    """The model without its last layer, a softmax, with the same variables. Raises ValueError without one.

    Without batch normalisation, where the activation is monotone, a block pools first, and then adds its biases and
    activates what is left: the same outputs from a quarter of the work. Both round some values to the same one; pooling
    before them passes the gradient to the truly largest.
    """
    if not isinstance(model.layers[-1], keras.layers.Softmax):
        raise ValueError(f"expected a model whose last layer is a Softmax. Received: {model.layers[-1]!r}")
    layers = [keras.Input(model.input_shape[1:])]
    for layer in model.layers[:-1]:
        # Just this class: one derived from it may compute something else.
        if type(layer) is keras.layers.Conv2D and layer.activation is keras.activations.linear:
            layers += [_Convolution(layer), *([_Bias(layer)] if layer.use_bias else [])]
        elif isinstance(layer, keras.layers.MaxPooling2D) and _monotone(layers[-1]):
            layers.insert(-2 if isinstance(layers[-2], _Bias) else -1, layer)
        else:
            layers.append(layer)
    return keras.Sequential(layers)


def _monotone(layer: keras.Layer) -> bool:
    # Alone: a convolution with an activation of its own would be moved as well.
    return isinstance(layer, keras.layers.Activation) and layer.get_config()["activation"] in MONOTONE


class _Part(keras.layers.Layer):
    """A part of what a convolution does, with its variables."""

    def __init__(self, convolution: keras.layers.Conv2D):
        super().__init__()
        self._convolution = convolution


class _Convolution(_Part):
    """A convolution without its bias. Where the kernel covers all that it sees, a matrix product, which is faster."""

    def call(self, maps: tf.Tensor) -> tf.Tensor:
        convolution = self._convolution
        kernel = tf.convert_to_tensor(convolution.kernel)
        if convolution.padding == "valid" and maps.shape[1:] == kernel.shape[:-1]:
            size = math.prod(maps.shape[1:])
            return (tf.reshape(maps, (-1, size)) @ tf.reshape(kernel, (size, -1)))[:, None, None]
        return convolution.convolution_op(maps, kernel)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self._convolution.compute_output_shape(shape)


class _Bias(_Part):
    """The bias of a convolution."""

    def call(self, maps: tf.Tensor) -> tf.Tensor:
        return _add(maps, tf.convert_to_tensor(self._convolution.bias))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape


@tf.custom_gradient
def _add(maps: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Add a bias to each map. Its gradient is a product with ones: TensorFlow's own takes a twentieth of a step."""

    def gradients(slopes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.reshape(slopes, (-1, slopes.shape[-1]))
        return slopes, tf.matmul(tf.ones((1, tf.shape(rows)[0]), rows.dtype), rows)[0]

    return tf.nn.bias_add(maps, bias), gradients
