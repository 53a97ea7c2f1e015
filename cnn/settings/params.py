"""Read and check params.yaml. `python -m cnn.settings.params` checks the file."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnn.process import errors
from cnn.process.errors import InputError
from cnn.settings import catalogue, faults, schema, strict_yaml

PARAMS = Path("params.yaml")


def load_params(path: str | Path = PARAMS) -> schema.Params:
    """Read and check params.yaml. Raises InputError that names every fault at once.

    The data set's name is checked against the catalogue, and the network against the size of the images, so
    that one that cannot be built is refused before anything is downloaded or trained.
    """
    document, found = strict_yaml.load_yaml(path)
    params = None
    try:
        params = schema.Params.model_validate(document)
    except ValidationError as error:
        found += faults.describe(error, document, schema.Params)
    found += [*_cross_faults(document), *_size_faults(document)]
    if found or not params:
        count = f"{len(found)} fault{'s' if len(found) > 1 else ''}"
        raise InputError("\n  ".join([f"{path} is not valid ({count}):", *found]))
    return params


def _cross_faults(document: dict[str, Any]) -> list[str]:
    """Check what no section can say alone, also where other sections are at fault."""
    found = []
    if (_value(document, "model", "activation"), _value(document, "train", "determinism")) == ("gelu", "portable"):
        found.append(
            "model.activation: expected one whose bits are the same on every CPU. Received: 'gelu'. "
            "Take another one, or set train.determinism to 'machine'."
        )
    if (_value(document, "train", "precision"), _value(document, "train", "determinism")) == ("bfloat16", "portable"):
        found.append(
            "train.precision: expected float32, whose bits are the same on every CPU. Received: 'bfloat16'. "
            "Take that, or set train.determinism to 'machine'."
        )
    sources = catalogue.load_catalogue()
    name = _value(document, "download", "dataset")
    if not isinstance(name, str):
        return found  # reported already
    if name not in sources:
        near = faults.near_miss(name, list(sources))
        found.append(f"download.dataset: expected a name in {catalogue.CATALOGUE}. Received: {name!r}.{near}")
    return found


def _size_faults(document: dict[str, Any]) -> list[str]:
    """Check that the network and the shifts of evaluate fit the images."""
    found = []
    try:
        image = schema.Image.model_validate(_value(document, "preprocess", "image"))
    except ValidationError:
        return []  # reported already
    try:
        schema.Model.model_validate(document.get("model")).feature_maps(image.height, image.width)
    except ValidationError:
        pass  # reported already
    except ValueError as error:
        found.append(f"model.{error}")
    shift, side = _value(document, "evaluate", "shift"), min(image.height, image.width)
    if isinstance(shift, int) and side <= shift <= 100:
        found.append(f"evaluate.shift: expected less than the {side} pixels of an image. Received: {shift}.")
    return found


def _value(document: dict[str, Any], section: str, key: str) -> Any:
    values = document.get(section)
    return values.get(key) if isinstance(values, dict) else None


def json_schema() -> str:
    """The JSON schema of params.yaml, for editors: the text of params.schema.json."""
    return json.dumps(schema.Params.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    with errors.reported("params"):
        if sys.argv[1:] == ["--schema"]:
            print(json_schema(), end="")
        else:
            load_params()
            print(f"{PARAMS}: valid")
