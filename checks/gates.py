"""The gates of checks/gates.yaml: what the committed metrics must keep, judged by their intervals."""

import csv
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cnn.process.errors import InputError
from cnn.settings import faults, strict_yaml
from cnn.storage.paths import DETAILS

GATES = Path("checks/gates.yaml")
LESS_IS_BETTER = ("loss", "calibration_error")
CHOOSE, TEST = (
    [f"{split}.{metric}" for metric in ("accuracy", "macro_f1", *LESS_IS_BETTER)] for split in ("validation", "test")
)
PAIRED = CHOOSE + TEST  # but only validation's are suggested: the test metrics are not for choices
Bound = Annotated[float, Field(allow_inf_nan=False)]
Loss = Annotated[Bound, Field(ge=0)]


class Gates(BaseModel):
    """Bounds by the dotted names of metrics, as in metrics.json."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    floors: dict[str, Bound] = {}
    ceilings: dict[str, Bound] = {}
    regressions: dict[str, Loss] = {}


class Measured(NamedTuple):
    """A metric of details.csv. low, high: its interval; kind: of which level and by which method; "": it has none."""

    value: float
    low: float
    high: float
    kind: str


def load_gates() -> Gates:
    """Read checks/gates.yaml. Raises InputError with every fault at once."""
    document, found = strict_yaml.load_yaml(GATES)
    gates = Gates()
    try:
        gates = Gates.model_validate(document)
    except ValidationError as error:
        found += faults.describe(error, document, Gates)
    if found:
        raise InputError("\n  ".join([f"{GATES} is not valid:", *found]))
    return gates


def read_details() -> dict[str, Measured]:
    """The metrics of details.csv by their dotted names. Raises InputError where it is damaged or not there."""
    try:
        with open(DETAILS, newline="") as file:
            details = {f"{row['split']}.{row['metric']}": _measured(row) for row in csv.DictReader(file)}
        if not details:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise InputError(
            f"{DETAILS}: expected metrics with their intervals. Received: something else. To go on: `dvc repro`."
        ) from None
    return details


def _measured(row: dict[str, str]) -> Measured:
    if not row["interval"]:
        return Measured(float(row["value"]), 0, 0, "")
    return Measured(float(row["value"]), float(row["low"]), float(row["high"]), row["interval"])


def unknown(gates: Gates, details: dict[str, Measured]) -> list[str]:
    """A line for each gate on a metric that there is not, or that has no interval to be judged by."""
    lines = []
    known = [name for name, metric in details.items() if metric.kind]
    for section, bounds in gates:
        for name in bounds:
            if name in CHOOSE and name not in details:
                lines.append(
                    f"{section}.{name}: there are no validation images: preprocess.validation_fraction is 0. Hold some "
                    "back, or take the gate out."
                )
            elif name not in details:
                lines.append(f"{section}.{name}: {DETAILS} has no such metric.{faults.near_miss(name, known)}")
            elif section == "regressions" and name not in PAIRED:
                lines.append(f"{section}.{name}: two revisions are not compared by it.{faults.near_miss(name, CHOOSE)}")
            elif name not in known:
                lines.append(
                    f"{section}.{name}: has no interval in {DETAILS}, and cannot be judged: take the gate out."
                )
    return lines


def broken(gates: Gates, details: dict[str, Measured]) -> list[str]:
    """A line for each floor and ceiling that the whole interval of its metric lies beyond."""
    sides = [(name, bound, "below the floor") for name, bound in gates.floors.items()]
    sides += [(name, bound, "above the ceiling") for name, bound in gates.ceilings.items()]
    lines = []
    for name, bound, side in sides:
        metric = details.get(name)
        if metric and metric.kind and (metric.high < bound if "floor" in side else metric.low > bound):
            lines.append(
                f"{name} is {metric.value:.4f}, and its whole interval, {metric.low:.4f} to {metric.high:.4f} "
                f"({metric.kind}), lies {side} of {bound:g}: make it better, or move the gate in {GATES}."
            )
    return lines


def regressed(gates: Gates, base: str) -> tuple[list[str], list[str]]:
    """(A line for each regression beyond its gate, one for each that cannot be judged.) The work tree's against base's.

    A regression is broken where the whole 95 % interval of the difference, paired by image, lies beyond what is
    allowed. Raises InputError where a result cannot be read.
    """
    from cnn.comparison import revisions, verdict  # half a second, which only those pay who give a base

    before, now = revisions.read(base), revisions.read()
    splits = dict.fromkeys(name.partition(".")[0] for name in gates.regressions)
    comparisons = {split: verdict.compare(before, now, split) for split in splits}
    broken, unjudged = [], []
    for name, allowed in gates.regressions.items():
        split, _, metric = name.partition(".")
        if not comparisons[split].comparable:
            unjudged.append(f"{name} was not held against {before.name}: {comparisons[split].verdict}")
            continue
        row = next(row for row in comparisons[split].metrics if row.metric == metric)
        worse, low, high = row.difference, row.low, row.high
        if metric not in LESS_IS_BETTER:
            worse, low, high = -worse, -high, -low
        if low > allowed:
            broken.append(
                f"{name} is worse by {worse:.4f} than that of {before.name}, {row.b:.4f} after {row.a:.4f}, and the "
                f"whole interval, {low:.4f} to {high:.4f} (95 %, paired), lies beyond the {allowed:g} allowed: "
                f"make it better, or move the gate in {GATES}."
            )
    return broken, unjudged
