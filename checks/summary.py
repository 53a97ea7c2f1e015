"""Print the test metrics of the last run, where the pictures are, and what to try next."""

import json
from pathlib import Path

METRICS = Path("metrics/metrics.json")


def main() -> None:
    test = json.loads(METRICS.read_text())["test"]
    low, high = test["accuracy_low"], test["accuracy_high"]
    print(f"""
  test accuracy       {test["accuracy"]:.4f}   95 % interval {low:.4f} to {high:.4f}, n = {test["n"]:,}
  test loss           {test["loss"]:.4f}
  macro F1            {test["macro_f1"]:.4f}
  worst class recall  {test["worst_class_recall"]:.4f}
  calibration error   {test["calibration_error"]:.4f}

Pictures: metrics/figures/   All metrics: {METRICS}
Next: change a number in params.yaml, `make run`, then `.venv/bin/dvc params diff` and `.venv/bin/dvc metrics diff`.""")


if __name__ == "__main__":
    main()
