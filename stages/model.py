"""The network: build it, run it, save it to the same bytes every time, load it without running its code."""

import functools
import itertools
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stages import dataset, files, params
from stages.errors import InputError
from stages.runtime import SHARDS

MODEL = Path("data/model/model.keras")
# A fixed date for everything in the archive: the earliest that zip knows.
DATE = (1980, 1, 1, 0, 0, 0)


@keras.saving.register_keras_serializable("stages")
class BatchNormalization(keras.layers.Layer):
    """Batch normalisation of (n, height, width, channels) with the same bits on every CPU.

    oneDNN's fused kernel divides by the square root; Keras' own layer multiplies by `rsqrt`, which starts
    from the CPU's approximation, and costs more. It is there for training only: `fold_batch_norm` merges it
    into the convolution before it. Each shard of a batch is normalised by its own statistics (S. Ioffe,
    C. Szegedy, arXiv:1502.03167).
    """

    momentum, epsilon = 0.9, 1e-3

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        fixed = {"shape": shape, "trainable": False, "aggregation": "mean"}
        self.mean = self.add_weight(initializer="zeros", name="mean", **fixed)
        self.variance = self.add_weight(initializer="ones", name="variance", **fixed)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            self.mean.assign(self.momentum * self.mean + (1 - self.momentum) * mean)
            self.variance.assign(self.momentum * self.variance + (1 - self.momentum) * variance)
            return outputs
        scale = self.gamma / tf.sqrt(self.variance + self.epsilon)
        return inputs * scale + (self.beta - self.mean * scale)


def build_cnn_model(input_shape: Sequence[int], num_classes: int, options: params.Model) -> keras.Sequential:
    """Build the network that params.yaml describes under `model`.

    input_shape: (height, width, channels). The model takes (n, height, width, channels), pixels in [0, 255]
    with `options.normalize` and in [0, 1] without, and gives probabilities (n, num_classes) float32.
    Raises InputError where the feature map shrinks below a kernel.
    """
    try:
        options.feature_maps(*input_shape[:2])
    except ValueError as error:
        raise InputError(f"model: {error}") from None
    layers = keras.layers
    network = keras.Sequential([keras.Input(tuple(input_shape), name="pixels")], name="cnn")
    if options.normalize:
        network.add(layers.Rescaling(1 / 255, name="rescale"))
    columns = zip(options.filters, options.kernel_sizes, options.strides, options.pool_sizes, strict=True)
    for block, (filters, kernel_size, stride, pool_size) in enumerate(columns, 1):
        # A bias before batch normalisation would be subtracted again with the mean.
        bias = not options.batch_norm
        network.add(layers.Conv2D(filters, kernel_size, stride, options.padding, use_bias=bias, name=f"conv{block}"))
        if options.batch_norm:
            network.add(BatchNormalization(name=f"norm{block}"))
        network.add(layers.Activation(options.activation, name=f"{options.activation}{block}"))
        if pool_size > 1:
            network.add(layers.MaxPooling2D(pool_size, name=f"pool{block}"))
    if options.head == "average":
        network.add(layers.GlobalAveragePooling2D(name="average"))
    else:
        network.add(layers.Flatten(name="flatten"))
    for number, units in enumerate(options.dense_units, 1):
        if options.dropout:
            network.add(layers.Dropout(options.dropout, name=f"dropout{number}"))
        network.add(layers.Dense(units, options.activation, name=f"dense{number}"))
    if options.dropout:
        network.add(layers.Dropout(options.dropout, name="dropout"))
    network.add(layers.Dense(num_classes, name="logits"))
    network.add(layers.Softmax(name="probabilities"))
    return network


def logits_of(model: keras.Sequential) -> keras.Sequential:
    """The model without its last layer, a softmax, with the same variables. Raises ValueError without one."""
    if not isinstance(model.layers[-1], keras.layers.Softmax):
        raise ValueError(f"expected a model whose last layer is a Softmax. Received: {model.layers[-1]!r}")
    return keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])


