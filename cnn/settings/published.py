"""Published data sets in the catalogue: fetched from mirrors or packages, verified, and kept as IDX files."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from cnn.settings.local import NAME, Classes, Entry, Format
from cnn.settings.mirror import Mirror

PIN = "pin"
PACKED = ("emnist", "cifar-10", "cifar-100")  # formats that come in an archive
FileName = Annotated[str, Field(pattern=NAME)]
Bytes = Annotated[int, Field(gt=0)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Archive(Entry):
    """An archive as mirrors carry it, byte for byte: nothing is unpacked from one of another size or hash."""

    name: FileName
    bytes: Bytes
    sha256: Hash


class File(Entry):
    """One file of a data set: the size and hash of its *decompressed* content, as it lies in data/raw.

    sha256: `pin` where nobody has published it: the first download writes it into data/pins.yaml.
    gz_sha256: of <name>.gz, where that is what somebody has published.
    members: the files of the data set's archive that this one is made of, in order.
    """

    name: FileName
    bytes: Bytes
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64}|pin)$")]
    gz_sha256: Hash | None = None
    members: list[str] = []

    @property
    def unpinned(self) -> bool:
        """Whether neither the catalogue nor data/pins.yaml has its hash."""
        return self.sha256 == PIN


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


def _grey_or_rgb(shape: list[int]) -> list[int]:
    if shape[2] not in (1, 3):
        raise ValueError("expected 1 or 3 channels")
    return shape


Sides = Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=3, max_length=3)]
Shape = Annotated[Sides, AfterValidator(_grey_or_rgb)]


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
    archive: Archive | None = None
    files: Files
    mirrors: list[Mirror] = []

    @model_validator(mode="after")
    def _archive_is_named_where_there_is_one(self) -> "Source":
        packed = self.format in PACKED
        if bool(self.archive) != packed or any(bool(file.members) != packed for file in self.files.all()):
            raise ValueError(f"expected an archive, and members of each file, with {', '.join(PACKED)} and only there")
        return self
