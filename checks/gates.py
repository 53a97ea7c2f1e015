"""The gates of checks/gates.yaml: what the committed metrics must keep, judged by their intervals."""

import csv
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cnn.process.errors import InputError
from cnn.settings import faults, strict_yaml
from cnn.storage.paths import DETAILS

GATES = Path("checks/gates.yaml")
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
            return {f"{row['split']}.{row['metric']}": _measured(row) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise InputError(
            f"{DETAILS}: expected metrics with their intervals. Received: something else. To go on: `dvc repro`."
        ) from None


def _measured(row: dict[str, str]) -> Measured:
    if not row["interval"]:
        return Measured(float(row["value"]), 0, 0, "")
    return Measured(float(row["value"]), float(row["low"]), float(row["high"]), row["interval"])


def unknown(gates: Gates, details: dict[str, Measured]) -> list[str]:
    """A line for each gate on a metric that details.csv does not have, or has without an interval."""
    lines = []
    known = [name for name, metric in details.items() if metric.kind]
    for section, bounds in gates:
        for name in bounds:
            if name not in details:
                lines.append(f"{section}.{name}: {DETAILS} has no such metric.{faults.near_miss(name, known)}")
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
