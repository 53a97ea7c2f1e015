"""sweep.yaml: the parameters that a sweep varies, and their values, checked by the schema of params.yaml."""

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from optuna import distributions
from optuna.distributions import BaseDistribution
from pydantic import BaseModel, ConfigDict, ValidationError

from checks import runs
from cnn.comparison.flat import flat
from cnn.process.errors import InputError
from cnn.settings import faults, params, strict_yaml
from cnn.settings.schema import Finite

SPACE = Path("sweep.yaml")
Space = dict[str, BaseDistribution]  # by the parameters' dotted names
# What must not vary, and why.
FIXED = {
    "download": "trials on other images cannot be compared",
    "preprocess": "trials on other images cannot be compared",
    "train.seed": "the best of several seeds is luck, which `make noise` measures",
}


class Range(BaseModel):
    """The numbers from low to high; step: only low + n * step; log: evenly in their logarithm."""

    model_config = ConfigDict(extra="forbid", strict=True)

    low: Finite
    high: Finite
    step: Finite | None = None
    log: bool = False


def load(path: Path = SPACE) -> Space:
    """Read and check sweep.yaml. Raises InputError that names every fault at once, and one for those of params.yaml."""
    if not params.load_params().preprocess.validation_fraction:
        raise InputError(
            "preprocess.validation_fraction: expected more than 0: a sweep chooses by the validation images. "
            "Received: 0. Set it in params.yaml, and commit that."
        )
    known = list(flat(strict_yaml.load_yaml(params.PARAMS)[0]))
    document, found = strict_yaml.load_yaml(path)
    if not document:
        found.append("expected one parameter or more. Received: none.")
    space: Space = {}
    for name, entry in document.items():
        found += (wrong := _key_faults(name, known) or _entry_faults(name, entry))
        if not wrong:
            with warnings.catch_warnings(action="error"):  # Optuna's, of a step that does not end at high
                try:
                    space[name] = _distribution(entry)
                except (ValueError, UserWarning) as error:
                    found.append(f"{name}: {error}")
    if found:
        count = f"{len(found)} fault{'s' if len(found) > 1 else ''}"
        raise InputError("\n  ".join([f"{path} is not valid ({count}):", *found]))
    return space


def impossible(values: dict[str, Any]) -> list[str]:
    """A line for each fault of params.yaml with these values, by their dotted names."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        tried = Path(folder, params.PARAMS)
        shutil.copy(params.PARAMS, tried)
        runs.set_params(tried, values)
        try:
            params.load_params(tried)
        except InputError as error:
            return [line.strip() for line in str(error).splitlines()[1:]]
    return []


def rounded(value: Any, distribution: BaseDistribution) -> Any:
    """A value as a person would write it: a real number with three digits, or what the steps have."""
    if not isinstance(distribution, distributions.FloatDistribution):
        return value
    text = f"{value:.3g}" if distribution.step is None else f"{value:.10g}"
    return min(max(float(text), distribution.low), distribution.high)


def _key_faults(name: Any, known: list[str]) -> list[str]:
    if name not in known:
        return [f"{name}: unknown key.{faults.near_miss(str(name), known)}"]
    return [
        f"{name}: expected a parameter of model, train or evaluate: {reason}. Take it out."
        for fixed, reason in FIXED.items()
        if f"{name}.".startswith(f"{fixed}.")
    ]


def _entry_faults(name: str, entry: Any) -> list[str]:
    """Check the form of an entry, then each of its corners as a value of params.yaml."""
    if isinstance(entry, dict):
        try:
            Range.model_validate(entry)
        except ValidationError as error:
            return faults.describe(error, {name: entry}, Range, (name,))
        corners = [entry["low"], entry["high"]]
    elif isinstance(entry, list) and len({repr(value) for value in entry}) == len(entry) > 1:
        corners = entry
    else:
        return [f"{name}: expected a list of two or more values, or low and high. Received: {entry!r}."]
    return list(dict.fromkeys(line for value in corners for line in impossible({name: value})))


def _distribution(entry: dict[str, Any] | list[Any]) -> BaseDistribution:
    """Optuna's name for it. Raises ValueError for a range that is none."""
    if isinstance(entry, list):
        return distributions.CategoricalDistribution(entry)
    if all(isinstance(entry[end], int) for end in ("low", "high")) and isinstance(entry.get("step", 1), int):
        return distributions.IntDistribution(**entry)
    return distributions.FloatDistribution(**entry)
