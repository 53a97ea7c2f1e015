"""Metrics of a classifier, from its answers. Free of TensorFlow."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn.network.loss import cross_entropy
from cnn.process.errors import InputError

BINS = 15  # of confidence, equally wide, for the calibration error


class Answers(NamedTuple):
    """What a network says of n > 0 images; each array has a value an image.

    actual, predicted: class numbers; confidence, likelihood: the probabilities of the predicted and of the actual
    class; classes: how many there are.
    """

    actual: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.floating]
    likelihood: NDArray[np.floating]
    classes: int


def answers_of(probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> Answers:
    """probabilities: (n, classes), labels: (n,). Raises InputError where a probability is not finite."""
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        raise InputError(
            f"expected finite probabilities from the model. Received: others, for {np.count_nonzero(~finite)} of "
            f"{len(labels)} images. Train it again, with a lower train.learning_rate."
        )
    actual, predicted = labels.astype(np.int64), probabilities.argmax(axis=1)
    likelihood = probabilities[np.arange(len(actual)), actual]
    return Answers(actual, predicted, probabilities.max(axis=1), likelihood, probabilities.shape[1])


def measure(answers: Answers) -> dict[str, float]:
    """All metrics of one split, to six decimals.

    accuracy; loss: mean cross-entropy; macro_f1: the mean over classes of F1; worst_class_recall; calibration_error:
    expected calibration error in 15 equally wide bins of confidence (C. Guo et al., arXiv:1706.04599).
    """
    n = len(answers.actual)
    counts = count(answers)
    values = {
        "accuracy": counts.right.sum() / n,
        "loss": math.fsum(cross_entropy(answers.likelihood).tolist()) / n,
        "macro_f1": math.fsum(f1(counts)) / answers.classes,
        "worst_class_recall": recall(counts)[counts.actual > 0].min(),
        "calibration_error": math.fsum(np.abs(_gaps(answers)).tolist()) / n,
    }
    return {name: round(float(value), 6) for name, value in values.items()}


class Counts(NamedTuple):
    """Images of each class (classes,): rightly predicted to be of it, of it, predicted to be of it."""

    right: NDArray[np.int64]
    actual: NDArray[np.int64]
    predicted: NDArray[np.int64]


def count(answers: Answers) -> Counts:
    """Count the images of each class."""
    return counts_of(confusion_matrix(answers.actual, answers.predicted, answers.classes))


def counts_of(matrix: NDArray[np.int64]) -> Counts:
    """The counts of a confusion matrix."""
    return Counts(np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0))


def precision(counts: Counts) -> NDArray[np.float64]:
    """Of those predicted to be of a class, the share that is; 0 where there are none."""
    return counts.right / np.maximum(counts.predicted, 1)


def recall(counts: Counts) -> NDArray[np.float64]:
    """Of those of a class, the share that was found; 0 where there are none."""
    return counts.right / np.maximum(counts.actual, 1)


def f1(counts: Counts) -> NDArray[np.float64]:
    """F1 = 2 TP / (2 TP + FP + FN) of each class; 0 for one that is neither there nor predicted."""
    return 2 * counts.right / np.maximum(counts.actual + counts.predicted, 1)


def confusion_matrix(actual: NDArray, predicted: NDArray, classes: int) -> NDArray[np.int64]:
    """Count images: (classes, classes) int64, a row per actual class and a column per predicted one."""
    pairs = actual.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def bin_of(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    """Which of the BINS each confidence is in."""
    return np.minimum((confidence.astype(np.float64) * BINS).astype(np.int64), BINS - 1)


def _gaps(answers: Answers) -> NDArray[np.float64]:
    """For each bin: how many were right, less the sum of their confidences; exact to the last bit."""
    gaps = (answers.actual == answers.predicted) - answers.confidence.astype(np.float64)
    bins = bin_of(answers.confidence)
    return np.array([math.fsum(gaps[bins == number].tolist()) for number in range(BINS)])
