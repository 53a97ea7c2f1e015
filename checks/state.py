"""What DVC says of the work tree: which stages are stale, which outputs are missing, or not what dvc.lock says."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checks import revision
from checks.clone import CannotRunError, environment
from checks.committed import REPRO, is_gits
from cnn.comparison.flat import flat
from cnn.settings import strict_yaml


@dataclass
class Changes:
    """What DVC says has changed of a stage since it ran: each path with "modified", "deleted", …"""

    deps: dict[str, Any] = field(default_factory=dict)  # of a file of parameters: {parameter: "modified", …}
    outs: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)  # "changed command"


def ask() -> dict[str, Changes]:
    """Ask DVC for the stages that have changed, by name. Raises CannotRunError where it gives no answer."""
    asked = subprocess.run(["dvc", "status", "--json"], env=environment(), capture_output=True, text=True, check=False)
    if asked.returncode:
        raise CannotRunError(f"DVC cannot say what has changed: {asked.stderr.strip()}")
    answer: dict[str, Changes] = {}
    for name, entries in json.loads(asked.stdout).items():
        changes = answer[name] = Changes()
        for entry in entries:
            if isinstance(entry, str):
                changes.others.append(entry)
            else:
                changes.deps |= entry.get("changed deps", {})
                changes.outs |= entry.get("changed outs", {})
    return answer


def stale(answer: dict[str, Changes], locked: revision.Stages) -> list[str]:
    """A line for each stage whose code, parameters, command or other input has changed since it ran."""
    reasons = {name: _reasons(changes, name, locked) for name, changes in answer.items()}
    return [
        f"{name} has not run since these changed: {', '.join(found)}. {REPRO}"
        for name, found in reasons.items()
        if found and name in locked  # else it has never run, and checks.revision says so
    ]


def _reasons(changes: Changes, name: str, locked: revision.Stages) -> list[str]:
    """What a stage has not run with. Outputs of other stages are left out: what became of them is said of those."""
    made = {path for stage in locked.values() for path in revision.outputs(stage)}
    found = [{"changed command": "its command"}.get(other, other) for other in changes.others]
    for path, how in changes.deps.items():
        if isinstance(how, dict):
            found += _parameters(path, how, locked.get(name, {}))
        elif path not in made:
            found.append(f"{path} ({how})")
    return found


def _parameters(file: str, names: dict[str, str], stage: dict[str, Any]) -> list[str]:
    """The parameters below `names` that are not what dvc.lock has of the stage, with both values."""
    was, now = flat(stage.get("params", {}).get(file, {})), flat(strict_yaml.load_yaml(file)[0])
    found = [
        f"{key} ({was.get(key, 'not there')}, now {now.get(key, 'not there')})"
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key) and any(f"{key}.".startswith(f"{name}.") for name in names)
    ]
    return found or [f"{name} ({how})" for name, how in names.items()]


def missing(answer: dict[str, Changes], locked: revision.Stages) -> list[str]:
    """A line for each output under data/ that is not here, where others are; none where nothing was made here."""
    if not any_data(locked):
        return []
    return [
        f"{path}, which {name} makes, is not here. To go on: `dvc repro` takes it from the cache, or makes it again."
        for name, changes in answer.items()
        for path in changes.outs
        if not is_gits(path) and not Path(path).exists()
    ]


def any_data(locked: revision.Stages) -> bool:
    """Whether any output under data/ is here."""
    return any(
        Path(path).exists() for stage in locked.values() for path in revision.outputs(stage) if not is_gits(path)
    )


def edited(answer: dict[str, Changes], locked: revision.Stages) -> list[str]:
    """A line for each output under data/ that is not what dvc.lock says, of a stage that has not changed otherwise."""
    # Of what its cache lacks, DVC says only that, but says of the stage that reads it whether it has changed.
    doubted = {path for changes in answer.values() for path, how in changes.deps.items() if how == "modified"}
    return [
        f"{path} is not what dvc.lock says that {name} made: one was edited, or is of another revision. "
        "To go on: `dvc repro` takes the true one from the cache, or makes it again."
        for name, changes in answer.items()
        for path, how in changes.outs.items()
        if not is_gits(path) and Path(path).exists() and (how == "modified" or path in doubted)
        if not _reasons(changes, name, locked)
    ]
