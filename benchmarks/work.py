"""What the benchmarks share: changed recipes, measured processes, and what they ran on."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from cnn.process.machine import cpu_flags, cpu_model, threads

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent


def with_changes(recipe: str, **changes: Any) -> dict[str, Any]:
    """A recipe as a document, with some of its keys changed: with_changes("fast", train={"epochs": 1})."""
    document = yaml.safe_load((ROOT / "recipes" / f"{recipe}.yaml").read_text())
    for section, values in changes.items():
        document[section] |= values
    return document


def make_project(place: Path, document: dict[str, Any]) -> None:
    """Make `place` a folder that the stages can run in, with these parameters."""
    (place / "data").mkdir(parents=True)
    shutil.copy(ROOT / "data/sources.yaml", place / "data/sources.yaml")
    (place / "params.yaml").write_text(yaml.safe_dump(document))


def measured(
    module: str, *arguments: object, cwd: Path = ROOT, python: str | None = None, **environment: str
) -> tuple[str, dict[str, float]]:
    """Run a module in a process of its own, with so many more environment variables; python: another than this one.

    Returns what it printed, and wall_s, cpu_s and peak_mb of the whole process. Raises CalledProcessError.
    """
    command = [python or sys.executable, "-m", "benchmarks.measure", module, *map(str, arguments)]
    # Where the caller's Python keeps no bytecode, each process would compile TensorFlow's modules again: 5 s.
    ours = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    everything = os.environ | ours | environment
    started = os.times().elapsed
    with (
        tempfile.TemporaryFile("w+") as errors,  # TensorFlow greets there
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=cwd, env=everything) as process,
    ):
        assert process.stdout
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = os.times().elapsed - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            print(errors.read(), file=sys.stderr)
            raise subprocess.CalledProcessError(process.returncode, command, output)
    output, _, peak = output.rstrip().rpartition("\n")
    return output, {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, **json.loads(peak)}


def machine() -> str:
    """The CPU, the number of cores, and the versions that decide speed."""
    instructions = "AVX-512" if "avx512f" in cpu_flags() else "AVX2"
    libraries = ", ".join(f"{name} {version(name.lower())}" for name in ("TensorFlow", "Keras", "NumPy"))
    cpu = f"{threads()} cores ({cpu_model()}, {instructions})"
    return f"{cpu}; Python {platform.python_version()}, {libraries}"
