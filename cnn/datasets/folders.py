"""The pictures in a folder: a folder for each class, or train, validation and test with the classes in them."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cnn.process.errors import InputError
from cnn.storage.arrays import SPLITS

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MOST_CLASSES = 256  # labels are bytes
SHOWN = 20  # lines of a long list


class Listing(NamedTuple):
    """What is in a folder. parts: "train", and "validation" and "test" where it has them, to its pictures.

    A picture: its path below `root`, and its label, which counts the classes. In the order of the paths.
    ignored: what else is there, and how many of it.
    """

    root: Path
    classes: list[str]
    parts: dict[str, list[tuple[str, int]]]
    ignored: Counter[str]

    def kinds_ignored(self) -> str:
        """What else is there, in words."""
        return ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.ignored.items()))


def list_pictures(root: Path) -> Listing:
    """List the pictures in a folder. Raises InputError where it has another form, or a link out of it or to nothing."""
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of pictures. Received: none. Put it there, or `dvc pull` it.")
    folders = _parts(root)
    classes = _classes(root, folders)
    labels = {f"{folder}{name}/": (part, label) for part, folder in folders.items() for label, name in classes}
    listing = Listing(root, [name for _, name in classes], {part: [] for part in folders}, Counter())
    depth = 1 if folders["train"] == "" else 2
    for path in sorted(_files(root, listing.ignored)):
        place = "".join(f"{name}/" for name in path.split("/", depth)[:depth])
        if place in labels:
            part, label = labels[place]
            listing.parts[part].append((path, label))
        else:
            listing.ignored["in no class's folder"] += 1
    for part, pictures in listing.parts.items():
        missing = set(range(len(classes))) - {label for _, label in pictures}
        if missing:
            names = [repr(listing.classes[label]) for label in sorted(missing)]
            ignored = f" Ignored: {listing.kinds_ignored()}." if listing.ignored else ""
            raise InputError(
                f"{root / folders[part]}: expected pictures of each class ({', '.join(ENDINGS)}). Received: none of "
                f"{', '.join(names)}.{ignored}"
            )
    return listing


def shown(lines: list[str]) -> str:
    """A list below an error: its first lines, and how many more there are."""
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*lines[:SHOWN], *more])


def _parts(root: Path) -> dict[str, str]:
    """The parts of a data set and their folders below `root`, with a slash: the whole is "train" where it has none."""
    names = _folders(root)
    if "train" in names and set(names) <= set(SPLITS):
        return {part: f"{part}/" for part in SPLITS if part in names}
    lowered = {name.lower() for name in names}
    if "train" in lowered or (names and lowered <= set(SPLITS)):
        raise InputError(
            f"{root}: expected a folder for each class, or {', '.join(SPLITS)} and nothing else, train at least. "
            f"Received: {', '.join(map(repr, names))}. Where these are classes, put all of them into one folder, train."
        )
    return {"train": ""}


def _classes(root: Path, folders: dict[str, str]) -> list[tuple[int, str]]:
    """The classes, numbered in the order of their names. Raises InputError where the parts do not have the same."""
    names = _folders(root / folders["train"])
    if not 2 <= len(names) <= MOST_CLASSES:
        raise InputError(
            f"{root / folders['train']}: expected a folder for each of 2 to {MOST_CLASSES} classes. "
            f"Received: {len(names)}."
        )
    if wrong := [name for name in names if name != name.encode(errors="ignore").decode()]:
        raise InputError(f"{root}: expected folder names in UTF-8. Received: {', '.join(map(ascii, wrong))}.")
    for part, folder in folders.items():
        if others := set(names) ^ set(_folders(root / folder)):
            raise InputError(
                f"{root}: expected the same classes in train and {part}. Received: "
                f"{', '.join(map(repr, sorted(others)))} in one of them only."
            )
    return list(enumerate(names))


def _folders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(one.name for one in entries if one.is_dir(follow_symlinks=False) and one.name[0] != ".")


def _files(root: Path, ignored: Counter[str]) -> Iterator[str]:
    """The path below `root` of each file that should be a picture. Counts what else there is. Raises InputError."""
    inside = os.path.join(os.path.realpath(root), "")
    outside = []
    for path, entry in walk(root):
        if entry.is_symlink() and not (
            os.path.exists(entry.path) and os.path.join(os.path.realpath(entry.path), "").startswith(inside)
        ):
            outside.append(repr(path))
        elif kind := unwanted(entry):
            ignored[kind] += 1
        else:
            yield path
    if outside:
        raise InputError(
            f"{root}: expected no link that leads out of it, or to nothing: DVC cannot version it. "
            f"Received:\n{shown(sorted(outside))}\nTo go on: put the files themselves there, or remove the links."
        )


def walk(root: str | Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Each file and link below a folder, with its path from there. Hidden folders are not entered."""
    waiting = [""]
    while waiting:
        place = waiting.pop()
        with os.scandir(os.path.join(root, place)) as entries:
            for entry in entries:
                path = os.path.join(place, entry.name)
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    waiting.append(path)
                else:
                    yield path, entry


def unwanted(entry: os.DirEntry[str]) -> str:
    """What a file is that should be no picture; empty where it should."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.name == "Thumbs.db":
        return "Thumbs.db"
    if os.path.isdir(entry.path) or not (os.path.isfile(entry.path) or entry.is_symlink()):
        return "no files"  # a link to nothing, or to itself, is a picture that is missing
    ending = os.path.splitext(entry.name)[1]
    return "" if ending.lower() in ENDINGS else ascii(ending)[1:-1] or "without an ending"