def in_shards(batch: tf.Tensor) -> list[tf.Tensor]:
    """Cut a batch into SHARDS parts along its first axis, as equal as can be."""
    size = batch.shape[0] or tf.shape(batch)[0]
    cuts = [size * part // SHARDS for part in range(SHARDS + 1)]
    return [batch[start:stop] for start, stop in itertools.pairwise(cuts)]


def total(parts: Iterable[tf.Tensor]) -> tf.Tensor:
    """Add tensors in the order given. `tf.add_n` begins with whichever has a buffer to spare just then."""
    return functools.reduce(tf.add, parts)


def predictor(model: keras.Sequential, shift: int = 0) -> Callable[[NDArray, int], NDArray[np.float32]]:
    """Compile the model for inference.

    shift: where not 0, the outputs are the mean over each image and its four copies moved by so many pixels
    up, down, left and right (test-time augmentation).
    The function returned takes images (n, height, width, channels), uint8 or float, and a batch size, and
    gives the model's outputs (n, ...) float32.
    """

    def views(images: tf.Tensor) -> list[tf.Tensor]:
        if not shift:
            return [images]
        height, width = images.shape[1:3]
        framed = tf.pad(images, [[0, 0], [shift, shift], [shift, shift], [0, 0]])
        corners = [(shift, shift), (0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift)]
        return [framed[:, top : top + height, left : left + width] for top, left in corners]

    @tf.function(autograph=False, reduce_retracing=True)
    def forward(batch: tf.Tensor) -> tf.Tensor:
        outputs = []
        for shard in in_shards(batch):
            seen = views(shard)
            parts = tf.split(model(tf.cast(tf.concat(seen, axis=0), tf.float32), training=False), len(seen))
            outputs.append(total(parts) / len(seen))
        return tf.concat(outputs, axis=0)

    def predict(images: NDArray, batch_size: int) -> NDArray[np.float32]:
        outputs = np.empty((len(images), *model.output_shape[1:]), np.float32)
        for start in range(0, len(images), batch_size):
            outputs[start : start + batch_size] = forward(tf.constant(images[start : start + batch_size]))
            dataset.release(images)
        return outputs

    return predict


def loss_and_accuracy(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Mean cross-entropy (natural logarithm) and share of right answers.

    probabilities: (n, classes), labels: (n,), n > 0. The logarithm is TensorFlow's, whose bits do not
    depend on the CPU as NumPy's do, and the sum is exact; a probability below 1e-7 counts as 1e-7.
    """
    likelihoods = np.maximum(probabilities[np.arange(len(labels)), labels], np.float32(1e-7))
    loss = -math.fsum(tf.math.log(likelihoods).numpy().tolist()) / len(labels)
    return {"loss": loss, "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels))}


def fold_batch_norm(model: keras.Sequential) -> keras.Sequential:
    """The same function in plain Keras layers: batch normalisation merged into convolutions, no dropout.

    gamma * (conv(x) - mean) / sqrt(variance + epsilon) + beta is a convolution again, with another kernel
    and a bias.
    """
    folded = keras.Sequential([keras.Input(model.input_shape[1:], name="pixels")], name=model.name)
    for position, layer in enumerate(model.layers):
        if isinstance(layer, (BatchNormalization, keras.layers.Dropout)):
            continue
        follower = model.layers[position + 1] if layer is not model.layers[-1] else None
        if isinstance(follower, BatchNormalization):
            twin = keras.layers.Conv2D.from_config({**layer.get_config(), "use_bias": True})
            folded.add(twin)
            gamma, beta, mean, variance = follower.get_weights()
            scale = gamma / np.sqrt(variance + np.float32(follower.epsilon))
            twin.set_weights([layer.get_weights()[0] * scale, beta - mean * scale])
        else:
            twin = layer.__class__.from_config(layer.get_config())
            folded.add(twin)
            twin.set_weights(layer.get_weights())
    return folded


def save_model(model: keras.Sequential, path: Path = MODEL) -> None:
    """Write the model, folded and without optimizer state, as a .keras archive: same weights, same bytes.

    Keras notes the date, memory addresses and file times in what it saves; they are taken out.
    """
    with files.whole(path) as out:
        draft = Path(f"{path}.draft.keras")
        try:
            keras.saving.save_model(fold_batch_norm(model), draft)
            with zipfile.ZipFile(draft) as source, zipfile.ZipFile(out, "w") as archive:
                for name in sorted(source.namelist()):
                    content = source.read(name)
                    if name.endswith(".json"):
                        content = _canonical(content).encode()
                    entry = zipfile.ZipInfo(name, DATE)
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, content)
        finally:
            draft.unlink(missing_ok=True)


def load_model(path: Path = MODEL) -> keras.Sequential:
    """Load a saved model, in Keras' safe mode: no code from the file is run. Raises InputError."""
    mend = "To go on: `dvc checkout` fetches it from the cache, or `dvc repro` trains it."
    if not zipfile.is_zipfile(path):
        found = "another file" if path.exists() else "none"
        raise InputError(f"{path}: expected a model in Keras' .keras format. Received: {found}. {mend}")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: expected a model in Keras' .keras format: {reason} {mend}") from None
    if not isinstance(model, keras.Model):
        raise InputError(f"{path}: expected a model. Received: {type(model).__name__}. {mend}")
    return model


def describe(model: keras.Sequential) -> str:
    """The network's layers and their settings as JSON, the same in every process."""
    return _canonical(model.to_json())


def _canonical(text: str | bytes) -> str:
    """JSON without the dates and memory addresses that Keras puts into it."""
    return json.dumps(_without_noise(json.loads(text)), sort_keys=True)


def _without_noise(node: Any) -> Any:
    if isinstance(node, dict):
        noise = ("date_saved", "shared_object_id")
        return {key: _without_noise(value) for key, value in node.items() if key not in noise}
    return [_without_noise(item) for item in node] if isinstance(node, list) else node
