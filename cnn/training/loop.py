"""Train a network: epochs, validation, and a checkpoint to go on from."""

import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cnn.network import inference, memory, saved
from cnn.network.loss import loss_and_accuracy
from cnn.process.errors import InputError
from cnn.settings import schema
from cnn.storage import arrays
from cnn.training import precision
from cnn.training.checkpoint import Checkpoint, Progress, Row, fingerprint
from cnn.training.class_weights import class_weights
from cnn.training.rates import learning_rates
from cnn.training.sampling import Sampler
from cnn.training.step import ALONE, Step
from cnn.training.workers import Workers

VALIDATION_BATCH = 500
CHUNK = 4096  # images that go to the compiled step at a time: often enough for progress, seldom enough to cost nothing
TRIED = inference.PART  # images that the network is tried on after each epoch, where its training may have diverged
Split = tuple[NDArray, NDArray[np.integer]]


def train_cnn_model(
    model: keras.Sequential,
    images: NDArray,
    labels: NDArray[np.integer],
    options: schema.Train,
    validation: Split | None = None,
    checkpoint_path: Path | None = None,
    after_epoch: Callable[[list[Row]], None] = lambda history: None,
    workers: Workers = ALONE,
) -> list[Row]:
    """Train the model in place.

    images: (n, height, width, channels), in the range that the model takes; labels: (n,), from 0.
    validation: images and labels to be measured on after each epoch; never trained on.
    checkpoint_path: where the state is kept after each epoch, and within one after each
    `options.checkpoint_seconds`. A training that was killed goes on from there, to the same bits.
    after_epoch: called with the rows so far, first of all with those of a training that goes on.
    workers: who trains together. The others go on from the chief's checkpoint, and need none, nor validation.
    Returns a row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate (the last one used).
    Loss and accuracy are means over the epoch, as the weights change; the loss is the one that is made smaller, with
    `label_smoothing` and `class_weights`. An incomplete last batch is left out. Raises InputError where the images of
    an epoch are less than a batch, where they or the network do not fit into memory, or where training diverges.
    """
    precision.require(options.precision)
    sampler = Sampler(options, len(images))
    images = arrays.hold(images)
    step = Step(model, images.dtype, options, class_weights(labels, model.output_shape[-1], options), workers)
    rows = step.rows.stop - step.rows.start
    held = min(len(images), max(CHUNK // options.batch_size, 1) * rows) * images[:1].nbytes
    at_once = memory.images_at_once(model, VALIDATION_BATCH if validation else TRIED)
    memory.require_training(model, rows, held, at_once, options.shards)
    validate = _validator(model, validation, at_once)
    settings = [saved.describe(model), options.model_dump_json()]
    workers.require_same(fingerprint([labels, images[:TRIED]], settings, anywhere=True))
    key = fingerprint([images, labels, *(validation or ())], settings) if checkpoint_path else ""
    state = [*step.variables, *sampler.variables]
    checkpoint = Checkpoint(checkpoint_path, options.checkpoint_seconds, state, key)
    progress = checkpoint.resume(lambda content: workers.exchange(content)[0])
    if progress.step:
        print(f"train: going on from step {progress.step:,} of {sampler.steps_before(options.epochs):,}", flush=True)
    if progress.history:
        after_epoch(progress.history)
    while (epoch := len(progress.history)) < options.epochs:
        started = time.monotonic()
        loss, accuracy, rate = run_epoch(step, images, labels, options, sampler, progress, checkpoint)
        measured = {"loss": loss, "accuracy": accuracy, **validate()}
        _require_finite(model, images, epoch, measured, options)
        row = {"epoch": epoch + 1, **measured, "learning_rate": rate}
        progress = Progress(progress.step, history=[*progress.history, row])
        after_epoch(progress.history)
        if epoch + 1 < options.epochs:
            checkpoint.keep(progress)
        values = "  ".join(f"{name} {value:.4f}" for name, value in measured.items() if value is not None)
        print(f"epoch {epoch + 1}/{options.epochs}  {values}  {time.monotonic() - started:.1f} s", flush=True)
    return progress.history


def run_epoch(
    step: Step,
    images: NDArray,
    labels: NDArray[np.integer],
    options: schema.Train,
    sampler: Sampler,
    progress: Progress,
    checkpoint: Checkpoint,
) -> tuple[float, float, float]:
    """Train from where `progress` stands to the end of the epoch. Returns its loss, accuracy and last learning rate."""
    size, epoch, total = options.batch_size, len(progress.history), sampler.steps_before(options.epochs)
    done, chunk = progress.step - sampler.steps_before(epoch), max(CHUNK // size, 1)
    if not done:
        sampler.begin()
    order, sample_weights = sampler.epoch(epoch)
    name = f"epoch {epoch + 1}/{options.epochs}"
    with tqdm(desc=name, total=len(order), initial=done, unit="batch", leave=False, disable=None) as bar:
        for first in range(done, len(order), chunk):
            batches = slice(first, first + chunk)
            rows, weights = order[batches, step.rows].ravel(), sample_weights[batches, step.rows].ravel()
            rates = learning_rates(options, total, progress.step, len(order[batches]))
            data = arrays.take(images, rows), arrays.take(labels, rows).astype(np.int32)
            with step.workers.watched():
                loss, hits, losses = step.run(*data, weights, rates, progress.step)
            sampler.note(order[batches], losses)
            progress.totals = progress.totals[0] + loss, progress.totals[1] + hits
            progress.step += len(rates)
            bar.update(len(rates))
            if first + len(rates) < len(order):
                checkpoint.keep_when_due(progress)
    loss, accuracy = (float(each / sample_weights.sum(dtype=np.float64)) for each in progress.totals)
    # Sums of weights are rounded: all right may be a little more than 1.
    return loss, min(accuracy, 1.0), float(learning_rates(options, total, progress.step - 1, 1)[0])


def _validator(
    model: keras.Sequential, validation: Split | None, at_once: int
) -> Callable[[], dict[str, float | None]]:
    """A function that gives val_loss and val_accuracy of the model as it is then; None without images."""
    if validation is None or not len(validation[1]):
        return lambda: {"val_loss": None, "val_accuracy": None}
    predict, (images, labels) = inference.predictor(model), validation
    return lambda: {f"val_{name}": value for name, value in loss_and_accuracy(predict(images, at_once), labels).items()}


def _require_finite(model: keras.Sequential, images: NDArray, epoch: int, measured: Row, options: schema.Train) -> None:
    """Raise InputError where training diverged: also where only the last step did, and no loss shows it yet.

    Weights of 1e20 are finite, and yet nothing that such a network gives is: so it is tried on some images.
    """
    numbers = {
        "loss": [[value for value in measured.values() if value is not None]],
        "weights": model.get_weights(),
        "probabilities": [model(images[:TRIED].astype(np.float32), training=False)],
    }
    wrong = [name for name, some in numbers.items() if not all(np.isfinite(one).all() for one in some)]
    if wrong:
        raise InputError(
            f"epoch {epoch + 1}/{options.epochs}: expected a finite loss, weights and probabilities. Received: "
            f"{', '.join(wrong)} that are not. Training diverged: lower train.learning_rate "
            f"(now {options.learning_rate})."
        )
