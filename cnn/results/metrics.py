"""Metrics of a classifier, from its probabilities. Free of TensorFlow."""

import math

import numpy as np
from numpy.typing import NDArray

from cnn.network.loss import loss_and_accuracy
from cnn.process.errors import InputError


def measure(probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> dict[str, float]:
    """All metrics of one split. probabilities: (n, classes), labels: (n,), n > 0.

    accuracy with its 95 % Wilson interval; loss: mean cross-entropy; macro_f1: the mean over classes of F1;
    worst_class_recall; calibration_error: expected calibration error in 15 equally wide bins of confidence
    (C. Guo et al., arXiv:1706.04599); n. Six decimals. Raises InputError where a probability is not finite.
    """
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        raise InputError(
            f"expected finite probabilities from the model. Received: others, for {np.count_nonzero(~finite)} of "
            f"{len(labels)} images. Train it again, with a lower train.learning_rate."
        )
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    right, actual, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    low, high = wilson_interval(int(right.sum()), len(labels))
    values = {
        **loss_and_accuracy(probabilities, labels),
        "accuracy_low": low,
        "accuracy_high": high,
        # F1 = 2 TP / (2 TP + FP + FN); a class neither there nor predicted counts as 0.
        "macro_f1": math.fsum(2 * right / np.maximum(actual + predicted, 1)) / len(matrix),
        "worst_class_recall": min(right[actual > 0] / actual[actual > 0]),
        "calibration_error": calibration_error(probabilities, labels),
    }
    return {name: round(float(value), 6) for name, value in values.items()} | {"n": len(labels)}


def confusion_matrix(actual: NDArray, predicted: NDArray, classes: int) -> NDArray[np.int64]:
    """Count images: (classes, classes) int64, a row per actual class and a column per predicted one."""
    pairs = actual.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, J. Amer. Statist. Assoc. 22, 1927, 209-212)."""
    z = 1.959963984540054  # the 97.5 % point of the normal distribution
    share, square = successes / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.integer], bins: int = 15) -> float:
    """How far confidence is from accuracy: the mean over bins of |accuracy - confidence|, weighted by their size."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(math.fsum((right[chosen] - confidence[chosen]).tolist())) for chosen in map(bin_of.__eq__, range(bins))]
    return math.fsum(gaps) / len(labels)
