"""What in a revision would keep `dvc repro` from making all that is committed."""

from pathlib import Path, PurePath
from typing import Any

import yaml
from dvc.config import Config, ConfigError

from checks.clone import CannotRunError, git
from cnn.comparison.noise import NOISE
from cnn.storage.paths import METRICS

# Settings of DVC that do not bend a run, by section; remotes are where outputs are kept.
HARMLESS = {"core": {"analytics", "check_update", "autostage", "remote"}}
Stages = dict[str, dict[str, Any]]


def faults(root: Path) -> list[str]:
    """A line for each fault of the project at `root`. Raises CannotRunError where dvc.yaml or dvc.lock is damaged."""
    document = _document(root / "dvc.yaml")
    pipeline, locked = document["stages"], stages(root / "dvc.lock")
    lines = [line for name, stage in pipeline.items() for line in _stage_faults(name, stage)]
    lines += [f"{name}: in dvc.lock, and no stage in dvc.yaml." for name in locked if name not in pipeline]
    lines += [f"{name}: a stage in dvc.yaml, and not in dvc.lock." for name in pipeline if name not in locked]
    for name in pipeline.keys() & locked.keys():
        declared, made = set(outputs(pipeline[name])), set(outputs(locked[name]))
        lines += [f"{name}: {path} is an output in dvc.yaml, and not in dvc.lock." for path in sorted(declared - made)]
        lines += [f"{name}: {path} is an output in dvc.lock, and not in dvc.yaml." for path in sorted(made - declared)]
        outside = [path for path in made if not (root / path).resolve().is_relative_to(root.resolve())]
        lines += [f"{name}: the output {path} lies outside the project." for path in outside]
    made = {path for stage in pipeline.values() for path in outputs(stage)}
    lines += [f"dvc.yaml shows {path}, which no stage makes." for path in sorted(_shown(document) - made)]
    return [*lines, *_file_faults(root, made), *_settings_faults(root / ".dvc/config")]


def _stage_faults(name: str, stage: dict[str, Any]) -> list[str]:
    lines = []
    if stage.get("frozen"):
        lines.append(f"{name}: frozen in dvc.yaml: DVC does not run it.")
    if stage.get("wdir", ".") != ".":
        lines.append(f"{name}: expected no `wdir`: outputs are named from the project's root.")
    return lines


def _shown(document: dict[str, Any]) -> set[str]:
    """The files that the top level of dvc.yaml presents as results."""
    plots = [entry for entry in document.get("plots") or [] if isinstance(entry, dict)]
    sources = [
        options["y"] for entry in plots for options in entry.values() if isinstance((options or {}).get("y"), dict)
    ]
    named = {entry for kind in ("metrics", "plots") for entry in document.get(kind) or [] if isinstance(entry, str)}
    models = {artifact["path"] for artifact in (document.get("artifacts") or {}).values()}
    return named | models | {path for source in sources for path in source}


def _file_faults(root: Path, made: set[str]) -> list[str]:
    """A line for each file in git that could stand in for a result, or for the pipeline."""
    lines = []
    for entry in filter(None, git("-C", str(root), "ls-files", "--stage", "-z").split("\0")):
        mode, path = entry.split()[0], entry.partition("\t")[2]
        if PurePath(path).name == "dvc.yaml" and path != "dvc.yaml":
            lines.append(f"{path}: expected one dvc.yaml, in the project's root.")
        if path == ".dvc/config.local":
            lines.append(f"{path}: in git: its settings are for one machine.")
        if PurePath(path).is_relative_to(METRICS.parent):
            if mode not in ("100644", "100755"):
                lines.append(f"{path}: expected a plain file in git. Received: a link or a folder of its own.")
            elif path not in made and path != str(NOISE):  # which `make noise` writes, and verify leaves alone
                lines.append(f"{path}: in git, and no stage makes it: remove it, or name it in dvc.yaml.")
    return lines


def _settings_faults(path: Path) -> list[str]:
    """A line for each of DVC's settings that can change what a run makes, read as DVC reads them."""
    try:
        settings = Config.load_file(str(path)) if path.exists() else {}
    except (ConfigError, OSError) as error:
        raise CannotRunError(f"{path.name}: expected DVC's settings. Received: {error}") from None
    return [
        f".dvc/config: {section}.{key} can change what `dvc repro` does: remove it."
        for section, values in settings.items()
        for key in (values if isinstance(values, dict) else {"": values})
        if section != "remote" and key not in HARMLESS.get(section, ())
    ]


def outputs(stage: dict[str, Any]) -> list[str]:
    """The paths of all that a stage of dvc.yaml or dvc.lock makes."""
    return list(output_options(stage))


def output_options(stage: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each output of a stage with what is said of it."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind) or []]
    named: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if isinstance(entry, dict) and "path" not in entry:
            path, options = next(iter(entry.items()))
            named[path] = options or {}
        else:
            named[entry["path"] if isinstance(entry, dict) else entry] = entry if isinstance(entry, dict) else {}
    return named


def stages(path: Path) -> Stages:
    """The stages of a dvc.yaml or dvc.lock. Raises CannotRunError where there is no such file, or not of this form."""
    return _document(path)["stages"]


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
        if all(isinstance(stage, dict) for stage in document["stages"].values()):
            return document
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        pass
    raise CannotRunError(f"expected stages in a committed {path.name}: run `dvc repro` and commit it.")
