"""history.csv: a row an epoch."""

import csv
from pathlib import Path

from cnn.storage import files, paths
from cnn.training.checkpoint import Row


def write(rows: list[Row], path: Path = paths.HISTORY) -> None:
    """Write epoch, loss, accuracy, val_loss, val_accuracy, learning_rate; six digits, nothing where there is none."""
    with files.whole(path, "w") as out:
        table = csv.DictWriter(out, rows[0], lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({key: "" if value is None else f"{value:.6g}" for key, value in row.items()})
