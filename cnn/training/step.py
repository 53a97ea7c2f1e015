"""The training step: gradients of the shards of a batch, added in order, applied by the optimizer."""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnn.network.build import logits_of
from cnn.network.shards import SHARDS, in_shards, total
from cnn.settings import schema
from cnn.training.augmentation import augment


class Step:
    """Holds a network and its optimizer, and compiles a chunk, a few steps one after the other, into one graph.

    Made in the scope of a `tf.distribute` strategy (2 or SHARDS replicas), it deals the shards of a batch out to
    the replicas. `variables`: all that training changes.
    """

    def __init__(
        self,
        model: keras.Sequential,
        dtype: np.dtype,
        options: schema.Train,
        weights: NDArray[np.float32] | None = None,
    ):
        """dtype: of the images that will come; weights: of each class, as `class_weights` gives them.

        An optimizer without state is made for the model.
        """
        self._model = model
        self._logits = logits_of(model)
        self._options = options
        self._weights = weights
        self._strategy = tf.distribute.get_strategy()
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
        self._chunk = tf.function(
            self._run_chunk,
            autograph=False,
            input_signature=[
                tf.TensorSpec((None, *model.input_shape[1:]), dtype),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((), tf.int32),
            ],
        )

    def run(
        self, images: NDArray, labels: NDArray[np.int32], rates: NDArray[np.float32], first: int
    ) -> tuple[float, float]:
        """Train on images (k * batch_size, height, width, channels) and labels (k * batch_size,).

        rates: the learning rate of each of the k steps; first: the number of the first one, from 0, which decides
        what is drawn. Returns the summed loss and the number of right answers.
        """
        loss, hits = self._chunk(images, labels, rates, first).numpy()
        return float(loss), float(hits)

    def graph(self) -> tf.Graph:
        """What was compiled."""
        return self._chunk.get_concrete_function().graph

    def _run_chunk(self, images: tf.Tensor, labels: tf.Tensor, rates: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        images = tf.reshape(images, (-1, self._options.batch_size, *images.shape[1:]))
        labels = tf.reshape(labels, (-1, self._options.batch_size))

        def step(number: tf.Tensor, totals: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            arguments = (images[number], labels[number], rates[number], first + number)
            counts = self._strategy.run(self._replica_step, arguments)
            return number + 1, totals + self._strategy.reduce(tf.distribute.ReduceOp.SUM, counts, axis=None)

        return tf.while_loop(lambda number, _: number < tf.size(rates), step, (0, tf.zeros(2)))[1]

    def _replica_step(self, images: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """One step on the shards of this replica: (summed loss, right answers)."""
        seeds = [(self._options.seed, number * SHARDS + shard) for shard in range(SHARDS)]
        shards = list(zip(in_shards(images), in_shards(labels), seeds, strict=False))
        # Without a strategy there is one replica, number 0. The optimizer adds up the gradients of all replicas.
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        mine = shards[replica :: self._strategy.num_replicas_in_sync]
        counts, gradients = zip(*[self._gradients(*shard) for shard in mine], strict=True)
        self._optimizer.learning_rate.assign(rate)
        summed = [total(parts) for parts in zip(*gradients, strict=True)]
        self._optimizer.apply(summed, self._model.trainable_variables)
        return total(counts)

    def _gradients(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """A shard's (summed loss, right answers), and its part of the gradient of the batch's mean loss."""
        smoothing, classes = self._options.label_smoothing, self._model.output_shape[-1]
        targets = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        images = augment(tf.cast(images, tf.float32), self._options.augment, seed)
        with tf.GradientTape() as tape:
            logits = self._logits(images, training=True)
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            if self._weights is not None:
                losses *= tf.gather(self._weights, labels)
            loss = tf.reduce_sum(losses)
            mean = loss / self._options.batch_size
        hits = tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == labels, tf.float32))
        return tf.stack([loss, hits]), tape.gradient(mean, self._model.trainable_variables)
