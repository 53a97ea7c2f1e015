"""Refuse what cannot fit into memory, before TensorFlow crashes on it or the system kills it."""

import math
from pathlib import Path

import keras

from cnn.process.errors import InputError


def require(model: keras.Sequential, batch_size: int) -> None:
    """Raise InputError where a batch cannot fit.

    Needed at least: what every layer gives, once forward and once as a gradient, in float32.
    """
    values = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    needed = 2 * 4 * values * batch_size / 1e9
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(memory["MemAvailable"].split()[0]) * 1024 / 1e9
    if needed > free:
        raise InputError(
            f"train.batch_size: expected a batch that fits into the {free:.1f} GB of memory that are free. Received: "
            f"{batch_size}, which needs at least {needed:.1f} GB. Lower it, or the filters in model.blocks."
        )
