"""Mixed precision: layers that compute in bfloat16, while their variables stay float32."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from cnn.process import machine
from cnn.process.errors import InputError

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # Keras' names
# Cheap, and wrong in bfloat16: TensorFlow adds up there what many images give to a bias (256 + 1 is 256), and draws
# whether to drop from 128 numbers (a rate of 0.001 drops 0.008). Also the layer that gives the logits is one of them.
EXACT = (keras.layers.Dense, keras.layers.Dropout)


def require(precision: str) -> None:
    """Raise InputError where no kernels compute in bfloat16: where they are held to AVX2, and on most CPUs."""
    held = "ONEDNN_MAX_CPU_ISA" in os.environ  # the same bits everywhere
    able = tf.config.list_physical_devices("GPU") or "avx512_bf16" in machine.cpu_flags()
    if precision == "bfloat16" and (held or not able):
        received = "kernels held to AVX2, for the same bits on every CPU" if held else "neither"
        raise InputError(
            "train.precision: expected float32, or for bfloat16 a GPU or a CPU with AVX512_BF16. Received: 'bfloat16' "
            f"and {received}. Set train.precision to float32."
        )


@contextmanager
def computing(layers: Iterable[keras.Layer], precision: str) -> Iterator[None]:
    """Let the layers, less those of EXACT, compute in "float32" or "bfloat16" while the block traces them.

    Afterwards they are float32 again: so they are measured and saved. bfloat16 has the range of float32 and 8 of its 24
    bits of precision, so gradients need no scaling (D. Kalamkar and others, arXiv:1905.12322).
    """
    before = [(layer, layer.dtype_policy) for layer in layers if not isinstance(layer, EXACT)]
    for layer, _ in before:
        layer.dtype_policy = POLICIES[precision]
    try:
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy
