"""The training step: gradients of the shards of a batch, added in order, applied by the optimizer."""

import functools

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn.network.batch_norm import MOMENTUM
from cnn.network.logits import logits_of
from cnn.network.shards import cuts, total
from cnn.settings import schema
from cnn.training.augmentation import augment
from cnn.training.precision import computing
from cnn.training.workers import Workers

ALONE = Workers()


class Step:
    """Holds a network and its optimizer, and compiles a chunk, a few steps one after the other, into one graph.

    The shards of a batch are dealt out to the workers. What each gives is added in the order of the shards by every
    one of them: TensorFlow's own reductions add in an order of theirs. So all have the same variables, to the last bit.
    `variables`: all that training changes. `rows`: which of each batch this process trains on.
    """

    def __init__(
        self,
        model: keras.Sequential,
        dtype: np.dtype,
        options: schema.Train,
        class_weights: NDArray[np.float32] | None = None,
        workers: Workers = ALONE,
    ):
        """dtype: of the images that will come; class_weights: of each class, as the function of that name gives them.

        An optimizer without state is made for the model.
        """
        self._model = model
        self._logits = logits_of(model)
        self._options = options
        self._class_weights = class_weights
        self.workers = workers
        shards = min(options.shards, options.batch_size)
        self._cuts = cuts(options.batch_size, shards)
        mine = workers.shards(shards)
        self.rows = slice(self._cuts[mine.start], self._cuts[mine.stop])
        self._seeds = [layer.seed_generator.state for layer in model.layers if hasattr(layer, "seed_generator")]
        self._moving = model.non_trainable_weights  # batch normalisation's means and variances
        adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
        decay = options.weight_decay or None
        self._optimizer = (
            adam(weight_decay=decay)
            if options.optimizer == "adam"
            else sgd(momentum=0.9, nesterov=True, weight_decay=decay)
        )
        self._optimizer.build(model.trainable_variables)
        self.variables = [*model.variables, *self._optimizer.variables]
        # AutoGraph would rewrite Keras' code, to no end, in more time than all the rest of the tracing takes.
        self._shard = tf.function(self._share, autograph=False)  # traced once for all shards of a size
        floats = tf.TensorSpec((None,), tf.float32)
        data = [tf.TensorSpec((None, *model.input_shape[1:]), dtype), tf.TensorSpec((None,), tf.int32), floats]
        signature = [*data, floats, tf.TensorSpec((), tf.int32)]
        self._chunk = tf.function(self._run_chunk, autograph=False, input_signature=signature)

    def run(
        self,
        images: NDArray,
        labels: NDArray[np.int32],
        sample_weights: NDArray[np.float32],
        rates: NDArray[np.float32],
        first: int,
    ) -> tuple[float, float, NDArray[np.float32]]:
        """Train on images (k * n, height, width, channels) and labels (k * n,), n of each batch: its `rows`.

        sample_weights: how much each image counts, (k * n,); rates: the learning rate of each of the k steps; first:
        the number of the first one, from 0, which decides what is drawn. Returns the loss and the right answers of all
        workers' images, summed by their weights, and the loss of each, (k, batch size).
        """
        totals, losses = self._chunk(images, labels, sample_weights, rates, first)
        loss, hits = totals.numpy()
        return float(loss), float(hits), losses.numpy()

    def graph(self) -> tf.Graph:
        """What was compiled."""
        return self._chunk.get_concrete_function().graph

    def _run_chunk(self, *given: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        *data, rates, first = given  # as `run` takes them
        rows = self.rows.stop - self.rows.start
        batches = [tf.reshape(each, (-1, rows, *each.shape[1:])) for each in data]
        losses = tf.TensorArray(tf.float32, tf.size(rates), element_shape=(self._options.batch_size,))

        def step(number: tf.Tensor, totals: tf.Tensor, losses: tf.TensorArray) -> tuple:
            added, of_each = self._step([each[number] for each in batches], rates[number], first + number)
            return number + 1, totals + added, losses.write(number, of_each)

        start = 0, tf.zeros(2), losses
        _, totals, losses = tf.while_loop(lambda number, *_: number < tf.size(rates), step, start)
        return totals, losses.stack()

    def _step(self, batch: list[tf.Tensor], rate: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step, of which `rows` are here: (loss, right answers) of the whole batch, and the loss of each image."""
        sizes = np.diff(self._cuts)

        def share(shard: int) -> list[tf.Tensor]:
            rows = slice(self._cuts[shard] - self.rows.start, self._cuts[shard + 1] - self.rows.start)
            of_each, *parts = self._shard(*(each[rows] for each in batch), number * self._options.shards + shard)
            return [tf.pad(of_each, [[0, sizes.max() - sizes[shard]]]), *parts]  # what is gathered has the same shapes

        of_each, totals, *parts = zip(*self.workers.gather(share, len(sizes)), strict=True)
        losses = tf.concat([padded[:size] for padded, size in zip(of_each, sizes, strict=True)], 0)
        moving, gradients = parts[: len(self._moving)], parts[len(self._moving) :]
        for variable, shares in zip(self._moving, moving, strict=True):
            variable.assign(functools.reduce(lambda mean, part: MOMENTUM * mean + part, shares, variable.value))
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply([total(shares) for shares in gradients], self._model.trainable_variables)
        return total(totals), losses

    def _share(self, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, draw: tf.Tensor) -> list[tf.Tensor]:
        """What a shard gives: the loss of each image, (loss, right answers) summed by their weights, what it adds to
        each of batch normalisation's moving means and variances, and its part of the gradient of the batch's mean loss.
        draw: what its draws begin with.
        """
        smoothing, classes = self._options.label_smoothing, self._model.output_shape[-1]
        targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        images = augment(tf.cast(images, tf.float32), self._options.augment, (self._options.seed, draw))
        # A shard changes no variable, so that its worker does not matter: from 0, a moving mean is what it adds.
        seeds = [(state, tf.stack([state[0], tf.cast(draw, state.dtype)])) for state in self._seeds]
        zeros = [(variable, tf.zeros(variable.shape)) for variable in self._moving]
        with tf.GradientTape() as tape, keras.StatelessScope([*seeds, *zeros]) as scope:
            with computing(self._logits.layers, self._options.precision):
                logits = self._logits(images, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            if self._class_weights is not None:
                losses *= tf.gather(self._class_weights, labels)
            loss = tf.reduce_sum(losses * weights)
            mean = loss / self._options.batch_size
        hits = tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == labels, tf.float32) * weights)
        added = [scope.get_current_value(variable) for variable in self._moving]
        return [losses, tf.stack([loss, hits]), *added, *tape.gradient(mean, self._model.trainable_variables)]
