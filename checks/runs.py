"""What noise and sweep share: runs of the pipeline with other parameters, in a clone."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.utils.serialize import modify_yaml

from checks.attempt import Attempt
from cnn.comparison.flat import flat
from cnn.process.errors import InputError
from cnn.settings.params import PARAMS
from cnn.storage.paths import METRICS

MOST = 10_000  # runs
POLL = 0.5  # seconds


class RunFailedError(Exception):
    """A run of the pipeline ended with a fault. Holds what DVC and the stage said."""


def run(clone: Path, values: dict[str, Any], watch: Callable[[], None] = lambda: None) -> tuple[dict[str, float], str]:
    """Run the pipeline in the clone with these parameters, by their dotted names.

    watch: called again and again meanwhile, and at the end; what it raises ends the run, of which nothing is left.
    Returns the metrics by their dotted names, and how long it took. Raises RunFailedError.
    """
    set_params(clone / PARAMS, values)
    started = time.monotonic()
    with Attempt(clone) as attempt:
        while attempt.process.poll() is None:
            watch()
            time.sleep(POLL)
        watch()
        said = attempt.log.read_text()
    if attempt.process.returncode:
        raise RunFailedError(said.strip())
    took = f"{time.monotonic() - started:.0f} s" if "Running stage" in said else "from the run cache"
    return flat(json.loads((clone / METRICS).read_text())), took


def set_params(path: Path, values: dict[str, Any]) -> None:
    """Change values of a params.yaml, by their dotted names, as `dvc exp run -S` does: comments stay."""
    with modify_yaml(str(path)) as document:
        for name, value in values.items():
            *sections, key = name.split(".")
            node = document
            for section in sections:
                node = node[section]
            node[key] = value


def count(text: str, name: str, least: int, example: str) -> int:
    """How many runs are asked for. Raises InputError where the text is no such number."""
    if re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= MOST:
        return int(text)
    raise InputError(f"{name}: expected a whole number from {least} to {MOST}. Received: {text!r}. Try: {example}")
