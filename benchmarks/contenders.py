"""Who is measured side by side, on which data set, and how each is run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.work import make_project, measured, with_changes

KERAS, TORCH = "plain Keras", "PyTorch"


@dataclass(frozen=True)
class Contender:
    """seeds: how many runs, each with its own; quick: also in the short form; options: None for the yardsticks."""

    seeds: int
    quick: bool = False
    data: str = "mnist"
    options: dict[str, Any] | None = None

    @property
    def base(self) -> str:
        """The yardstick that it is held against: plain Keras on the same images."""
        return KERAS if self.data == "mnist" else f"{KERAS}, {self.data}"


# In the order of the table. All on one data set train on the same images, and validate on the same.
CONTENDERS = {
    KERAS: Contender(7, quick=True),
    TORCH: Contender(5, quick=True),
    "tutorial, machine": Contender(7, quick=True, options=with_changes("tutorial", train={"determinism": "machine"})),
    "tutorial": Contender(7, quick=True, options=with_changes("tutorial")),
    "fast": Contender(5, quick=True, options=with_changes("fast")),
    "accurate": Contender(3, options=with_changes("accurate")),
    f"{KERAS}, fashion-mnist": Contender(2, data="fashion-mnist"),
    "fashion": Contender(3, data="fashion-mnist", options=with_changes("fashion")),
}


def prepare(place: Path, data: str) -> None:
    """Download and split a data set, as the recipes say, into place/data/processed."""
    make_project(place, with_changes("tutorial", download={"dataset": data}))
    for stage in ("download", "preprocess"):
        measured(f"stages.{stage}", cwd=place)


def run(name: str, seed: int, folder: Path, torch: str | None = None) -> dict[str, float]:
    """Train and measure one contender on the splits in `folder`, in a process of its own. torch: a Python with it."""
    options = CONTENDERS[name].options
    if name == TORCH:
        output, cost = measured("benchmarks.plain_torch", folder, seed, python=torch)
    elif options is None:
        output, cost = measured("benchmarks.plain_keras", folder, seed)
    else:
        file = folder / "options.json"
        file.write_text(json.dumps(options))
        output, cost = measured("benchmarks.ours", folder, seed, file)
    return cost | json.loads(output.splitlines()[-1])
