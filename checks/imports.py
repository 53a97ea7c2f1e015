"""Which of the project's own modules a module imports, read from its text: DVC does not follow imports."""

import ast
from pathlib import Path

PACKAGES = ("cnn", "stages", "checks", "benchmarks")


def imports(path: Path, root: Path = Path()) -> set[Path]:
    """The project's own modules that a module imports, and those that these import in turn, relative to `root`.

    Imports inside functions count. An `__init__.py` without code decides nothing, and is left out.
    """
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        direct = {module for name in names(root / waiting.pop()) for module in _modules(name, root)}
        waiting += direct - seen
        seen |= direct
    return {module for module in seen if module.name != "__init__.py" or _has_code(root / module)}


def names(path: Path) -> set[str]:
    """The dotted names that a module imports, anywhere in it. `from a import b` gives a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}: expected absolute imports. Received: a relative one.")
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _modules(name: str, root: Path) -> set[Path]:
    """The files that importing a dotted name runs: cnn/__init__.py, cnn/storage/__init__.py, cnn/storage/files.py."""
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return set()
    places = [Path(*parts[: depth + 1]) for depth in range(len(parts))]
    candidates = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
    return {file for file in candidates if (root / file).is_file()}


def _has_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return bool(body) and not (len(body) == 1 and isinstance(body[0], ast.Expr))
