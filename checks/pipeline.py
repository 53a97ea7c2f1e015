"""What dvc.yaml says of the stages, held against their code, their outputs and where these belong."""

import ast
import re
from pathlib import Path

from checks import revision
from checks.committed import is_gits
from checks.imports import imports
from cnn.settings import params

SCHEMA = Path("params.schema.json")


def faults() -> list[str]:
    """A line for each fault. Raises CannotRunError where dvc.yaml or dvc.lock is damaged."""
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
    if not script.exists():
        return [f"{name}: expected the script {script}."]
    if stage.get("cmd") != f"python -m stages.{name}":
        lines.append(f"{name}: expected the command `python -m stages.{name}`. Received: `{stage.get('cmd')}`.")
    if not stage.get("desc"):
        lines.append(f"{name}: expected a `desc`.")
    # A stage names its own script, the lock of what it imports, and the rooms that it imports, as folders.
    needed = {str(script), "requirements.txt", *(str(module.parent) for module in imports(script))}
    listed = {path for path in stage.get("deps") or [] if path.startswith(("stages/", "cnn", "requirements"))}
    lines += [f"{name}: {path} is imported, and not among its deps." for path in sorted(needed - listed)]
    lines += [f"{name}: {path} is among its deps, and not imported." for path in sorted(listed - needed)]
    # The script's first lines say what it reads.
    (said,) = re.findall(r"params\.yaml: ([\w., ]+)\n", ast.get_docstring(ast.parse(script.read_text())) or "") or [""]
    if set(said.split(", ")) != set(stage.get("params") or []):
        lines.append(f"{name}: expected the params {said}, as {script} says. Received: {stage.get('params')}.")
    if stage.get("always_changed"):
        lines.append(f"{name}: `always_changed` runs it where nothing has changed.")
    return lines


def _output_faults(pipeline: revision.Stages) -> list[str]:
    """Hold the outputs against where they belong: data/: DVC's, metrics/: git's."""
    lines = []
    for name, stage in pipeline.items():
        for path, options in revision.output_options(stage).items():
            if options.get("cache", True) == is_gits(path):
                lines.append(f"{name}: expected {path} with `cache: false` under metrics/, and only there.")
            if options.get("persist"):
                lines.append(f"{name}: {path} has `persist: true`: what a run does not write would stay.")
    return lines
