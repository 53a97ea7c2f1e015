"""Strict reading of YAML, and schema faults in words: path, expected, received, near miss."""

import difflib
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stages.errors import InputError


def load_yaml(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Read the mapping in a YAML file. Returns (document, faults); a fault is a key that stands twice.

    Raises InputError where there is no such file, no YAML in it, or no mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"expected the file {path} in {Path.cwd()}: run from the project's root.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    try:
        loader = _Loader(text)
        document = loader.get_single_data()
    # What PyYAML lets through besides its own errors: impossible dates, tags that do not fit, deep nesting.
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected keys with values. Received: {document!r}.")
    return document, loader.faults


class _Loader(yaml.SafeLoader):
    """Plain YAML 1.1 lets the last of two equal keys win in silence; this one notes it as a fault."""

    def __init__(self, text: str):
        super().__init__(text)
        self.faults: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if isinstance(key, Hashable) and key in seen:
                self.faults.append(f"{key}: the key stands twice, in lines {seen[key]} and {line}: keep one.")
            elif isinstance(key, Hashable):
                seen[key] = line
        return super().construct_mapping(node, deep)


def describe(error: ValidationError, document: Any, schema: type[BaseModel], prefix: tuple = ()) -> list[str]:
    """Say each fault of a pydantic error in one line.

    document: the raw values that were validated, for paths and values as the user wrote them.
    prefix: where in the document the schema begins.
    """
    lines = [_line(fault, document, schema, prefix) for fault in error.errors()]
    return list(dict.fromkeys(lines))  # a scalar that stands for a column fails once for each block


def _line(fault: ErrorDetails, document: Any, schema: type[BaseModel], prefix: tuple) -> str:
    path, received = _locate(document, prefix + tuple(fault["loc"]))
    kind, name = fault["type"], str(fault["loc"][-1]) if fault["loc"] else ""
    if kind == "missing":
        return f"{path}: missing. Expected a value: every key is required."
    if kind == "extra_forbidden":
        return f"{path}: unknown key.{near_miss(name, _keys(schema, fault['loc'][:-1]))}"
    if kind == "value_error":
        return f"{path}: {fault['ctx']['error']}. Received: {_shown(received)}."
    expected = fault["msg"].replace("Input should be", "expected").replace("Input should", "should")
    hint = ""
    if kind == "literal_error":
        hint = near_miss(str(received), [word for word in fault["ctx"]["expected"].split("'") if word.isidentifier()])
    if isinstance(received, str) and kind in ("float_type", "int_type"):
        hint = _number_hint(received, kind)
    return f"{path}: {expected}. Received: {_shown(received)}.{hint}"


def _locate(document: Any, location: tuple) -> tuple[str, Any]:
    """Follow a location into the document as far as it goes: ("model.filters[1]", -3)."""
    path, value = "", document
    for part in location:
        if isinstance(value, list) and isinstance(part, int):
            path, value = f"{path}[{part}]", value[part]
        elif isinstance(value, dict):
            path, value = f"{path}.{part}" if path else str(part), value.get(part)
    return path, value


def _keys(schema: type[BaseModel], location: tuple) -> list[str]:
    fields: Any = schema
    for part in location:
        annotation = fields.model_fields[part].annotation
        fields = next((one for one in get_args(annotation) if hasattr(one, "model_fields")), annotation)
    return list(fields.model_fields)


def near_miss(word: str, candidates: list[str]) -> str:
    """Suggest the candidate nearest to a word, or list them all."""
    match = difflib.get_close_matches(word, candidates, n=1)
    return f" Did you mean '{match[0]}'?" if match else f" Expected one of: {', '.join(candidates)}."


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a huge number"


def _number_hint(text: str, kind: str) -> str:
    """How to write a number that YAML 1.1 reads as text, such as 1e-3."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number) or (kind == "int_type" and not number.is_integer()):
        return ""
    return f" YAML reads {text} as text; write {int(number) if kind == 'int_type' else number!r}."
