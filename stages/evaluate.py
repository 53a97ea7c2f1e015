"""Measure the trained network, and draw it.

in:  data/model/model.keras, metrics/history.csv, data/processed, params.yaml: evaluate, train.determinism
out: metrics/metrics.json, metrics/predictions.csv, metrics/figures/*.png
"""

from stages import errors, params, runtime

if __name__ == "__main__":
    with errors.reported("evaluate"):  # before NumPy and TensorFlow are imported, or it has no effect
        runtime.prepare(params.load_params().train.determinism)

import json
import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages import dataset, figures, files
from stages import model as network

METRICS = Path("metrics")
TRAIN_SAMPLE = 10_000  # training images measured, evenly spaced: enough to see overfitting


def evaluate_cnn_model(
    model: keras.Sequential, images: NDArray, labels: NDArray[np.uint8], batch_size: int = 1000
) -> dict[str, float]:
    """Measure the model on images (n, height, width, channels) and labels (n,): {"loss": …, "accuracy": …}."""
    return network.loss_and_accuracy(network.predictor(model)(images, batch_size), labels)


def measure(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """All metrics of one split. probabilities: (n, classes), labels: (n,), n > 0.

    accuracy with its 95 % Wilson interval; loss: mean cross-entropy; macro_f1: the mean over classes of F1;
    worst_class_recall; calibration_error: expected calibration error in 15 equally wide bins of confidence
    (C. Guo et al., arXiv:1706.04599); n. Six decimals.
    """
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    right, actual, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    low, high = wilson_interval(int(right.sum()), len(labels))
    values = {
        **network.loss_and_accuracy(probabilities, labels),
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


def calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.uint8], bins: int = 15) -> float:
    """How far confidence is from accuracy: the mean over bins of |accuracy - confidence|, weighted by their size."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(math.fsum((right[chosen] - confidence[chosen]).tolist())) for chosen in map(bin_of.__eq__, range(bins))]
    return math.fsum(gaps) / len(labels)


def main() -> None:
    options = params.load_params()
    summary = json.loads((dataset.PROCESSED / "summary.json").read_text())
    model = network.load_model()
    predict = network.predictor(model, options.evaluate.shift)
    metrics = {"model": {"parameters": model.count_params()}}
    for split in dataset.SPLITS:
        images, labels = dataset.open_split(split)
        if split == "train":
            stride = -(-len(labels) // TRAIN_SAMPLE)
            images, labels = images[::stride], labels[::stride]
        if len(labels):
            probabilities = predict(images, options.evaluate.batch_size)
            metrics[split] = measure(probabilities, labels)
    with files.whole(METRICS / "metrics.json", "w") as out:
        json.dump(metrics, out, indent=2)
        out.write("\n")
    # The splits end with the test set: images, labels and probabilities are the test's from here on.
    predictions = pd.DataFrame(
        {
            "index": np.arange(len(labels)),
            "actual": labels,
            "predicted": probabilities.argmax(axis=1),
            "confidence": probabilities.max(axis=1),
        }
    )
    with files.whole(METRICS / "predictions.csv", "w") as out:
        predictions.to_csv(out, index=False, float_format="%.6f", lineterminator="\n")
    test = metrics["test"]
    print(
        f"evaluate: test accuracy {test['accuracy']:.4f} [{test['accuracy_low']:.4f}, {test['accuracy_high']:.4f}], "
        f"loss {test['loss']:.4f}, n {test['n']:,}"
    )
    draw(model, summary["classes"], predictions, images)


def draw(model: keras.Sequential, classes: list[str], predictions: pd.DataFrame, images: NDArray[np.uint8]) -> None:
    """Draw all pictures of metrics/figures."""
    folder = METRICS / "figures"
    matrix = confusion_matrix(predictions["actual"].to_numpy(), predictions["predicted"].to_numpy(), len(classes))
    figures.draw_confusion(matrix, classes, folder / "confusion.png")
    figures.draw_history(pd.read_csv(METRICS / "history.csv"), folder / "history.png")
    figures.draw_mistakes(images, predictions, classes, folder / "mistakes.png")
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    figures.draw_filters(convolutions[0].get_weights()[0], folder / "filters.png")
    shown = [layer for layer in model.layers if isinstance(layer, (keras.layers.Activation, keras.layers.MaxPooling2D))]
    maps = keras.Model(model.inputs[0], [layer.output for layer in shown])(
        images[:1].astype(np.float32), training=False
    )
    features = {layer.name: output[0].numpy() for layer, output in zip(shown, maps, strict=True)}
    figures.draw_feature_maps(images[0], features, folder / "feature_maps.png")


if __name__ == "__main__":
    with errors.reported("evaluate"):
        main()
