"""The learning rate of each step."""

import numpy as np
from numpy.typing import NDArray

from cnn.settings import schema


def learning_rates(options: schema.Train, total: int, first: int, count: int) -> NDArray[np.float32]:
    """The learning rates of the steps from `first` on, (count,), of a training of `total` steps.

    one_cycle: from a 25th up to the learning rate in the first quarter, then down to 0, both linear (after
    L. Smith, N. Topin, arXiv:1708.07120). Only exactly rounded arithmetic: the same on every CPU.
    """
    if options.schedule == "constant":
        return np.full(count, options.learning_rate, np.float32)
    steps = np.arange(first, first + count)
    rise = max(total // 4, 1)
    up = 0.04 + 0.96 * steps / rise
    down = (total - steps) / max(total - rise, 1)
    return (options.learning_rate * np.where(steps < rise, up, down)).astype(np.float32)
