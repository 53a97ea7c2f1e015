"""The catalogue of data sets, data/sources.yaml."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnn.process.errors import InputError
from cnn.settings import faults, strict_yaml
from cnn.settings.local import NAME, Local
from cnn.settings.published import Source

CATALOGUE = Path("data/sources.yaml")


def load_catalogue(path: Path = CATALOGUE) -> dict[str, Source | Local]:
    """Read the catalogue: name to data set. Raises InputError with every fault at once."""
    document, found = strict_yaml.load_yaml(path)
    sources: dict[str, Source | Local] = {}
    for name, entry in document.items():
        if not isinstance(name, str):
            found.append(f"{name}: expected a name in quotes: YAML reads it as {type(name).__name__}.")
            continue
        if not re.fullmatch(NAME, name):  # it is the name of a folder
            found.append(f"{name}: expected a name of letters, digits, '.', '_' and '-'.")
        kind = _kind(entry)
        try:
            sources[name] = source = kind.model_validate(entry)
        except ValidationError as error:
            found += faults.describe(error, document, kind, (name,))
        else:
            found += source.faults(name) if isinstance(source, Local) else []
    if found:
        raise InputError("\n  ".join([f"{path} is not valid:", *found]))
    return sources


def _kind(entry: Any) -> type[Source | Local]:
    """The schema of an entry, by its format."""
    own = isinstance(entry, dict) and entry.get("format") in ("folder", "npz")
    return Local if own else Source
