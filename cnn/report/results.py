"""What the last run left under metrics/ and data/, read for the page."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from cnn.process.errors import InputError
from cnn.storage import arrays, paths

COLUMNS = {
    paths.DETAILS: "split,metric,value,low,high,interval,n",
    paths.PREDICTIONS: "split,index,image,actual,predicted,confidence,likelihood",
    paths.CLASSES: "split,class,precision,recall,f1,support",
    paths.HISTORY: "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate",
}
# Where a number may be missing; elsewhere an empty cell is a fault, or a name.
MAY_BE_EMPTY = ("value", "low", "high", "n", "val_loss", "val_accuracy", "precision", "recall", "f1")
EMPTY = dict.fromkeys(MAY_BE_EMPTY, [""])
TEXT = ("split", "metric", "interval", "image", "class")  # read as written: a class may be called NA, or 007
ORDER = ("validation", "test")  # validation decides, test reports
MEND = "To go on: `make run` makes it again."


@dataclass(frozen=True)
class Results:
    """What the last run achieved. Tables are as the files of the same names under metrics/."""

    classes: list[str]  # names, in the order of their labels
    shape: tuple[int, int, int]  # of an image: height, width, channels
    dataset: str
    images: dict[str, int]  # split to how many
    details: pd.DataFrame
    history: pd.DataFrame
    predictions: pd.DataFrame
    per_class: pd.DataFrame

    @property
    def splits(self) -> list[str]:
        """Those with predictions, validation first."""
        present = set(self.predictions["split"])
        return [split for split in ORDER if split in present]

    def of(self, split: str) -> pd.DataFrame:
        """The predictions of a split."""
        return self.predictions[self.predictions["split"] == split]


def read() -> Results:
    """Read the results in the current folder. Raises InputError where the pipeline has not made them."""
    require(paths.MODEL, paths.SUMMARY, *COLUMNS)
    classes, shape, dataset, images = _summary()
    predictions = _table(paths.PREDICTIONS)
    labels = predictions[["actual", "predicted"]].to_numpy()
    if not len(labels) or labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(
            f"{paths.PREDICTIONS}: expected rows with classes from 0 to {len(classes) - 1}. Received: others. {MEND}"
        )
    return Results(
        classes,
        shape,
        dataset,
        images,
        _table(paths.DETAILS),
        _table(paths.HISTORY),
        predictions,
        _table(paths.CLASSES),
    )


def _summary() -> tuple[list[str], tuple[int, int, int], str, dict[str, int]]:
    """Of summary.json: the classes, the shape of an image, the data set's name, {split: how many images}."""
    try:
        summary = json.loads(paths.SUMMARY.read_text(encoding="utf-8"))
        images = {split: summary[split]["images"] for split in arrays.SPLITS}
        return summary["classes"], tuple(summary["shape"]), summary["dataset"], images
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{paths.SUMMARY}: expected what preprocess writes. Received: {error!r}. {MEND}") from None


def require(*files: Path) -> None:
    """Raise InputError where one of the files is not there."""
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise InputError(
            f"expected what the pipeline makes. Received: no {', '.join(missing)}. To go on: `make run`, then again."
        )


def _table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=EMPTY)
    except ValueError as error:  # pandas' own errors are such
        raise InputError(f"{path}: expected a table. Received: {str(error).splitlines()[0]}. {MEND}") from None
    if list(table.columns) != COLUMNS[path].split(","):
        raise InputError(
            f"{path}: expected the columns {COLUMNS[path]}. Received: {','.join(map(str, table.columns))}. {MEND}"
        )
    words = [name for name in table.columns if name not in TEXT and not is_numeric_dtype(table[name])]
    if words:
        raise InputError(f"{path}: expected numbers in {', '.join(words)}. Received: something else. {MEND}")
    return table
