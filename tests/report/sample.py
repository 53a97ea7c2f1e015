"""A folder as the pipeline leaves it, written from a network and its images: for tests of the page."""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cnn.network import inference, saved
from cnn.results import metrics, tables
from tests import tiny

Splits = dict[str, tuple[np.ndarray, np.ndarray]]  # train, validation, test: images, labels


def write(folder: Path, model, classes: list[str], splits: Splits, history: dict[str, list[float]]) -> None:
    """Write data/, metrics/, dvc.yaml, dvc.lock, params.yaml and requirements.txt of a finished run."""
    for name in ("dvc.yaml", "params.yaml", "requirements.txt", "dvc.lock"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny.ROOT / name, folder)
    _write_data(folder, model, classes, splits)
    (folder / "metrics/figures").mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny.ROOT / "metrics/figures/feature_maps.png", folder / "metrics/figures")
    predict = inference.predictor(model)
    answers = {
        name: metrics.answers_of(predict(images, 1000), labels)
        for name, (images, labels) in splits.items()
        if len(images)
    }
    with contextlib.chdir(folder):
        tables.write_headline(answers)
        tables.write_details(answers, model.count_params())
        tables.write_classes(answers, classes)
        tables.write_predictions(answers, {name: images for name, (images, _) in splits.items()})
    epochs = pd.DataFrame({"epoch": range(1, len(history["loss"]) + 1), **history, "learning_rate": 0.001})
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    epochs.reindex(columns=columns).to_csv(folder / "metrics/history.csv", index=False)
    lock(folder)


def lock(folder: Path) -> None:
    """Have dvc.lock name the outputs of dvc.yaml with the hashes that they have."""
    pipeline = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    locked = yaml.safe_load((folder / "dvc.lock").read_text())
    for name, stage in pipeline.items():
        outputs = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
        files = [folder / (entry if isinstance(entry, str) else next(iter(entry))) for entry in outputs]
        folders = [entry for entry in locked["stages"][name]["outs"] if entry["md5"].endswith(".dir")]
        locked["stages"][name]["outs"] = folders + [
            {
                "path": str(path.relative_to(folder)),
                "hash": "md5",
                "md5": hashlib.md5(path.read_bytes()).hexdigest(),
                "size": path.stat().st_size,
            }
            for path in files
            if path.is_file()
        ]
    (folder / "dvc.lock").write_text(yaml.safe_dump(locked, sort_keys=False))


def _write_data(folder: Path, model, classes: list[str], splits: Splits) -> None:
    data = folder / "data/processed"
    data.mkdir(parents=True, exist_ok=True)
    shape = splits["train"][0].shape[1:]
    summary = {"dataset": "sample", "shape": list(shape), "classes": classes}
    for name, (images, labels) in splits.items():
        np.save(data / f"{name}_images.npy", images)
        np.save(data / f"{name}_labels.npy", labels.astype(np.uint8))
        summary[name] = {"images": len(images)}
    (data / "summary.json").write_text(json.dumps(summary))
    saved.save_model(model, folder / "data/model/model.keras")
