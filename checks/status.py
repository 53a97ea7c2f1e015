"""Check that dvc.yaml tells the truth about the stages: their inputs, their outputs, the schema beside them.

Exits 1 with a line for each fault.
"""

import subprocess
import sys
from pathlib import Path

from checks import revision
from checks.clone import CannotRunError, md5
from checks.imports import imports
from cnn.settings import params
from cnn.storage import paths

SCHEMA = Path("params.schema.json")


def faults() -> list[str]:
    """A line for each fault of the project in the current folder."""
    pipeline = revision.stages(Path("dvc.yaml"))
    lines = [line for name, stage in pipeline.items() for line in _stage_faults(name, stage)]
    lines += [*revision.faults(Path()), *_output_faults(pipeline)]
    if SCHEMA.read_text() != params.json_schema():
        lines.append(f"{SCHEMA} is out of date: python -m cnn.settings.params --schema > {SCHEMA}")
    return lines


def _stage_faults(name: str, stage: dict) -> list[str]:
    """Compare a stage of dvc.yaml with its code."""
    lines = []
    script = Path(f"stages/{name}.py")
    if stage.get("cmd") != f"python -m stages.{name}":
        lines.append(f"{name}: expected the command `python -m stages.{name}`. Received: `{stage.get('cmd')}`.")
    if not stage.get("desc"):
        lines.append(f"{name}: expected a `desc`.")
    # A stage names its own script, the lock of what it imports, and the rooms that it imports, as folders.
    needed = {str(script), "requirements.txt", *(str(module.parent) for module in imports(script))}
    listed = {path for path in stage.get("deps", []) if path.startswith(("stages/", "cnn", "requirements"))}
    lines += [f"{name}: {path} is imported, and not among its deps." for path in sorted(needed - listed)]
    lines += [f"{name}: {path} is among its deps, and not imported." for path in sorted(listed - needed)]
    return lines


def _output_faults(pipeline: revision.Stages) -> list[str]:
    """Hold the outputs against where they belong (data/: DVC's, metrics/: git's), and git's against dvc.lock."""
    lines = []
    for name, stage in pipeline.items():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                path, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
                if options.get("cache", True) == path.startswith("metrics/"):
                    lines.append(f"{name}: expected {path} with `cache: false` under metrics/, and only there.")
                if options.get("persist"):
                    lines.append(f"{name}: {path} has `persist: true`: what a run does not write would stay.")
    locked = {out["path"]: out for stage in revision.stages(Path("dvc.lock")).values() for out in stage.get("outs", [])}
    tracked = subprocess.run(
        ["git", "ls-files", "-z", str(paths.METRICS.parent)], capture_output=True, text=True
    ).stdout
    for path in filter(None, tracked.split("\0")):
        if path not in locked:
            lines.append(f"{path}: in git, and no stage makes it: remove it, or name it in dvc.yaml.")
        elif md5(Path(path)) != locked[path].get("md5"):
            lines.append(f"{path}: not what dvc.lock says was made: run `dvc repro`.")
    return lines


def main() -> str | None:
    try:
        return "\n".join(faults()) or print("dvc.yaml: matches the code; metrics/: matches dvc.lock")
    except CannotRunError as error:
        return f"status: {error}"


if __name__ == "__main__":
    sys.exit(main())
