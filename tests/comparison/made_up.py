"""Results made up for tests: which images a classifier has right, and all else that follows. Files and git as well."""

import hashlib
import os
import subprocess
from pathlib import PurePath

import numpy as np
import pandas as pd
import yaml

from cnn.comparison.revisions import Result
from cnn.results import intervals, metrics
from cnn.results.metrics import Answers
from cnn.storage import paths

CLASSES = ["ant", "bee", "cat"]


def images(n, seed=0):
    """Names of n images, as predictions.csv has them."""
    return [bytes(name).hex() for name in np.random.default_rng(seed).integers(0, 256, (n, 8), np.uint8)]


def rows(right, named=None, split="validation", seed=0, classes=CLASSES):
    """Rows of predictions.csv. right: (n,) bool; image number i is of class i modulo the number of classes."""
    n, k, random = len(right), len(classes), np.random.default_rng(seed)
    actual = np.arange(n) % k
    predicted = np.where(right, actual, (actual + 1) % k)
    confidence = (1 / k + (1 - 1 / k) * random.random(n)).round(6)
    likelihood = np.where(right, confidence, (1 - confidence) / 2).round(6)
    columns = {"image": images(n) if named is None else named, "actual": actual, "predicted": predicted}
    return pd.DataFrame({"split": split, "index": range(n), **columns, "confidence": confidence}).assign(
        likelihood=likelihood
    )


def answers(table, classes=CLASSES):
    """The rows of a split, as `metrics.measure` takes them."""
    arrays = (table[name].to_numpy() for name in ("actual", "predicted", "confidence", "likelihood"))
    return Answers(*arrays, len(classes))


def result(name, *tables, classes=CLASSES):
    """A Result with these rows of predictions.csv, and the details that belong to them."""
    details = {}
    for table in tables:
        values, limits = (measure(answers(table, classes)) for measure in (metrics.measure, intervals.intervals))
        for metric, value in values.items():
            low, high, kind = limits[metric]
            row = {"value": value, "low": low, "high": high, "interval": kind}
            details[table["split"].iloc[0], metric] = row
    predictions = pd.concat([rows(np.zeros(0, bool)), *tables], ignore_index=True)
    return Result(name, "", {}, {}, {}, list(classes), predictions, details, [])


def pair(n, gained, lost, both_wrong=0):
    """Two results on n validation images; on so many only the second, or only the first, is right."""
    sides = np.repeat([0, 1, 2, 3], [gained, lost, both_wrong, n - gained - lost - both_wrong])
    sides = np.random.default_rng(0).permutation(sides)
    return result("a", rows(sides % 2 == 1, seed=1)), result("b", rows(sides % 3 == 0, seed=2))


def write(one, folder, train=None, pictures=()):
    """Write a result as a run does: metrics/, dvc.lock and params.yaml, whose section `train` it is."""
    classes = [{"split": split, "class": name} for split in ("validation", "test") for name in one.classes]
    details = [{"split": split, "metric": metric, **row} for (split, metric), row in one.details.items()]
    first = {"split": "model", "metric": "parameters", "value": 93322}
    tables = {
        paths.PREDICTIONS: one.predictions,
        paths.CLASSES: pd.DataFrame(classes).assign(precision=0.5, recall=0.5, f1=0.5, support=10),
        paths.DETAILS: pd.DataFrame([first, *details]),
    }
    texts = {path: table.to_csv(index=False, float_format="%.10g").encode() for path, table in tables.items()}
    texts |= {paths.FIGURES / name: f"{name} of {one.name}".encode() for name in pictures}
    params = {"train": {"seed": 42, "learning_rate": 0.00003} | (train or {})}
    written = {str(path): hashlib.md5(text).hexdigest() for path, text in texts.items()}
    stage = {
        "cmd": "python -m stages.evaluate",
        "deps": [{"path": path, "hash": "md5", "md5": "0" * 32} for path in ("cnn/results", "data/model/model.keras")],
        "params": {"params.yaml": params},
        "outs": [{"path": path, "hash": "md5", "md5": md5} for path, md5 in written.items()],
    }
    train_stage = {"outs": [{"path": "data/model/model.keras", "hash": "md5", "md5": "0" * 32}]}
    lock = yaml.safe_dump({"schema": "2.0", "stages": {"train": train_stage, "evaluate": stage}})
    texts |= {PurePath("dvc.lock"): lock.replace("3.0e-05", "3e-05").encode()}
    texts |= {PurePath("params.yaml"): yaml.safe_dump(params).replace("3.0e-05", "0.00003").encode()}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)


def git(folder, *arguments):
    """Run git as nobody in particular; what it says."""
    who = {f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= who | {"GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder):
    """Commit all that lies in the folder; the commit's hash."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=result")
    return git(folder, "rev-parse", "HEAD")
