"""TensorFlow runs here as in a stage: one thread a kernel, the same bits on every CPU."""

from cnn.network import runtime

runtime.prepare("portable")
