"""Time and peak memory of each stage for 1, 2, 4 and 8 times MNIST. Writes scale.csv, scale.md and scale.png."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.work import HERE, machine, make_project, measured, with_changes
from cnn.storage import idx

RESULTS = HERE / "scale.csv"
STAGES = ("download", "preprocess", "train", "evaluate")
TIMES = (1, 2, 4, 8)
PIXELS = 70_000 * 28 * 28  # of MNIST
MEASURES = {"wall_s": "time (s)", "peak_mb": "peak memory (MB)"}


def main() -> None:
    rows = []
    with (
        tempfile.TemporaryDirectory() as place,
        tqdm(total=(1 + len(TIMES)) * len(STAGES), unit="stage", disable=None) as bar,
    ):
        mnist, entry = fetch(Path(place, "1"))
        # Once unmeasured: the first start reads libraries from disk, the later ones from memory.
        for number, times in enumerate((1, *TIMES)):
            for stage, cost in costs(mnist, entry, times, Path(place, "work")):
                if number:
                    rows.append({"times": times, "stage": stage, **cost})
                bar.update()
    pd.DataFrame(rows).assign(machine=machine()).to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")
    results = pd.read_csv(RESULTS)
    RESULTS.with_suffix(".md").write_text(report(results))
    draw(results).savefig(RESULTS.with_suffix(".png"), dpi=110)
    print(report(results))


def fetch(work: Path) -> tuple[Path, dict[str, Any]]:
    """Download MNIST. Returns the folder of its files, and its entry in the catalogue."""
    make_project(work, with_changes("tutorial", download={"dataset": "mnist"}))
    measured("stages.download", cwd=work)
    return work / "data/raw", yaml.safe_load((work / "data/sources.yaml").read_text())["mnist"]


def costs(mnist: Path, entry: dict[str, Any], times: int, work: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Each stage on so many times MNIST, and what it cost, as they end. `work` is made for it, and removed."""
    enlarge(mnist, entry, times, work)
    for stage in STAGES:
        _, cost = measured(f"stages.{stage}", cwd=work, DATA_MIRROR=str(work / "mirror"))
        yield stage, cost
    shutil.rmtree(work)


def enlarge(mnist: Path, entry: dict[str, Any], times: int, work: Path) -> None:
    """Make a project at `work` whose data set is MNIST so many times, each copy rolled to the side a bit further."""
    mirror = work / "mirror/mnist"
    make_project(work, with_changes("tutorial", download={"dataset": "mnist"}, train={"epochs": 1}))
    mirror.mkdir(parents=True)
    files = {}
    for role, file in entry["files"].items():
        path = mirror / file["name"]
        rows = np.concatenate(list(idx.idx_rows(mnist / path.name)))
        with open(path, "wb") as out:
            idx.write_idx(
                out, np.concatenate([rows if rows.ndim == 1 else np.roll(rows, 3 * k, 2) for k in range(times)])
            )
        with open(path, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        files[role] = {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}
    (work / "data/sources.yaml").write_text(yaml.safe_dump({"mnist": entry | {"files": files}}))


def measures(results: pd.DataFrame, stage: str, measure: str) -> NDArray[np.float64]:
    """What was measured of a stage for each size of data, in the order of TIMES."""
    return results[results["stage"] == stage].set_index("times")[measure].loc[list(TIMES)].to_numpy()


def report(results: pd.DataFrame) -> str:
    """A table of what was measured, and of what was fitted to it.

    The exponent of growth is the slope of log(measure) over log(data). Fixed cost and growth are a straight
    line's: seconds at no data at all and a second more for so many images; bytes more a pixel.
    """
    lines = [
        "| stage | " + " | ".join(f"{times} x MNIST" for times in TIMES) + " | exponent: time, memory "
        "| fixed time | memory: bytes a pixel |",
        "|---" * (len(TIMES) + 4) + "|",
    ]
    for stage in STAGES:
        seconds, memory = (measures(results, stage, measure) for measure in MEASURES)
        exponents = [np.polyfit(np.log(TIMES), np.log(values), 1)[0] for values in (seconds, memory)]
        fixed = np.polyfit(TIMES, seconds, 1)[1]
        growth = np.polyfit(np.array(TIMES) * PIXELS, memory * 1e6, 1)[0]
        cells = [f"{second:.1f} s, {megabytes:.0f} MB" for second, megabytes in zip(seconds, memory, strict=True)]
        fitted = f"{exponents[0]:z.2f}, {exponents[1]:z.2f} | {fixed:z.1f} s | {growth:z.2f}"  # z: no "-0.0"
        lines.append(f"| {stage} | {' | '.join(cells)} | {fitted} |")
    return "\n".join([*lines, "", f"The train stage for one epoch. One run each, on {results['machine'][0]}.", ""])


def draw(results: pd.DataFrame) -> Figure:
    """Time and peak memory over the size of the data, a line a stage, on logarithmic axes."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (measure, title) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for stage in STAGES:
            axes.plot(TIMES, measures(results, stage, measure), marker="o", label=stage)
        axes.set(xscale="log", yscale="log", xlabel="times MNIST (70,000 images of 28 x 28)", title=title)
        axes.set_xticks(TIMES, [str(times) for times in TIMES])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure


if __name__ == "__main__":
    main()
