"""Schema faults in words: path, expected, received, near miss."""

import difflib
import re
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cnn.settings.strict_yaml import SCALARS

NUMBERS = {"int_type": ("int",), "float_type": ("int", "float")}  # which scalars of YAML are of a type of pydantic's


def describe(error: ValidationError, document: Any, schema: type[BaseModel], prefix: tuple = ()) -> list[str]:
    """Say each fault of a pydantic error in one line.

    document: the raw values that were validated, for paths and values as the user wrote them.
    prefix: where in the document the schema begins.
    """
    return [_line(fault, document, schema, prefix) for fault in error.errors()]


def _line(fault: ErrorDetails, document: Any, schema: type[BaseModel], prefix: tuple) -> str:
    path, received = _locate(document, prefix + tuple(fault["loc"]))
    kind, name = fault["type"], str(fault["loc"][-1]) if fault["loc"] else ""
    if kind == "missing":
        return f"{path}: missing. Expected a value: every key is required."
    if kind == "extra_forbidden":
        return f"{path}: unknown key.{near_miss(name, _keys(schema, fault['loc'][:-1]))}"
    if kind == "value_error":
        keys = ", ".join(map(str, received)) if isinstance(received, dict) else _shown(received)
        return f"{path}: {fault['ctx']['error']}. Received: {keys}."
    if kind == "string_type" and name == "[key]":
        path, _ = _locate(document, prefix + tuple(fault["loc"][:-2]))
        return f"{path}: expected text for each key. Received: {_shown(fault['input'])}."
    if kind in ("model_type", "dict_type"):
        return f"{path}: expected keys with values. Received: {_shown(received)}."
    expected = fault["msg"].replace("Input should be", "expected").replace("Input should", "should")
    hint = ""
    if kind == "literal_error":
        words = fault["ctx"]["expected"].split("'")[1::2]
        hint = near_miss(str(received), words) if words else ""
    if isinstance(received, str) and any(re.fullmatch(SCALARS[one][0], received) for one in NUMBERS.get(kind, ())):
        hint = " Write it without quotes."
    return f"{path}: {expected}. Received: {_shown(received)}.{hint}"


def _locate(document: Any, location: tuple) -> tuple[str, Any]:
    """Follow a location into the document as far as it goes: ("model.blocks.conv1.filters", -3)."""
    path, value = "", document
    for part in location:
        if isinstance(value, list) and isinstance(part, int):
            path, value = f"{path}[{part}]", value[part]
        elif isinstance(value, dict):
            path, value = f"{path}.{part}" if path else str(part), value.get(part)
    return path, value


def _keys(schema: type[BaseModel], location: tuple) -> list[str]:
    """The keys that the schema has at a location."""
    fields: Any = schema
    for part in location:
        if get_origin(fields) is dict:  # of rows, whatever their names
            fields = get_args(fields)[1]
            continue
        fields = fields.model_fields[part].annotation
        if get_origin(fields) is not dict:
            fields = next((one for one in get_args(fields) if hasattr(one, "model_fields")), fields)
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
