"""Refuse by name what cannot fit into memory, before TensorFlow crashes on it or the kernel ends the process.

The estimates follow what TensorFlow keeps, and are for the peak of many steps. Held against that of fresh processes
on four threads they are right within 30 % for training, whatever takes more than 200 MB, and at most twice as much as
it takes for prediction. Which shards of a batch are alive at once is the scheduler's choice in each step anew: on fewer
threads a short run may take half of what a long one does.
"""

import math
from collections.abc import Sequence

import keras

from cnn.network.batch_norm import BatchNormalization
from cnn.network.free_memory import free_bytes
from cnn.network.inference import PART, views
from cnn.network.shards import SHARDS
from cnn.process import machine
from cnn.process.errors import InputError
from cnn.settings import schema

FLOAT = 4  # bytes
# How often all parameters are in memory besides the network's own. In training, with the gradients of each shard:
# 2 slots (or 1 and its new value), 2 for sums and what the optimizer computes. In prediction: in the kernels' order.
IN_TRAINING, IN_PREDICTION = 4, 1
COMPILING = 5e7  # bytes that it takes to compile a step
# Layers that put their outputs, and the gradient of their inputs, into new memory. The others work in place.
MAKERS = (keras.layers.Conv2D, keras.layers.Dense, keras.layers.MaxPooling2D, keras.layers.GlobalAveragePooling2D)
MAKERS_IN_TRAINING = (*MAKERS, BatchNormalization, keras.layers.Dropout)
KEPT_BESIDES = {"leaky_relu": 1, "softplus": 1, "gelu": 3}  # tensors, where a gradient needs more than the outputs
SMALLER = "Lower model.dense_units, or the filters in model.blocks."


def parameters(input_shape: Sequence[int], num_classes: int, options: schema.Model) -> dict[str, int]:
    """The number of parameters of each layer that has some, batch normalisation with its convolution."""
    height, width, channels = input_shape
    counts = {}
    for name, block in options.blocks.items():
        kernel = block.kernel_size**2 * channels * block.filters
        counts[name] = kernel + block.filters * (4 if options.batch_norm else 1)
        channels = block.filters
    height, width = options.feature_maps(height, width)[-1]
    units = channels * (height * width if options.head == "flatten" else 1)
    if options.dense_units:
        counts["dense_units"] = (units + 1) * options.dense_units
        units = options.dense_units
    return counts | {"logits": (units + 1) * num_classes}


def require_build(input_shape: Sequence[int], num_classes: int, options: schema.Model) -> None:
    """Raise InputError where the network cannot even be built. While a weight is drawn, there are three of it."""
    counts = parameters(input_shape, num_classes, options)
    largest = max(counts, key=counts.__getitem__)
    total = sum(counts.values())
    what = f"one of {total:,} parameters, {counts[largest]:,} of them in {largest}"
    _require("model", "network", what, FLOAT * (total + 2 * counts[largest]), "to be built", SMALLER)


def require_training(model: keras.Sequential, batch_size: int, held: int, measured: int, shards: int = SHARDS) -> None:
    """Raise InputError where the network, once built, cannot be trained.

    held: bytes of images that go to the training step at a time; measured: images predicted at a time in between.
    """
    least = max(training_bytes(model, shards, shards=shards), prediction_bytes(model, measured))
    _require("model", "network", f"one of {model.count_params():,} parameters", least, "to be trained", SMALLER)
    needed = training_bytes(model, batch_size, held, shards)
    _require("train.batch_size", "batch", f"{batch_size}", needed, "", "Lower it, or the filters in model.blocks.")


def require_prediction(model: keras.Sequential, batch_size: int, images: int, shift: int, flip: bool) -> None:
    """Raise InputError where a batch of `evaluate.batch_size`, of so many images, cannot be predicted."""
    needed = prediction_bytes(model, min(batch_size, images), views(shift, flip))
    mend = "Lower it, set evaluate.shift to 0 and evaluate.flip to false, or lower the filters in model.blocks."
    _require("evaluate.batch_size", "batch", f"{batch_size}", needed, "", mend)


def images_at_once(model: keras.Sequential, most: int) -> int:
    """How many images to predict at a time: `most`, or where these do not fit into memory, as few as there can be."""
    return most if prediction_bytes(model, most) <= free_bytes() else PART


def _require(name: str, what: str, received: str, needed: float, purpose: str, mend: str) -> None:
    """Raise InputError where `needed` bytes are more than this process may take."""
    left = free_bytes()
    if needed > left:
        use = f"{needed / 1e9:.1f} GB {purpose}".strip()
        raise InputError(
            f"{name}: expected a {what} that fits into the {left / 1e9:.1f} GB of memory that are free. Received: "
            f"{received}, which needs about {use}. {mend}"
        )


def training_bytes(model: keras.Sequential, batch_size: int, held: int = 0, shards: int = SHARDS) -> float:
    """Estimate the bytes that training takes besides the network itself. held: as in `require_training`."""
    pixels = math.prod(model.input_shape[1:])
    peak = kept = pixels  # values of an image; kept: until the gradients have been computed
    taken, trained = pixels, False
    for layer in model.layers:
        given = math.prod(layer.output.shape[1:])
        makes = isinstance(layer, MAKERS_IN_TRAINING)
        function = getattr(getattr(layer, "activation", None), "__name__", "")
        kept += given * (makes + KEPT_BESIDES.get(function, 0))
        peak = max(peak, kept + given + (taken if makes and trained else 0))
        taken, trained = given, trained or bool(layer.weights)
    # The image itself: raw, cut from what is held; as float32, and that augmented.
    image = pixels * (2 + 2 * FLOAT)
    fixed = COMPILING + (shards + IN_TRAINING) * FLOAT * model.count_params() + 2 * held
    return fixed + batch_size * (image + FLOAT * peak * _spread(shards))


def prediction_bytes(model: keras.Sequential, images: int, seen: int = 1) -> float:
    """Estimate the bytes that `inference.predictor` takes for so many images at a time, besides the network itself.

    seen: views of each image, as its `shift` and `flip` make them.
    """
    pixels = math.prod(model.input_shape[1:])
    taken, peak = pixels, 0
    for layer in model.layers:
        given = math.prod(layer.output.shape[1:])
        peak = max(peak, taken + given if isinstance(layer, MAKERS) else given)
        taken = given
    rounded = -(-images // PART) * PART
    # Of those that are computed side by side, each view raw, moved and put to the others, and as float32.
    view = pixels * (2 + FLOAT) + FLOAT * peak * _spread()
    fixed = COMPILING + IN_PREDICTION * FLOAT * model.count_params()
    # Each image itself: raw, padded, as a tensor.
    return fixed + rounded * 3 * pixels + min(rounded, SHARDS * PART) * seen * view


def _spread(shards: int = SHARDS) -> float:
    """Where between one shard and all of them a step's peak is, and what the allocator adds; by the threads."""
    return 0.85 + 0.4 * min(machine.threads() / shards, 1)
