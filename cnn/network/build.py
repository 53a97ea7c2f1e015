"""Build the network that params.yaml describes under `model`."""

from collections.abc import Sequence

import keras

from cnn.network import memory
from cnn.network.batch_norm import BatchNormalization
from cnn.process.errors import InputError
from cnn.settings import schema


def build_cnn_model(input_shape: Sequence[int], num_classes: int, options: schema.Model) -> keras.Sequential:
    """Build the network that params.yaml describes under `model`.

    input_shape: (height, width, channels). The model takes (n, height, width, channels), pixels in [0, 255]
    with `options.normalize` and in [0, 1] without, and gives probabilities (n, num_classes) float32.
    Raises InputError where the feature map shrinks below a kernel, or where the network does not fit into memory.
    """
    try:
        options.feature_maps(*input_shape[:2])
    except ValueError as error:
        raise InputError(f"model.{error}") from None
    memory.require_build(input_shape, num_classes, options)
    layers = keras.layers
    network = [keras.Input(tuple(input_shape), name="pixels")]
    if options.normalize:
        network.append(layers.Rescaling(1 / 255, name="rescale"))
    for number, (name, block) in enumerate(options.blocks.items(), 1):
        network += _block(number, name, block, options)
    if options.head == "average":
        network.append(layers.GlobalAveragePooling2D(name="average"))
    else:
        network.append(layers.Flatten(name="flatten"))
    if options.dense_units:
        if options.dropout:
            network.append(layers.Dropout(options.dropout, name="dropout1"))
        network.append(layers.Dense(options.dense_units, options.activation, name="dense1"))
    if options.dropout:
        network.append(layers.Dropout(options.dropout, name="dropout"))
    network += [layers.Dense(num_classes, name="logits"), layers.Softmax(name="probabilities")]
    # All at once: added one by one, Keras builds the whole network anew for each.
    return keras.Sequential(network, name="cnn")


def _block(number: int, name: str, block: schema.Block, options: schema.Model) -> list[keras.Layer]:
    layers = keras.layers
    # A bias before batch normalisation would be subtracted again with the mean.
    bias = not options.batch_norm
    convolution = layers.Conv2D(
        block.filters, block.kernel_size, block.stride, options.padding, use_bias=bias, name=name
    )
    activation = layers.Activation(options.activation, name=f"{options.activation}{number}")
    pooling = [layers.MaxPooling2D(block.pool_size, name=f"pool{number}")] if block.pool_size > 1 else []
    if options.batch_norm:  # of what the pooling leaves: with 2 x 2, a quarter of the work
        return [convolution, *pooling, BatchNormalization(name=f"norm{number}"), activation]
    return [convolution, activation, *pooling]
