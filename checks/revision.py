"""What in a revision would keep `dvc repro` from making all that is committed."""

import configparser
from pathlib import Path
from typing import Any

import yaml

from checks.clone import CannotRunError

# Settings of DVC that do not bend a run, by section; remotes are where outputs are kept.
HARMLESS = {"core": {"analytics", "check_update", "autostage", "remote"}}
Stages = dict[str, dict[str, Any]]


def faults(root: Path) -> list[str]:
    """A line for each fault of the project at `root`. Raises CannotRunError where dvc.yaml or dvc.lock is damaged."""
    pipeline, locked = stages(root / "dvc.yaml"), stages(root / "dvc.lock")
    lines = [f"{name}: frozen in dvc.yaml: DVC does not run it." for name in pipeline if pipeline[name].get("frozen")]
    lines += [f"{name}: in dvc.lock, and no stage in dvc.yaml." for name in locked if name not in pipeline]
    lines += [f"{name}: a stage in dvc.yaml, and not in dvc.lock." for name in pipeline if name not in locked]
    for name in pipeline.keys() & locked.keys():
        declared, made = set(outputs(pipeline[name])), set(outputs(locked[name]))
        lines += [f"{name}: {path} is an output in dvc.yaml, and not in dvc.lock." for path in sorted(declared - made)]
        lines += [f"{name}: {path} is an output in dvc.lock, and not in dvc.yaml." for path in sorted(made - declared)]
        outside = [path for path in made if not (root / path).resolve().is_relative_to(root.resolve())]
        lines += [f"{name}: the output {path} lies outside the project." for path in outside]
    return [*lines, *_settings_faults(root / ".dvc/config")]


def _settings_faults(path: Path) -> list[str]:
    """A line for each of DVC's settings that can change what a run makes."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(path)
    return [
        f".dvc/config: {section}.{key} can change what `dvc repro` does: remove it."
        for section in settings.sections()
        for kind in [section.strip("'").partition(" ")[0]]
        for key in settings[section]
        if kind != "remote" and key not in HARMLESS.get(kind, ())
    ]


def outputs(stage: dict[str, Any]) -> list[str]:
    """The paths of all that a stage of dvc.yaml or dvc.lock makes."""
    kinds = [stage.get(kind, []) for kind in ("outs", "metrics", "plots")]
    entries = [entry for kind in kinds for entry in kind]
    return [entry.get("path") or next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def stages(path: Path) -> Stages:
    """The stages of a dvc.yaml or dvc.lock. Raises CannotRunError where there is no such file, or not of this form."""
    try:
        found = yaml.safe_load(path.read_text())["stages"]
        if all(isinstance(stage, dict) for stage in found.values()):
            return found
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        pass
    raise CannotRunError(f"expected stages in a committed {path.name}: run `dvc repro` and commit it.")
