"""The catalogue of data sets, data/sources.yaml."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from cnn.process.errors import InputError
from cnn.settings import faults, strict_yaml
from cnn.settings.local import NAME, Classes, Entry, Format, Local

CATALOGUE = Path("data/sources.yaml")


def check_mirror(url: str) -> str:
    """Return the URL if it is https, or does not leave this machine. Raises ValueError otherwise."""
    parts = urlsplit(url)
    encrypted = parts.scheme == "https" and parts.hostname
    if not encrypted and not (parts.scheme in ("http", "file") and is_local(url)):
        raise ValueError("expected an https:// URL (or file://, or http:// to this machine itself)")
    return url


def is_local(url: str) -> bool:
    """Say whether a URL stays on this machine: a file, or a loopback address."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "file" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


FileName = Annotated[str, Field(pattern=NAME)]
Mirror = Annotated[str, AfterValidator(check_mirror)]


class File(Entry):
    """One file of a data set: its role, and the size and hash of its *decompressed* content."""

    name: FileName
    bytes: Annotated[int, Field(gt=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Files(Entry):
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

    @model_validator(mode="after")
    def _names_differ(self) -> "Files":
        names = [file.name for file in self.all()]
        if len({*names, "dataset.json"}) <= len(names):
            raise ValueError("expected names that differ from each other, and from dataset.json")
        return self

    def all(self) -> list[File]:
        return [file for _, file in self if file]

    def names(self) -> dict[str, str]:
        """The name of each file by its role."""
        return {role: file.name for role, file in self if file}


Shape = Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=3, max_length=3)]


class About(Entry):
    """What later stages need to know of a published data set: data/raw/dataset.json. files: their names by role."""

    name: str
    title: str
    classes: Classes
    shape: Shape
    files: dict[str, FileName]

    @model_validator(mode="after")
    def _files_are_those_of_a_data_set(self) -> "About":
        roles = list(Files.model_fields)
        if set(self.files) not in (set(roles), set(roles[:2])):
            raise ValueError(f"expected files {', '.join(roles)}, or the first two of them")
        return self


class Source(Entry):
    """A published data set. `shape`: (height, width, channels) of its images; `classes`: names in label order."""

    title: str
    licence: str
    citation: str
    format: Format  # those of `Local` never come here
    shape: Shape
    classes: Classes
    files: Files
    mirrors: list[Mirror] = []

    @field_validator("shape")
    @classmethod
    def _images_are_grey(cls, shape: list[int]) -> list[int]:
        if shape[2] != 1:
            raise ValueError("expected 1 channel: IDX images are grey")
        return shape


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
