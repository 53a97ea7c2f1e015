"""Batch normalisation with the same bits on every CPU, and its folding into plain layers."""

import keras
import numpy as np
import tensorflow as tf

MOMENTUM = 0.9  # of the moving mean and variance: what is kept of them at each shard


@keras.saving.register_keras_serializable("cnn")
class BatchNormalization(keras.layers.Layer):
    """Batch normalisation of (n, height, width, channels) with the same bits on every CPU.

    oneDNN's fused kernel divides by the square root; Keras' own layer multiplies by `rsqrt`, which starts
    from the CPU's approximation, and costs more. It is there for training only: `fold_batch_norm` merges it
    into the convolution before it, across a max pooling: so it scales by the absolute value of `gamma`. Each shard of
    a batch is normalised by its own statistics (S. Ioffe, C. Szegedy, arXiv:1502.03167).
    """

    epsilon = 1e-3

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        exact = {"shape": (input_shape[-1],), "autocast": False}  # float32 also among layers of a lower precision
        self.gamma = self.add_weight(initializer="ones", name="gamma", **exact)
        self.beta = self.add_weight(initializer="zeros", name="beta", **exact)
        fixed = {**exact, "trainable": False, "aggregation": "mean"}
        self.mean = self.add_weight(initializer="zeros", name="mean", **fixed)
        self.variance = self.add_weight(initializer="ones", name="variance", **fixed)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, tf.abs(self.gamma), self.beta, epsilon=self.epsilon, is_training=True
            )
            self.mean.assign(MOMENTUM * self.mean + (1 - MOMENTUM) * mean)
            self.variance.assign(MOMENTUM * self.variance + (1 - MOMENTUM) * variance)
            return outputs
        scale = tf.abs(self.gamma) / tf.sqrt(self.variance + self.epsilon)
        return inputs * scale + (self.beta - self.mean * scale)


def fold_batch_norm(model: keras.Sequential) -> keras.Sequential:
    """The same function in plain Keras layers: batch normalisation merged into convolutions, no dropout.

    |gamma| * (conv(x) - mean) / sqrt(variance + epsilon) + beta is a convolution again, with another kernel and a
    bias. It grows with conv(x), so that the largest of some values is the same one before it and behind it.
    """
    layers, weights = [], []
    for position, layer in enumerate(model.layers):
        if isinstance(layer, (BatchNormalization, keras.layers.Dropout)):
            continue
        behind = (each for each in model.layers[position + 1 :] if not isinstance(each, keras.layers.MaxPooling2D))
        follower = next(behind, None) if isinstance(layer, keras.layers.Conv2D) else None
        if isinstance(follower, BatchNormalization):
            layers.append(keras.layers.Conv2D.from_config({**layer.get_config(), "use_bias": True}))
            gamma, beta, mean, variance = follower.get_weights()
            scale = np.abs(gamma) / np.sqrt(variance + np.float32(follower.epsilon))
            weights += [layer.get_weights()[0] * scale, beta - mean * scale]
        else:
            layers.append(layer.__class__.from_config(layer.get_config()))
            weights += layer.get_weights()
    folded = keras.Sequential([keras.Input(model.input_shape[1:], name="pixels"), *layers], name=model.name)
    folded.set_weights(weights)
    return folded
