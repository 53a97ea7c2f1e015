"""Side by side on the real MNIST: the recipes, and plain Keras. Writes results.csv and the README's table."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from benchmarks.work import HERE, ROOT, machine, make_project, measured, with_changes

RESULTS = HERE / "results.csv"
PLAIN = "plain Keras"
STILL = {
    "shift": 0,
    "crop": 0,
    "rotate": 0,
    "zoom": 0.0,
    "shear": 0.0,
    "flip": False,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
}  # an epoch is too short to gain from augmentation
# In the order of the table, each with its number of seeds. All train on the same 54,000 images.
CONTENDERS: dict[str, tuple[int, dict[str, Any]]] = {
    PLAIN: (5, {}),
    "tutorial, machine": (3, with_changes("tutorial", train={"determinism": "machine"})),
    "tutorial": (3, with_changes("tutorial")),
    "fast, 1 epoch": (
        5,
        with_changes("fast", train={"epochs": 1, "learning_rate": 0.4, "augment": STILL}, evaluate={"shift": 0}),
    ),
    "fast": (5, with_changes("fast")),
    "accurate": (3, with_changes("accurate")),
}


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = prepare(Path(place))
        with tqdm(total=sum(seeds for seeds, _ in CONTENDERS.values()), unit="run", disable=None) as bar:
            for seed in range(1, 6):
                names = [name for name, (seeds, _) in CONTENDERS.items() if seed <= seeds]
                # To and fro, so that a machine that slows down favours nobody.
                for name in names if seed % 2 else reversed(names):
                    rows.append({"contender": name, "seed": seed, **run(name, seed, folder)})
                    bar.update()
                    print(json.dumps(rows[-1]), flush=True)
    pd.DataFrame(rows).assign(machine=machine()).to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")
    results, readme = pd.read_csv(RESULTS), ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(), results))
    print(table(results))


def prepare(place: Path) -> Path:
    """Download and split MNIST as the recipes say. Returns the folder of the splits."""
    make_project(place, with_changes("fast"))
    for stage in ("download", "preprocess"):
        measured(f"stages.{stage}", cwd=place)
    return place / "data/processed"


def run(name: str, seed: int, folder: Path) -> dict[str, float]:
    """Train and measure one contender in a process of its own."""
    if name == PLAIN:
        output, cost = measured("benchmarks.plain_keras", folder, seed)
    else:
        file = folder / "options.json"
        file.write_text(json.dumps(CONTENDERS[name][1]))
        output, cost = measured("benchmarks.ours", folder, seed, file)
    return cost | json.loads(output.splitlines()[-1])


def table(results: pd.DataFrame) -> str:
    """The README's table: medians of times and of ratios to plain Keras with the same seed, mean and sd of accuracy."""
    base = results[results["contender"] == PLAIN].set_index("seed")
    lines = [
        "| | work time | of plain Keras' | whole process | CPU time | peak memory | test accuracy | of peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in CONTENDERS:
        runs = results[results["contender"] == name].set_index("seed")
        pairs = base.loc[runs.index]
        ratio, memory = ((runs[column] / pairs[column]).median() for column in ("work_s", "peak_mb"))
        share = (runs["tflop"] / runs["work_s"] / runs["peak_tflop_s"]).median()
        lines.append(
            f"| {name} | {runs['work_s'].median():.1f} s | {ratio:.2f} | {runs['wall_s'].median():.1f} s "
            f"| {runs['cpu_s'].median():.0f} s | {runs['peak_mb'].median():.0f} MB ({memory:.2f}) "
            f"| {100 * runs['accuracy'].mean():.2f} ± {100 * runs['accuracy'].std():.2f} % "
            f"| {'' if name == PLAIN else f'{share:.0%}'} |"
        )
    return "\n".join(lines)


def with_table(readme: str, results: pd.DataFrame) -> str:
    """The README with its table, and the line on the machine below it, made from the results."""
    begin, end = "<!-- benchmark: benchmarks/results.csv -->\n", "<!-- /benchmark -->"
    text = f"{table(results)}\n\nMeasured on {results['machine'][0]}.\n"
    return re.sub(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _: text, readme, flags=re.DOTALL)


if __name__ == "__main__":
    main()
