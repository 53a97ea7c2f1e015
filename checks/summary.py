"""Print the metrics of the last run, validation first, where the pictures are, and what to try next."""

import csv

from cnn.storage import paths


def main() -> None:
    with open(paths.DETAILS, newline="") as file:
        rows = {(row["split"], row["metric"]): row for row in csv.DictReader(file)}
    splits = [split for split in ("validation", "train", "test") if (split, "accuracy") in rows]
    lines = ["", " " * 20 + "".join(f"{split:>18}" for split in splits)]
    for metric in dict.fromkeys(metric for split, metric in rows if split in splits):
        values = (float(rows[split, metric]["value"]) for split in splits)
        lines.append(f"  {metric.replace('_', ' '):18}" + "".join(f"{value:18.4f}" for value in values))
    accuracy = [rows[split, "accuracy"] for split in splits]
    limits = (f"{float(row['low']):.4f} to {float(row['high']):.4f}" for row in accuracy)
    lines.append(f"  {'95 % of accuracy':18}" + "".join(f"{limit:>18}" for limit in limits))
    lines.append(f"  {'images':18}" + "".join(f"{int(row['n']):18,}" for row in accuracy))
    print("\n".join(lines))
    print(f"""
Choose by validation. The test images are for the final number: look at it once.
Pictures: {paths.FIGURES}/   All metrics: {paths.DETAILS}
Next: change a number in params.yaml, `make run`, then `.venv/bin/dvc params diff` and `.venv/bin/dvc metrics diff`.""")


if __name__ == "__main__":
    main()
