"""What tests share: images learnt in a second, options around the committed ones, fresh Python processes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from cnn.network import runtime
from cnn.settings import schema

ROOT = Path(__file__).resolve().parents[1]
SHAPE, CLASSES = (12, 12, 1), 3
TUTORIAL = ROOT / "recipes/tutorial.yaml"
LESSON = yaml.safe_load(TUTORIAL.read_text())
QUICK = {
    "epochs": 2,
    "epoch_share": 1.0,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "label_smoothing": 0.0,
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


def blocks(filters: list[int], kernel_size: int = 3, stride: int = 1, pool_size: int = 1) -> dict[str, dict[str, int]]:
    """The rows of `model.blocks` with these filters; the rest is the same in each."""
    row = {"kernel_size": kernel_size, "stride": stride, "pool_size": pool_size}
    return {f"conv{number}": {"filters": count, **row} for number, count in enumerate(filters, 1)}


def three_blocks() -> dict[str, dict[str, int]]:
    """A row that pools, one that does not, and one whose kernel is as large as its map, on images of SHAPE."""
    rows = blocks([8, 6, 5])
    rows["conv1"]["pool_size"] = 2
    return rows


def model_options(**changes: Any) -> schema.Model:
    """A small network: one block of 8 filters, no dense layer; keys that are not named are the lesson's."""
    small = {"blocks": blocks([8], pool_size=3), "dense_units": 0}
    return schema.Model.model_validate(LESSON["model"] | small | changes)


def preprocess_options(height: int = 5, width: int = 4, channels: int = 1, **changes: Any) -> schema.Preprocess:
    """Images of this size, by default that of make_raw's noise; keys that are not named are the lesson's."""
    image = {"image": {"height": height, "width": width, "channels": channels}}
    return schema.Preprocess.model_validate(LESSON["preprocess"] | image | changes)


def train_options(**changes: Any) -> schema.Train:
    """Short training; keys that are not named here are the lesson's, also those of `augment`."""
    augment = LESSON["train"]["augment"] | changes.get("augment", {})
    return schema.Train.model_validate(LESSON["train"] | QUICK | changes | {"augment": augment})


def digest(arrays: list[NDArray]) -> str:
    """One hash of the bits of all arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def environment(**changes: str) -> dict[str, str]:
    """A new process's environment: a user's own, with `python` the one that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # What `runtime.prepare` has set in this process is not the user's: a core type of OpenBLAS crashes an older CPU.
    ours = runtime.QUIET | runtime.REPEATABLE | runtime.PORTABLE | {"CUDA_VISIBLE_DEVICES": "-1"}
    inherited = {key: value for key, value in os.environ.items() if key not in ours}
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
