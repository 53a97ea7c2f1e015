"""The result of a revision as git holds it, or of the work tree: what was measured, and of what."""

import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from cnn.comparison import git
from cnn.comparison.flat import differences, flat, locked_params
from cnn.process.errors import InputError
from cnn.results.tables import PREDICTED
from cnn.storage import paths

LOCK, PARAMS = Path("dvc.lock"), Path("params.yaml")
WORK_TREE = "work tree"
MEND = "Run `dvc repro` there and commit the result."
METRICS = ("accuracy", "loss", "macro_f1", "calibration_error")  # those that are compared
TABLES: dict[Path, dict[str, Any]] = {
    paths.PREDICTIONS: {
        "split": str,
        "index": int,
        "image": str,
        "actual": int,
        "predicted": int,
        "confidence": float,
        "likelihood": float,
    },
    paths.CLASSES: {"split": str, "class": str},
    paths.DETAILS: {"split": str, "metric": str, "value": float, "low": float, "high": float, "interval": str},
}


class Result(NamedTuple):
    """What a revision achieved. commit: empty for the work tree.

    params: dotted name to value, and inputs: md5 of code and data, of the run that dvc.lock describes; outputs: md5 of
    what it made. classes: their names. predictions: predictions.csv. details: details.csv, by (split, metric).
    notes: what makes the result doubtful.
    """

    name: str
    commit: str
    params: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    classes: list[str]
    predictions: pd.DataFrame
    details: dict[tuple[str, str], dict[Any, Any]]
    notes: list[str]


def read(name: str | None = None, commit: str | None = None) -> Result:
    """The result of a commit, branch, tag or DVC experiment; of the work tree without a name. Raises InputError.

    commit: its hash, where it is known. Everything is read from git, so that a clone without DVC's cache will do.
    """
    commit = "" if name is None else commit or git.commit_of(name)
    label = WORK_TREE if name is None else name if commit.startswith(name) else f"{name} ({commit[:7]})"
    lock = _locked(git.content(commit, LOCK, label), label)
    texts = {path: git.content(commit, path, label) for path in TABLES}
    tables = {path: _table(texts[path], path, label) for path in TABLES}
    classes = list(dict.fromkeys(tables[paths.CLASSES]["class"]))
    predictions = tables[paths.PREDICTIONS]
    _check(predictions, tables[paths.DETAILS], len(classes), label)
    details = {(row["split"], row["metric"]): dict(row) for row in tables[paths.DETAILS].to_dict("records")}
    notes = [
        f"{path} is not what dvc.lock says was made: run `dvc repro` there."
        for path, text in texts.items()
        if hashlib.md5(text).hexdigest() != lock["outs"].get(str(path))
    ]
    notes += _unlike(_mapping(git.content(commit, PARAMS, label), PARAMS, label), lock["params"])
    inputs = {path: md5 for path, md5 in lock["deps"].items() if path not in lock["outs"] or path == str(paths.RAW)}
    return Result(label, commit, lock["params"], inputs, lock["outs"], classes, predictions, details, notes)


def _locked(text: bytes, label: str) -> dict[str, dict[str, Any]]:
    """The params (dotted name to value), deps and outs (path to md5) of all stages of a dvc.lock."""
    document = _mapping(text, LOCK, label)
    try:
        stages = document["stages"]
        hashes = {
            kind: {one["path"]: one["md5"] for stage in stages.values() for one in stage.get(kind, [])}
            for kind in ("deps", "outs")
        }
        return {"params": locked_params(stages), **hashes}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{label}: expected stages in {LOCK}. Received: another text. {MEND}") from None


def _mapping(text: bytes, path: Path, label: str) -> dict[str, Any]:
    """The document of a YAML file."""
    try:
        document = yaml.safe_load(text)
    # What PyYAML lets through besides its own errors: impossible dates, tags that do not fit, deep nesting.
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InputError(f"{label}: expected keys with values in {path}. Received: another text. {MEND}")
    return document


def _table(text: bytes, path: Path, label: str) -> pd.DataFrame:
    """A CSV with the columns that TABLES names."""
    columns = TABLES[path]
    try:
        # Class names like "nan" or "0" are text.
        table = pd.read_csv(io.BytesIO(text), dtype=columns, keep_default_na=False, na_values={"low": "", "high": ""})
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{label}: expected numbers and text in {path}. Received: {said}. {MEND}") from None
    if missing := columns.keys() - set(table.columns):
        raise InputError(
            f"{label}: expected the columns {', '.join(columns)} in {path}. Received: none called "
            f"{', '.join(sorted(missing))}. {MEND}"
        )
    return table


def _check(predictions: pd.DataFrame, details: pd.DataFrame, classes: int, label: str) -> None:
    """Raise InputError for a split, class or probability that cannot be, and for a metric without its numbers."""
    shares = predictions[["confidence", "likelihood"]]
    known = predictions["split"].isin(PREDICTED) & predictions[["actual", "predicted"]].isin(range(classes)).all(axis=1)
    if not (known & ((shares >= 0) & (shares <= 1)).all(axis=1)).all():
        raise InputError(
            f"{label}: expected splits called {' and '.join(PREDICTED)}, class numbers below {classes} and "
            f"probabilities in {paths.PREDICTIONS}. Received: others. {MEND}"
        )
    numbers = details[np.isfinite(details[["value", "low", "high"]]).all(axis=1)]
    measured = set(zip(numbers["split"], numbers["metric"], strict=True))
    splits = predictions["split"].unique()
    if lacking := [f"{split} {metric}" for split in splits for metric in METRICS if (split, metric) not in measured]:
        raise InputError(
            f"{label}: expected a value and its interval in {paths.DETAILS} for each metric. Received: none for "
            f"{', '.join(lacking)}. {MEND}"
        )


def _unlike(document: dict[str, Any], params: dict[str, Any]) -> list[str]:
    """A note where params.yaml has other values than the run that dvc.lock describes."""
    names = sorted(row["name"] for row in differences(params, flat(document)))
    if not names:
        return []
    return [f"params.yaml has another {', '.join(names)} than the run that made these results: run `dvc repro` there."]
