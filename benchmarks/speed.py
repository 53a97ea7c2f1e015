"""Side by side on real images: the recipes, plain Keras and, where it is there, PyTorch.

python -m benchmarks.speed           the whole: writes results.csv, results.png and the README's table
python -m benchmarks.speed --quick   the same network and `fast`, in three pairs; prints the table, writes nothing
python -m benchmarks.speed --data D  those on one data set; the results of the others stay

The environment variable TORCH names a Python that has PyTorch and NumPy; without it, PyTorch is left out.
"""

import argparse
import json
import os
import re
import tempfile
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from benchmarks import picture
from benchmarks.contenders import CONTENDERS, TORCH, prepare, run
from benchmarks.work import HERE, ROOT, machine

RESULTS = HERE / "results.csv"
QUICK_PAIRS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the recipes side by side with plain Keras.")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--quick", action="store_true", help="three pairs of the same network and `fast`; writes nothing")
    part.add_argument("--data", choices=dict.fromkeys(each.data for each in CONTENDERS.values()), help="on this alone")
    arguments, torch = parser.parse_args(), os.environ.get("TORCH")
    kept = others(arguments.data, torch) if arguments.data else None
    results = pd.DataFrame(measure(arguments.quick, arguments.data, torch)).assign(machine=machine())
    if not arguments.quick:
        pd.concat([kept, results]).to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")
        results, readme = pd.read_csv(RESULTS), ROOT / "README.md"
        readme.write_text(with_table(readme.read_text(), results))
        picture.save(results, RESULTS.with_suffix(".png"))
    print(f"\n{table(results)}\n\n{note(results)}")


def others(data: str, torch: str | None) -> pd.DataFrame:
    """The results so far that stay: those on other data sets. Exits where there are none, where another machine gave
    them, and where PyTorch's on this one would be lost.
    """
    if not RESULTS.exists():
        raise SystemExit(f"{RESULTS}: expected the results on the other data sets. Measure all: `make bench-all`.")
    results = pd.read_csv(RESULTS)
    if found := set(results["machine"]) - {machine()}:
        raise SystemExit(
            f"{RESULTS}: expected results of {machine()}. Received: {'; '.join(found)}. Measure all: `make bench-all`."
        )
    measured_again = results["contender"].map(lambda name: CONTENDERS[name].data) == data
    if not torch and TORCH in set(results["contender"][measured_again]):
        raise SystemExit(f"{RESULTS}: expected TORCH=…/python, a Python that has PyTorch: its results would be lost.")
    return results[~measured_again]


def measure(quick: bool, data: str | None, torch: str | None) -> list[dict[str, object]]:
    """Run all contenders that are asked for. A row a run, which is printed as it comes."""
    seeds = {
        name: min(contender.seeds, QUICK_PAIRS) if quick else contender.seeds
        for name, contender in CONTENDERS.items()
        if (contender.quick or not quick) and (name != TORCH or torch) and data in (None, contender.data)
    }
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place, tqdm(total=sum(seeds.values()), unit="run", disable=None) as bar:
        for each in {CONTENDERS[name].data for name in seeds}:
            prepare(Path(place, each), each)
        for seed in range(1, max(seeds.values()) + 1):
            names = [name for name, count in seeds.items() if seed <= count]
            # To and fro, so that a machine that slows down favours nobody.
            for name in names if seed % 2 else reversed(names):
                folder = Path(place, CONTENDERS[name].data, "data/processed")
                rows.append({"contender": name, "seed": seed, **run(name, seed, folder, torch)})
                bar.update()
                print(json.dumps(rows[-1]), flush=True)
    return rows


def table(results: pd.DataFrame) -> str:
    """The README's table: medians of times, ratios of pairs with the same seed, mean and deviation of accuracy.

    A ratio is the median of the pairs to plain Keras on the same images, with the smallest and the largest of them.
    """
    lines = [
        "| | work time | of plain Keras' | whole process | CPU time | peak memory | test accuracy | of peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in results["contender"].drop_duplicates().sort_values(key=lambda names: names.map([*CONTENDERS].index)):
        base = CONTENDERS[name].base
        runs, memory = (
            results[results["contender"] == name].set_index("seed"),
            ratios(results, name, "peak_mb").median(),
        )
        times = ratios(results, name, "work_s")
        ratio = "1" if name == base else f"{times.median():.2f} ({times.min():.2f} to {times.max():.2f})"
        share = (runs["tflop"] / runs["work_s"] / runs["peak_tflop_s"]).median()
        lines.append(
            f"| {name} | {runs['work_s'].median():.1f} s | {ratio} | {runs['wall_s'].median():.1f} s "
            f"| {runs['cpu_s'].median():.0f} s | {runs['peak_mb'].median():.0f} MB ({memory:.2f}) "
            f"| {100 * runs['accuracy'].mean():.2f} ± {100 * runs['accuracy'].std():.2f} % "
            f"| {'' if CONTENDERS[name].options is None else f'{share:.0%}'} |"
        )
    return "\n".join(lines)


def ratios(results: pd.DataFrame, name: str, column: str, base: str | None = None) -> pd.Series:
    """A contender's measure over that of its base, plain Keras if not named, for each seed that both ran with."""
    base = base or CONTENDERS[name].base
    measures = results.pivot(index="seed", columns="contender", values=column)
    return (measures[name] / measures[base]).dropna()


def note(results: pd.DataFrame) -> str:
    """What was measured on; the ratio to PyTorch, where it was there."""
    text = f"Measured on {results['machine'].iloc[0]}."
    if TORCH in set(results["contender"]):
        times = ratios(results, "tutorial, machine", "wall_s", TORCH)
        text += (
            f" As a whole process, `tutorial, machine` takes {times.median():.2f} ({times.min():.2f} to "
            f"{times.max():.2f}) of PyTorch's."
        )
    return text


def with_table(readme: str, results: pd.DataFrame) -> str:
    """The README with its table, and the note below it, made from the results."""
    begin, end = "<!-- benchmark: benchmarks/results.csv -->\n", "<!-- /benchmark -->"
    text = f"{table(results)}\n\n{note(results)}\n"
    return re.sub(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _: text, readme, flags=re.DOTALL)


if __name__ == "__main__":
    main()
