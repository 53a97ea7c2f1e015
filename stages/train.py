"""Train the network.

in:  data/processed/{train,validation}_*.npy, params.yaml: seed, model, train
out: data/model/model.keras, metrics/history.csv
"""

from stages import errors, params, runtime

if __name__ == "__main__":
    with errors.reported("train"):  # before NumPy and TensorFlow are imported, or it has no effect
        runtime.prepare(params.load_params().train.determinism)

import csv
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from stages import checkpoint, dataset, files
from stages import model as network
from stages.augment import augment
from stages.errors import InputError

HISTORY = Path("metrics/history.csv")
CHECKPOINT = Path("data/checkpoint/train.npz")
VALIDATION_BATCH = 500
CHUNK = 4096  # images that go to the compiled loop at a time: often enough for progress, seldom enough to cost nothing
Split = tuple[NDArray, NDArray[np.uint8]]
Row = dict[str, float | None]


def train_cnn_model(
    model: keras.Sequential,
    images: NDArray,
    labels: NDArray[np.uint8],
    options: params.Train,
    seed: int,
    validation: Split | None = None,
    checkpoint_path: Path | None = None,
) -> list[Row]:
    """Train the model in place.

    images: (n, height, width, channels), in the range that the model takes; labels: (n,), from 0.
    validation: images and labels to be measured on after each epoch; never trained on.
    checkpoint_path: where the state is kept after each epoch, and within one after each
    `options.checkpoint_seconds`. A training that was killed goes on from there, to the same bits.
    Returns a row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate (the last one used).
    Loss and accuracy are means over the epoch, as the weights change. An incomplete last batch is left out;
    which images are in it changes with each epoch. Raises InputError where the data is less than a batch,
    or where training diverges.
    """
    batch_size, steps = options.batch_size, len(images) // options.batch_size
    if not steps:
        raise InputError(
            f"train.batch_size: expected at most the {len(images)} training images. Received: {batch_size}."
        )
    require_memory(model, batch_size)
    rates = learning_rates(options, steps)
    run_chunk, optimizer = compile_loop(model, images, options, seed)
    predict = network.predictor(model)
    variables = [*model.variables, *optimizer.variables]
    state: checkpoint.State = {"step": 0, "totals": [0.0, 0.0], "history": []}
    if checkpoint_path:
        settings = [network.describe(model), options.model_dump_json(), str(seed)]
        key = checkpoint.fingerprint([images, labels, *(validation or ())], settings)
        if found := checkpoint.load(checkpoint_path, key):
            kept_values, state = found
            for variable, value in zip(variables, kept_values, strict=True):
                variable.assign(value)
            print(f"train: going on from step {state['step']:,} of {options.epochs * steps:,}", flush=True)

    def keep() -> None:
        if checkpoint_path:
            checkpoint.save(checkpoint_path, key, [variable.numpy() for variable in variables], state)

    chunk = max(CHUNK // batch_size, 1)
    kept = time.monotonic()
    for epoch in range(state["step"] // steps, options.epochs):
        started = time.monotonic()
        name = f"epoch {epoch + 1}/{options.epochs}"
        order = np.random.default_rng((seed, epoch)).permutation(len(images))[: steps * batch_size]
        done = state["step"] - epoch * steps
        with tqdm(desc=name, total=steps, initial=done, unit="batch", leave=False, disable=None) as bar:
            for first in range(done, steps, chunk):
                rows = order[first * batch_size : (first + chunk) * batch_size]
                count = len(rows) // batch_size
                step = state["step"]
                batches = dataset.take(images, rows), dataset.take(labels, rows).astype(np.int32)
                totals = run_chunk(*batches, rates[step : step + count], step)
                state["totals"] = [
                    one + float(other) for one, other in zip(state["totals"], totals.numpy(), strict=True)
                ]
                state["step"] += count
                bar.update(count)
                if time.monotonic() - kept > options.checkpoint_seconds and first + count < steps:
                    keep()
                    kept = time.monotonic()
        loss, accuracy = (total / (steps * batch_size) for total in state["totals"])
        if not math.isfinite(loss):
            raise InputError(
                f"{name}: expected a finite loss. Received: {loss}. Training diverged: lower train.learning_rate "
                f"(now {options.learning_rate})."
            )
        row: Row = {"loss": loss, "accuracy": accuracy, "val_loss": None, "val_accuracy": None}
        if validation and len(validation[1]):
            measured = network.loss_and_accuracy(predict(validation[0], VALIDATION_BATCH), validation[1])
            row |= {f"val_{metric}": measure for metric, measure in measured.items()}
        state["history"].append({"epoch": epoch + 1, **row, "learning_rate": float(rates[(epoch + 1) * steps - 1])})
        state["totals"] = [0.0, 0.0]
        if epoch + 1 < options.epochs:
            keep()
            kept = time.monotonic()
        values = "  ".join(f"{key} {value:.4f}" for key, value in row.items() if value is not None)
        print(f"{name}  {values}  {time.monotonic() - started:.1f} s", flush=True)
    return state["history"]


def require_memory(model: keras.Sequential, batch_size: int) -> None:
    """Raise InputError where a batch cannot fit: TensorFlow would crash, or the system would kill it, in the middle.

    Needed at least: what every layer gives, once forward and once as a gradient, in float32.
    """
    values = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    needed = 2 * 4 * values * batch_size / 1e9
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(memory["MemAvailable"].split()[0]) * 1024 / 1e9
    if needed > free:
        raise InputError(
            f"train.batch_size: expected a batch that fits into the {free:.1f} GB of memory that are free. Received: "
            f"{batch_size}, which needs at least {needed:.1f} GB. Lower it, or model.filters."
        )


def learning_rates(options: params.Train, steps: int) -> NDArray[np.float32]:
    """The learning rate of every step of every epoch.

    one_cycle: from a 25th up to the learning rate in the first quarter, then down to 0, both linear (after
    L. Smith, N. Topin, arXiv:1708.07120). Only exactly rounded arithmetic: the same on every CPU.
    """
    total = options.epochs * steps
    if options.schedule == "constant":
        return np.full(total, options.learning_rate, np.float32)
    rise = max(total // 4, 1)
    up = 0.04 + 0.96 * np.arange(rise) / rise
    down = np.arange(total - rise, 0, -1) / (total - rise) if total > rise else np.empty(0)
    return (options.learning_rate * np.concatenate([up, down])).astype(np.float32)


def compile_loop(
    model: keras.Sequential, images: NDArray, options: params.Train, seed: int
) -> tuple[Callable, keras.optimizers.Optimizer]:
    """Compile the training of a chunk, a few batches one after the other, into one graph.

    Returns a function and the optimizer. The function takes images (k * batch_size, height, width,
    channels), labels (k * batch_size,) int32, learning rates (k,) float32 and the number of the first
    step; it gives the summed loss and the number of right answers, (2,) float32. Called in the scope of a
    `tf.distribute` strategy (2 or SHARDS replicas), the shards of a batch are dealt out to the replicas.
    """
    strategy = tf.distribute.get_strategy()
    logits_model = network.logits_of(model)
    variables = model.trainable_variables
    classes, batch_size = model.output_shape[-1], options.batch_size
    adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
    optimizer = adam() if options.optimizer == "adam" else sgd(momentum=0.9, nesterov=True)
    optimizer.build(variables)

    def gradients_of(images: tf.Tensor, labels: tf.Tensor, noise: tf.Tensor) -> tuple:
        targets = tf.one_hot(labels, classes) * (1 - options.label_smoothing) + options.label_smoothing / classes
        images = augment(tf.cast(images, tf.float32), options.augment, noise)
        with tf.GradientTape() as tape:
            logits = logits_model(images, training=True)
            loss = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
            mean = loss / batch_size
        hits = tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == labels, tf.float32))
        return tf.stack([loss, hits]), tape.gradient(mean, variables)

    def replica_step(images: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        noise = [(seed, number * network.SHARDS + shard) for shard in range(network.SHARDS)]
        shards = list(zip(network.in_shards(images), network.in_shards(labels), noise, strict=True))
        # Without a strategy there is one replica, number 0. The optimizer adds up the gradients of all replicas.
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        mine = shards[replica :: strategy.num_replicas_in_sync]
        counts, gradients = zip(*[gradients_of(*shard) for shard in mine], strict=True)
        optimizer.learning_rate.assign(rate)
        optimizer.apply([network.total(parts) for parts in zip(*gradients, strict=True)], variables)
        return network.total(counts)

    @tf.function(
        autograph=False,  # it would take longer to rewrite Keras' code, to no end, than all the rest of the tracing
        input_signature=[
            tf.TensorSpec((None, *images.shape[1:]), images.dtype),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((), tf.int32),
        ],
    )
    def run_chunk(images: tf.Tensor, labels: tf.Tensor, rates: tf.Tensor, first_step: tf.Tensor) -> tf.Tensor:
        images = tf.reshape(images, (-1, batch_size, *images.shape[1:]))
        labels = tf.reshape(labels, (-1, batch_size))

        def step(number: tf.Tensor, totals: tf.Tensor) -> tuple:
            arguments = (images[number], labels[number], rates[number], first_step + number)
            counts = strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica_step, arguments), axis=None)
            return number + 1, totals + counts

        return tf.while_loop(lambda number, _: number < tf.size(rates), step, (0, tf.zeros(2)))[1]

    return run_chunk, optimizer


def main() -> None:
    options = params.load_params()
    summary = json.loads((dataset.PROCESSED / "summary.json").read_text())
    images, labels = dataset.open_split("train")
    runtime.set_global_seed(options.seed)
    model = network.build_cnn_model(images.shape[1:], len(summary["classes"]), options.model)
    model.summary()
    print(f"train: determinism {options.train.determinism}, {runtime.threads()} threads", flush=True)
    validation = dataset.open_split("validation")
    history = train_cnn_model(model, images, labels, options.train, options.seed, validation, CHECKPOINT)
    network.save_model(model)
    with files.whole(HISTORY, "w") as out:
        table = csv.DictWriter(out, history[0], lineterminator="\n")
        table.writeheader()
        for row in history:
            table.writerow({key: "" if value is None else f"{value:.6g}" for key, value in row.items()})
    CHECKPOINT.unlink(missing_ok=True)
    print(f"train: accuracy in the last epoch {history[-1]['accuracy']:.4f}")


if __name__ == "__main__":
    with errors.reported("train"):
        main()
