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
    network = keras.Sequential([keras.Input(tuple(input_shape), name="pixels")], name="cnn")
    if options.normalize:
        network.add(layers.Rescaling(1 / 255, name="rescale"))
    for number, (name, block) in enumerate(options.blocks.items(), 1):
        _add_block(network, number, name, block, options)
    if options.head == "average":
        network.add(layers.GlobalAveragePooling2D(name="average"))
    else:
        network.add(layers.Flatten(name="flatten"))
    if options.dense_units:
        if options.dropout:
            network.add(layers.Dropout(options.dropout, name="dropout1"))
        network.add(layers.Dense(options.dense_units, options.activation, name="dense1"))
    if options.dropout:
        network.add(layers.Dropout(options.dropout, name="dropout"))
    network.add(layers.Dense(num_classes, name="logits"))
    network.add(layers.Softmax(name="probabilities"))
    return network


def _add_block(network: keras.Sequential, number: int, name: str, block: schema.Block, options: schema.Model) -> None:
    layers = keras.layers
    # A bias before batch normalisation would be subtracted again with the mean.
    bias = not options.batch_norm
    network.add(
        layers.Conv2D(block.filters, block.kernel_size, block.stride, options.padding, use_bias=bias, name=name)
    )
    if options.batch_norm:
        network.add(BatchNormalization(name=f"norm{number}"))
    network.add(layers.Activation(options.activation, name=f"{options.activation}{number}"))
    if block.pool_size > 1:
        network.add(layers.MaxPooling2D(block.pool_size, name=f"pool{number}"))
