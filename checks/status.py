"""Check that dvc.yaml tells the truth about the stages: their inputs, their outputs, the schema beside them.

Exits 1 with a line for each fault.
"""

import ast
import sys
from pathlib import Path
from typing import Any

import yaml

from stages import params


def imports(path: Path, seen: frozenset[Path] = frozenset()) -> set[Path]:
    """The modules of `stages/` that a module imports, and those that these import in turn."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "stages":
            names |= {f"stages.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    found = {path.parent / f"{name.removeprefix('stages.')}.py" for name in names if name.startswith("stages.")}
    return found.union(*(imports(module, seen | found) for module in found - seen))


def faults(pipeline: dict[str, Any]) -> list[str]:
    """Compare dvc.yaml, as read, with the code of its stages."""
    lines = []
    for name, stage in pipeline["stages"].items():
        script = Path(f"stages/{name}.py")
        if stage["cmd"] != f"python -m stages.{name}":
            lines.append(f"{name}: expected the command `python -m stages.{name}`. Received: `{stage['cmd']}`.")
        if not stage.get("desc"):
            lines.append(f"{name}: expected a `desc`.")
        needed = {str(path) for path in imports(script) | {script}}
        listed = {path for path in stage["deps"] if path.startswith("stages/")}
        lines += [f"{name}: {path} is imported, and not among its deps." for path in sorted(needed - listed)]
        lines += [f"{name}: {path} is among its deps, and not imported." for path in sorted(listed - needed)]
    if Path("params.schema.json").read_text() != params.schema():
        lines.append("params.schema.json is out of date: python -m stages.params --schema > params.schema.json")
    return lines


if __name__ == "__main__":
    found = faults(yaml.safe_load(Path("dvc.yaml").read_text()))
    sys.exit("\n".join(found) or print("dvc.yaml: matches the code"))
