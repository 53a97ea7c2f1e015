"""How far results lie apart that differ in the seed alone: metrics/noise.csv, which `make noise` measures."""

import csv
import hashlib
import io
import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnn.process.errors import InputError

NOISE = Path("metrics/noise.csv")
COLUMNS = ("metric", "mean", "standard_deviation", "low", "high", "seeds", "varied", "measured_for")


@dataclass(frozen=True)
class Noise:
    """What noise.csv holds. standard_deviation: of each metric over the seeds; varied: the seeds' dotted names."""

    standard_deviation: dict[str, float]
    seeds: int
    varied: tuple[str, ...]
    measured_for: str

    def is_of(self, params: dict[str, Any]) -> bool:
        """Say whether it was measured for these parameters (dotted name to value, as dvc.lock has them)."""
        return self.measured_for == fingerprint(params, self.varied)

    def limit(self, metric: str) -> float:
        """The difference that two runs, which differ in the seed alone, stay within in 95 of 100 cases.

        Two new runs x and y, and the n measured ones, drawn from one normal distribution of variance v: x - y has the
        variance 2 v, and is independent of s, the standard deviation measured. So (x - y) / (s sqrt(2)) has Student's t
        distribution with n - 1 degrees of freedom, and |x - y| is at most t(0.975, n - 1) sqrt(2) s with probability
        0.95. Raises KeyError where the metric was not measured.
        """
        from scipy.special import stdtrit  # a quarter of a second, which only those pay who ask

        return float(stdtrit(self.seeds - 1, 0.975)) * math.sqrt(2) * self.standard_deviation[metric]


def fingerprint(params: dict[str, Any], varied: Iterable[str]) -> str:
    """16 hex digits that stand for the parameters (dotted name to value), less the seeds that vary."""
    fixed = {name: value for name, value in params.items() if name not in varied}
    canonical = json.dumps(fixed, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def table(runs: list[dict[str, float]], varied: tuple[str, ...], params: dict[str, Any]) -> str:
    """The text of noise.csv: a row a metric. runs: the metrics of each seed, by their dotted names; two or more."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for metric in runs[0]:
        values = [run[metric] for run in runs]
        numbers = (statistics.fmean(values), statistics.stdev(values), min(values), max(values))
        measured = (len(values), ", ".join(varied), fingerprint(params, varied))
        writer.writerow([metric, *(f"{number:.6g}" for number in numbers), *measured])
    return out.getvalue()


def read(text: str) -> Noise:
    """Read the text of noise.csv. Raises InputError where it is not as `table` writes it."""
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
        (seeds, varied, measured_for), *others = {tuple(row[name] for name in COLUMNS[5:]) for row in rows}
        deviations = {row["metric"]: float(row["standard_deviation"]) for row in rows}
        noise = Noise(deviations, int(seeds), tuple(varied.split(", ")), measured_for)
        if others or noise.seeds < 2 or not all(0 <= value < math.inf for value in deviations.values()):
            raise ValueError
    except (csv.Error, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{NOISE}: expected the columns {', '.join(COLUMNS)}, of one measurement. Received: something else. "
            "To go on: `make noise` writes it anew."
        ) from None
    return noise


def of(params: list[dict[str, Any]], splits: list[str]) -> tuple[Noise | None, str]:
    """The noise of train.seed, where noise.csv was measured for one of these parameters; else a note why there is none.

    params: dotted name to value, of each result; splits: whose accuracies are wanted.
    """
    if not NOISE.exists():
        return None, f"The seed's noise is not known: `make noise` measures it, for {NOISE}."
    noise = read(NOISE.read_text())
    if noise.varied != ("train.seed",):
        return None, f"{NOISE} is of other splits as well: `make noise` measures the noise on these images."
    if not any(noise.is_of(one) for one in params):
        return None, f"{NOISE} is of other parameters than these: `make noise` measures it anew."
    if lacking := [split for split in splits if f"{split}.accuracy" not in noise.standard_deviation]:
        return None, f"{NOISE} has no accuracy of {', '.join(lacking)}: `make noise` measures it anew."
    return noise, ""
