"""Cross-entropy and accuracy of probabilities, to the same bits on every CPU. Free of TensorFlow."""

import math

import numpy as np
from numpy.typing import NDArray

LOG_2 = 0.6931471805599453


def loss_and_accuracy(probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> dict[str, float]:
    """Mean cross-entropy (natural logarithm) and share of right answers.

    probabilities: (n, classes), labels: (n,), n > 0.
    """
    loss = math.fsum(cross_entropy(probabilities[np.arange(len(labels)), labels]).tolist()) / len(labels)
    return {"loss": loss, "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels))}


def cross_entropy(likelihoods: NDArray[np.floating]) -> NDArray[np.float64]:
    """The loss of each image, from the probability that its actual class got. One below 1e-7 counts as 1e-7."""
    return -portable_log(np.maximum(likelihoods, np.float32(1e-7)))


def portable_log(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The natural logarithm of positive numbers, by exactly rounded arithmetic alone.

    NumPy chooses its own logarithm by CPU, and the C library's changes with its version. With x = m 2^e and
    s = (m - 1) / (m + 1): log x = e log 2 + 2 (s + s^3/3 + s^5/5 + …), Abramowitz and Stegun 4.1.27. With m from
    sqrt(1/2) to sqrt(2), s^2 < 0.03: what follows after 11 terms is below 1e-17 of the sum.
    """
    mantissa, exponent = np.frexp(values.astype(np.float64))  # mantissa in [0.5, 1)
    small = mantissa < 0.7071067811865476
    mantissa, exponent = np.where(small, 2 * mantissa, mantissa), exponent - small
    s = (mantissa - 1) / (mantissa + 1)
    square, series = s * s, np.zeros_like(s)
    for power in range(21, 0, -2):
        series = series * square + 1 / power
    return exponent * LOG_2 + 2 * s * series
