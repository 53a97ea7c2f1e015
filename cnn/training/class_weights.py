"""How much an image counts in the loss, by its class."""

import numpy as np
from numpy.typing import NDArray

from cnn.settings import schema


def class_weights(labels: NDArray[np.integer], classes: int, options: schema.Train) -> NDArray[np.float32] | None:
    """The weight of each class, (classes,); None where all images count alike.

    balanced: images / (classes * images of the class), after G. King, L. Zeng, Logistic Regression in Rare Events
    Data, Political Analysis 9(2), 2001, section 4.1, as scikit-learn has it. So each class has the same share in the
    loss, and the mean weight of an image is 1: the gradients are as large as without weights, and a learning rate
    stays right. A class without images has no share. Exactly rounded arithmetic: the same on every CPU.
    """
    if options.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0).astype(np.float32)
