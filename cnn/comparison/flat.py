"""Nested keys as dotted names: train: {seed: 42} as train.seed: 42."""

from typing import Any


def flat(node: Any, path: str = "") -> dict[str, Any]:
    """The values of a document of nested mappings, by their dotted names. `path`: the name of the document itself."""
    if not isinstance(node, dict):
        return {path: node}
    children = ((f"{path}.{name}" if path else str(name), child) for name, child in node.items())
    return {name: value for key, child in children for name, value in flat(child, key).items()}


def locked_params(stages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The parameters of all stages of dvc.lock, by their dotted names."""
    files = [values for stage in stages.values() for values in stage.get("params", {}).values()]
    return {name: value for values in files for name, value in flat(values).items()}
