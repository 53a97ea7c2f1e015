"""What evaluate writes as text: the headline, the details, a row for each test image."""

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.storage import files, paths

# metrics.json has what people compare, so that `dvc metrics diff` and `dvc exp show` fit on a screen; validation
# first, since it decides.
HEADLINE = {
    "validation": ("accuracy", "loss"),
    "train": ("accuracy", "loss"),
    "test": ("accuracy", "loss", "macro_f1", "worst_class_recall", "calibration_error"),
}
Measured = dict[str, dict[str, Any]]  # split to what `metrics.measure` gives


def write_headline(measured: Measured) -> None:
    """Write metrics.json: the metrics of HEADLINE, of the splits that have images."""
    headline = {
        split: {name: measured[split][name] for name in names} for split, names in HEADLINE.items() if split in measured
    }
    with files.whole(paths.METRICS, "w") as out:
        json.dump(headline, out, indent=2, allow_nan=False)
        out.write("\n")


def write_details(measured: Measured, parameters: int) -> None:
    """Write details.csv: split, metric, value, low, high (the 95 % interval where there is one), n.

    Its first row is the number of the model's parameters.
    """
    rows: list[dict[str, Any]] = [{"split": "model", "metric": "parameters", "value": parameters}]
    for split in HEADLINE:
        values = measured.get(split, {})
        for name in HEADLINE["test"]:
            if name in values:
                limits = {limit: values.get(f"{name}_{limit}") for limit in ("low", "high")}
                rows.append({"split": split, "metric": name, "value": values[name], **limits, "n": values["n"]})
    table = pd.DataFrame(rows, columns=["split", "metric", "value", "low", "high", "n"])
    _write_csv(table.astype({"n": "Int64"}), paths.DETAILS, "%.10g")


def write_predictions(labels: NDArray[np.integer], probabilities: NDArray[np.float32]) -> pd.DataFrame:
    """Write predictions.csv: index, actual, predicted, confidence, a row a test image. Returns it."""
    predictions = pd.DataFrame(
        {
            "index": np.arange(len(labels)),
            "actual": labels,
            "predicted": probabilities.argmax(axis=1),
            "confidence": probabilities.max(axis=1),
        }
    )
    _write_csv(predictions, paths.PREDICTIONS, "%.6f")
    return predictions


def _write_csv(table: pd.DataFrame, path: Any, digits: str) -> None:
    with files.whole(path) as out:
        table.to_csv(out, index=False, float_format=digits, lineterminator="\n")
