"""How large a difference between two results is: of metrics, of weights."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

from checks.clone import md5
from cnn.comparison.flat import flat
from cnn.storage.paths import MODEL


def metric_difference(committed: str, reproduced: str) -> float:
    """The largest absolute difference between two metrics files; infinite where one is damaged or lacks a metric."""
    try:
        one, other = (flat(json.loads(text)) for text in (committed, reproduced))
        return max((abs(one[key] - other[key]) for key in one | other), default=0.0)
    except (ValueError, KeyError, TypeError):
        return float("inf")


def weight_difference(committed: str, reproduced: Path) -> float | None:
    """The largest absolute difference of a weight; None where the committed model is not on this machine.

    committed: the md5 of the committed model.
    """
    places = [MODEL, Path(".dvc/cache/files/md5", committed[:2], committed[2:])]
    found = next((place for place in places if md5(place) == committed), None)
    if found is None:
        return None
    one, other = read_weights(found), read_weights(reproduced)
    if {name: array.shape for name, array in one.items()} != {name: array.shape for name, array in other.items()}:
        return float("inf")
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a .keras file, by their names in it."""
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(lambda name, item: arrays.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return arrays
