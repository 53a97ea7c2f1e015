"""Nested keys as dotted names: train: {seed: 42} as train.seed: 42."""

import re
from typing import Any

EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")  # 3e-05, as DVC writes it: text for PyYAML, which reads YAML 1.1


def flat(node: Any, path: str = "") -> dict[str, Any]:
    """The values of a document of nested mappings, by their dotted names. `path`: the name of the document itself."""
    if not isinstance(node, dict):
        return {path: float(node) if isinstance(node, str) and EXPONENT.fullmatch(node) else node}
    children = ((f"{path}.{name}" if path else str(name), child) for name, child in node.items())
    return {name: value for key, child in children for name, value in flat(child, key).items()}


def locked_params(stages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The parameters of all stages of dvc.lock, by their dotted names."""
    files = [values for stage in stages.values() for values in stage.get("params", {}).values()]
    return {name: value for values in files for name, value in flat(values).items()}


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    """The names whose values differ, with both: name, a, b. None where one lacks it."""
    names = [name for name in a | b if a.get(name) != b.get(name)]
    return [{"name": name, "a": a.get(name), "b": b.get(name)} for name in names]
