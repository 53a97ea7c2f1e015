"""A folder as the pipeline leaves it, written from a network and its images: for tests of the page."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cnn.network import inference, saved
from cnn.results import metrics
from tests import tiny

Splits = dict[str, tuple[np.ndarray, np.ndarray]]  # train, validation, test: images, labels


def write(folder: Path, model, classes: list[str], splits: Splits, history: dict[str, list[float]]) -> None:
    """Write data/, metrics/, dvc.yaml, dvc.lock, params.yaml and requirements.txt of a finished run."""
    for name in ("dvc.yaml", "params.yaml", "requirements.txt", "dvc.lock"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny.ROOT / name, folder)
    _write_data(folder, model, classes, splits)
    tables = folder / "metrics"
    (tables / "figures").mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny.ROOT / "metrics/figures/feature_maps.png", tables / "figures")
    predict = inference.predictor(model)
    probabilities = {name: predict(images, 1000) for name, (images, _) in splits.items() if len(images)}
    measured = {name: metrics.measure(values, splits[name][1]) for name, values in probabilities.items()}
    order = [name for name in ("validation", "train", "test") if name in measured]
    headline = ("loss", "accuracy", "macro_f1", "worst_class_recall", "calibration_error")
    (tables / "metrics.json").write_text(
        json.dumps(
            {name: {key: measured[name][key] for key in headline[: 5 if name == "test" else 2]} for name in order}
        )
    )
    rows = [("model", "parameters", model.count_params(), None, None, "", None)]
    for name in order:
        for key in headline:
            values = measured[name]
            spread = 0.02 if key in ("macro_f1", "calibration_error") else None
            low, high = (values.get(f"{key}_low"), values.get(f"{key}_high"))
            if spread:
                low, high = max(values[key] - spread, 0), min(values[key] + spread, 1)
            interval = {"accuracy": "95 % Wilson", "macro_f1": "95 % bootstrap", "calibration_error": "95 % bootstrap"}
            rows.append((name, key, values[key], low, high, interval.get(key, ""), values["n"]))
    columns = ["split", "metric", "value", "low", "high", "interval", "n"]
    pd.DataFrame(rows, columns=columns).astype({"n": "Int64"}).to_csv(tables / "details.csv", index=False)
    _write_predictions(tables, classes, splits, {name: probabilities[name] for name in order if name != "train"})
    epochs = pd.DataFrame({"epoch": range(1, len(history["loss"]) + 1), **history, "learning_rate": 0.001})
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    epochs.reindex(columns=columns).to_csv(tables / "history.csv", index=False)
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


def _write_predictions(tables: Path, classes: list[str], splits: Splits, probabilities) -> None:
    parts, per_class = [], []
    for name, values in probabilities.items():
        images, labels = splits[name]
        predicted = values.argmax(axis=1)
        parts.append(
            pd.DataFrame(
                {
                    "split": name,
                    "index": np.arange(len(labels)),
                    "image": [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images],
                    "actual": labels,
                    "predicted": predicted,
                    "confidence": values.max(axis=1),
                    "likelihood": values[np.arange(len(labels)), labels],
                }
            )
        )
        matrix = metrics.confusion_matrix(labels, predicted, len(classes))
        for number, class_name in enumerate(classes):
            right, support, called = matrix[number, number], matrix[number].sum(), matrix[:, number].sum()
            shares = (right / max(called, 1), right / max(support, 1), 2 * right / max(support + called, 1))
            per_class.append((name, class_name, *(round(float(share), 6) for share in shares), support))
    pd.concat(parts).to_csv(tables / "predictions.csv", index=False, float_format="%.6g")
    columns = ["split", "class", "precision", "recall", "f1", "support"]
    pd.DataFrame(per_class, columns=columns).to_csv(tables / "classes.csv", index=False)
