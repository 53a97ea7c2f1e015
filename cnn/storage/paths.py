"""Where every artifact lies. What is under data/ belongs to DVC, what is under metrics/ to git."""

from pathlib import Path

RAW = Path("data/raw")
LOCAL = Path("data/local")  # the user's own images, in a folder for each data set
PROCESSED = Path("data/processed")
SUMMARY = PROCESSED / "summary.json"
MODEL = Path("data/model/model.keras")
CHECKPOINT = Path("data/checkpoint/train.npz")  # no output: DVC deletes those before a stage runs

METRICS = Path("metrics/metrics.json")
DETAILS = Path("metrics/details.csv")
CLASSES = Path("metrics/classes.csv")
HISTORY = Path("metrics/history.csv")
PREDICTIONS = Path("metrics/predictions.csv")
FIGURES = Path("metrics/figures")
