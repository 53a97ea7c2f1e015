"""Which images each epoch is of, and their sample weights: how much each of them counts."""

import numpy as np
from numpy.typing import NDArray

from cnn.process.errors import InputError
from cnn.settings import schema


class Losses:
    """The loss of each image, (n,) float32. It is read and assigned like a variable of TensorFlow."""

    def __init__(self, count: int):
        self.values = np.zeros(count, np.float32)

    def numpy(self) -> NDArray[np.float32]:
        return self.values

    def assign(self, values: NDArray[np.float32]) -> None:
        self.values[:] = values


class Sampler:
    """Chooses the images of each epoch, by the losses that they had when they were last trained on.

    The first epoch is of all images, each later one of `epoch_share` of them: half of these are the images with the
    largest losses (0 for one that was never trained on), the others are drawn from the rest. Each that is drawn counts
    for as many as it stands for, as in Z. Qin et al., InfoBatch, arXiv:2303.04947, which draws below the mean loss and
    ends with epochs of all images. These weights are then scaled to a mean of 1. So each step's gradient is expected to
    be that of all images, and a learning rate stays right; with batch normalisation nearly so: its means and variances
    are of the images as drawn.
    `variables`: what a checkpoint keeps.
    """

    def __init__(self, options: schema.Train, count: int):
        """count: of the training images. Raises InputError where an epoch is of less than a batch."""
        self._options, self._count = options, count
        if (smallest := self._size(options.epochs - 1)) < options.batch_size:
            mend = " Raise train.epoch_share, or lower train.batch_size." if options.batch_size <= count else ""
            raise InputError(
                f"train.batch_size: expected at most the {smallest} training images of an epoch. Received: "
                f"{options.batch_size}.{mend}"
            )
        self._chooses = options.epoch_share < 1
        # None are kept where none are needed: an epoch of all images takes no more memory for it.
        self._known, self._latest = (Losses(count * self._chooses) for _ in range(2))
        self.variables = [self._known, self._latest]

    def steps_before(self, epoch: int) -> int:
        """The steps of all epochs before this one, from 0."""
        return sum(self._size(earlier) // self._options.batch_size for earlier in range(epoch))

    def begin(self) -> None:
        """An epoch begins: from now on what was noted is known."""
        self._known.assign(self._latest.values)

    def note(self, rows: NDArray[np.intp], losses: NDArray[np.float32]) -> None:
        """Note the losses of images that were trained on. They count from the next epoch on."""
        if self._chooses:
            self._latest.values[rows] = losses

    def epoch(self, epoch: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The images of an epoch (from 0), batch by batch, (steps, batch size), and the weight of each.

        Which images would be in an incomplete last batch, and are left out, changes with each epoch.
        """
        random = np.random.default_rng((self._options.seed, epoch))
        order = random.permutation(self._count)
        weights = np.broadcast_to(np.float32(1), self._count)
        if self._size(epoch) < self._count:
            weights = self._weights(order, self._size(epoch))
            order = random.permutation(order[weights[order] > 0])  # as it was, the drawn ones would come first
        steps = len(order) // self._options.batch_size
        order = order[: steps * self._options.batch_size].reshape(steps, -1)
        return order, weights[order]

    def _weights(self, order: NDArray[np.intp], size: int) -> NDArray[np.float32]:
        """How much each image counts, (n,), in an epoch of `size` of them: 0 for all the others."""
        weights = np.zeros(self._count, np.float32)
        hard = np.argsort(-self._known.values, kind="stable")[: size // 2]
        weights[hard] = size / self._count
        drawn = order[weights[order] == 0][: size - size // 2]
        weights[drawn] = size / self._count * (self._count - len(hard)) / len(drawn)
        return weights

    def _size(self, epoch: int) -> int:
        return round(self._count * self._options.epoch_share) if epoch else self._count
