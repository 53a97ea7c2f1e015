"""Strict reading of YAML: version 1.2's scalars, as DVC writes them, and no key twice."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from cnn.process.errors import InputError

# YAML 1.2's core schema, section 10.3.2. PyYAML follows 1.1, where 3e-05 is text, 010 is 8 and `no` is false.
SCALARS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


def load_yaml(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Read the mapping in a YAML file. Returns (document, faults); a fault is a key that stands twice.

    Raises InputError where there is no such file, no YAML in it, or no mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
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


def is_text(word: str) -> bool:
    """Say whether YAML reads a word without quotes as text: not as a number, a date, true or null."""
    return _Loader("").resolve(yaml.ScalarNode, word, (True, False)) == "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """Plain PyYAML lets the last of two equal keys win in silence; this one notes it as a fault."""

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

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = node.value
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_TAGS = {f"tag:yaml.org,2002:{name}" for name in SCALARS}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, (_pattern, _first) in SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
