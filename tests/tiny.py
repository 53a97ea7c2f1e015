"""What tests share: images learnt in a second, options around the committed ones, fresh Python processes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import params

ROOT = Path(__file__).resolve().parents[1]
SHAPE, CLASSES = (12, 12, 1), 3
# The network of the lesson, whatever params.yaml holds now.
LESSON = {
    "filters": [32, 64, 64],
    "kernel_sizes": 3,
    "strides": 1,
    "pool_sizes": [2, 2, 1],
    "batch_norm": False,
    "activation": "relu",
    "padding": "valid",
    "head": "flatten",
    "dense_units": [64],
    "dropout": 0.0,
    "normalize": True,
}
SMALL = LESSON | {"filters": [8], "kernel_sizes": 3, "pool_sizes": 3, "dense_units": []}
QUICK = {
    "epochs": 2,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "augment": {"shift": 0, "rotate": 0, "zoom": 0.0, "shear": 0.0},
}


def bars(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noisy images (count, 12, 12, 1) of a bright bar that lies, stands or leans, and their labels 0, 1, 2."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (count, *SHAPE), np.uint8)
    labels = np.arange(count, dtype=np.uint8) % CLASSES
    for image, label, place in zip(images[..., 0], labels, random.integers(2, 10, count), strict=True):
        bar = (slice(place - 1, place + 1), slice(None))
        if label == 2:
            image[np.eye(12, k=int(place) - 6, dtype=bool)] = 255
        else:
            image[bar if label == 0 else bar[::-1]] = 255
    return images, labels


def model_options(**changes: Any) -> params.Model:
    """A small network; keys that are not named here are as in params.yaml."""
    return _changed(params.load_params().model, SMALL | changes)


def train_options(**changes: Any) -> params.Train:
    """Short training; keys that are not named here are as in params.yaml."""
    return _changed(params.load_params().train, QUICK | changes)


def _changed(section: Any, changes: dict[str, Any]) -> Any:
    values = section.model_dump()
    # A column that came to params.yaml later is as long as its network: its first value stands for all.
    columns = {name: values[name][0] for name in getattr(params, "COLUMNS", ()) if name in values}
    return type(section).model_validate(values | columns | changes)


def digest(arrays: list[NDArray]) -> str:
    """One hash of the bits of all arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def environment(**changes: str) -> dict[str, str]:
    """A new process's environment: a user's own, with `python` the one that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    return inherited | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | changes


def fresh_python(code: str, *arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process that can import the project, with these variables of the environment."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )
