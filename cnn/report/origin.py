"""Where the result comes from: stages, what they read and made with hashes, parameters, packages, commit."""

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cnn.comparison.flat import differences, flat, locked_params
from cnn.process.errors import InputError
from cnn.settings import strict_yaml
from cnn.settings.params import PARAMS
from cnn.storage import paths

PIPELINE, LOCK, REQUIREMENTS = Path("dvc.yaml"), Path("dvc.lock"), Path("requirements.txt")
PACKAGES = ("tensorflow", "keras", "numpy", "dvc")


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage made, as dvc.lock has it. changed: it is another one now, or gone."""

    path: str
    md5: str
    size: int
    changed: bool


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml. after: the stages whose outputs it reads; reads: its other inputs."""

    name: str
    desc: str
    reads: list[str]
    after: list[str]
    params: list[str]
    outputs: list[Output]


@dataclass(frozen=True)
class Origin:
    """Where a result comes from.

    parameters: dotted name to value, those that the stages were run with; rewritten: those that params.yaml has
    another value for now.
    """

    stages: list[Stage]
    parameters: dict[str, Any]
    rewritten: list[str]
    packages: dict[str, str]
    commit: str | None
    uncommitted: bool

    @property
    def sections(self) -> dict[str, dict[str, Any]]:
        """The parameters by the section of params.yaml that they are in."""
        named: dict[str, dict[str, Any]] = {}
        for key, value in self.parameters.items():
            section, _, rest = key.partition(".")
            named.setdefault(section, {})[rest] = value
        return named

    @property
    def changed(self) -> list[str]:
        """Outputs that are no longer those of dvc.lock."""
        return [output.path for stage in self.stages for output in stage.outputs if output.changed]


def read() -> Origin:
    """Read dvc.yaml, dvc.lock, params.yaml, requirements.txt and git's HEAD. Raises InputError."""
    pipeline, locked = _stages(PIPELINE), _stages(LOCK)
    made_by = {_path(entry): name for name, stage in pipeline.items() for entry in _outputs(stage)}
    stages = []
    for name, stage in pipeline.items():
        if name not in locked:
            raise InputError(f"{LOCK}: expected the stage {name}. Received: none. To go on: `make run`.")
        reads = [entry["path"] for entry in locked[name].get("deps") or []]
        after = [made_by[path] for path in reads if path in made_by]
        others = [path for path in reads if path not in made_by]
        params = [str(param) for param in stage.get("params") or []]
        outputs = [_output(entry) for entry in _outputs(locked[name])]
        stages.append(Stage(name, stage.get("desc", ""), others, list(dict.fromkeys(after)), params, outputs))
    parameters = locked_params(locked)
    written, _ = strict_yaml.load_yaml(PARAMS)
    rewritten = [row["name"] for row in differences(parameters, flat(written))]
    commit = _git("rev-parse", "HEAD")
    uncommitted = bool(commit and _git("status", "--porcelain", "--untracked-files=no"))
    return Origin(stages, parameters, rewritten, _packages(), commit, uncommitted)


def _stages(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["stages"])
    except FileNotFoundError:
        raise InputError(f"expected {path}. Received: no such file. To go on: `make run`.") from None
    except (yaml.YAMLError, TypeError, KeyError, ValueError):
        raise InputError(f"{path}: expected DVC's stages. Received: something else. To go on: `make run`.") from None


def _outputs(stage: dict[str, Any]) -> list[Any]:
    return [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind) or []]


def _path(entry: Any) -> str:
    """dvc.yaml names an output as a text, or as a mapping from it to its options."""
    return entry if isinstance(entry, str) else next(iter(entry))


def _output(entry: dict[str, Any]) -> Output:
    """An output of dvc.lock. What the page shows, the model and metrics/, is held against its hash."""
    path = Path(entry["path"])
    shown = path == paths.MODEL or path.is_relative_to(paths.METRICS.parent)
    changed = shown and not (path.is_file() and hashlib.md5(path.read_bytes()).hexdigest() == entry["md5"])
    return Output(entry["path"], entry["md5"], entry["size"], changed)


def _packages() -> dict[str, str]:
    """The pinned versions of PACKAGES."""
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE))
    return {name: pins[name] for name in PACKAGES if name in pins}


def _git(*arguments: str) -> str | None:
    """What git says; None where it is not there, or this is no repository with a commit."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
