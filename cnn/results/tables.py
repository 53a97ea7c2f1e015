"""What evaluate writes as text: the headline, the details, the classes, a row for each image."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.results import intervals, metrics
from cnn.results.metrics import Answers
from cnn.storage import arrays, files, paths

# metrics.json has what people compare, so that `dvc metrics diff` and `dvc exp show` fit on a screen; validation
# first, since it decides.
HEADLINE = {
    "validation": ("accuracy", "loss"),
    "train": ("accuracy", "loss"),
    "test": ("accuracy", "loss", "macro_f1", "worst_class_recall", "calibration_error"),
}
PREDICTED = ("validation", "test")  # the splits whose every image has a row in predictions.csv


def write_headline(answers: Mapping[str, Answers]) -> None:
    """Write metrics.json: the metrics of HEADLINE, of the splits that have images."""
    measured = {split: metrics.measure(answers[split]) for split in HEADLINE if split in answers}
    headline = {split: {name: values[name] for name in HEADLINE[split]} for split, values in measured.items()}
    with files.whole(paths.METRICS, "w") as out:
        json.dump(headline, out, indent=2, allow_nan=False)
        out.write("\n")


def write_details(answers: Mapping[str, Answers], parameters: int) -> pd.DataFrame:
    """Write details.csv: split, metric, value, low, high, interval (its level and method), n. Returns it.

    Its first row is the number of the model's parameters.
    """
    rows: list[dict[str, Any]] = [{"split": "model", "metric": "parameters", "value": parameters}]
    for split in (split for split in HEADLINE if split in answers):
        limits = intervals.intervals(answers[split])
        for name, value in metrics.measure(answers[split]).items():
            low, high, kind = limits[name]
            row = {"value": value, "low": low, "high": high, "interval": kind, "n": len(answers[split].actual)}
            rows.append({"split": split, "metric": name, **row})
    table = pd.DataFrame(rows, columns=["split", "metric", "value", "low", "high", "interval", "n"])
    table = table.astype({"n": "Int64"}).round({"low": 6, "high": 6})
    _write_csv(table, paths.DETAILS, "%.10g")
    return table


def write_classes(answers: Mapping[str, Answers], classes: list[str]) -> None:
    """Write classes.csv: split, class, precision, recall, f1, support (its images), in the order of the labels."""
    tables = []
    for split in (split for split in PREDICTED if split in answers):
        counts = metrics.count(answers[split])
        columns = {"precision": metrics.precision(counts), "recall": metrics.recall(counts), "f1": metrics.f1(counts)}
        tables.append(pd.DataFrame({"split": split, "class": classes, **columns, "support": counts.actual}))
    _write_csv(pd.concat(tables), paths.CLASSES, "%.6f")


def write_predictions(answers: Mapping[str, Answers], images: Mapping[str, NDArray[np.uint8]]) -> pd.DataFrame:
    """Write predictions.csv, a row for each image of validation and test. Returns it.

    split, index: which row of its split; image: the hash of its pixels; actual, predicted: class numbers; confidence,
    likelihood: the probabilities of the predicted and of the actual class.
    images: (n, height, width, channels) of each split.
    """
    tables = []
    for split in (split for split in PREDICTED if split in answers):
        actual, predicted, confidence, likelihood, _ = answers[split]
        columns = {"actual": actual, "predicted": predicted, "confidence": confidence, "likelihood": likelihood}
        names = {"split": split, "index": np.arange(len(actual)), "image": hashes(images[split])}
        tables.append(pd.DataFrame(names | columns))
    predictions = pd.concat(tables, ignore_index=True)
    _write_csv(predictions, paths.PREDICTIONS, "%.6g")
    return predictions


def hashes(images: NDArray[np.uint8]) -> list[str]:
    """The BLAKE2b hash of each image's pixels, 16 hexadecimal digits: it names an image wherever it stands."""
    return [
        hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest()
        for piece in arrays.pieces(images)
        for image in piece
    ]


def _write_csv(table: pd.DataFrame, path: Any, digits: str) -> None:
    with files.whole(path) as out:
        table.to_csv(out, index=False, float_format=digits, lineterminator="\n")
