"""Look at a folder of pictures under data/local, say what is in it, and enter it in the catalogue as a data set.

python -m checks.dataset NAME     exit code 0: entered (or it was before), 1: it is no data set yet, and why
"""

import argparse
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cnn.datasets import folders, parallel, pictures
from cnn.datasets.folders import Listing
from cnn.process import errors
from cnn.process.errors import InputError
from cnn.settings import catalogue, strict_yaml
from cnn.settings.local import NAME
from cnn.storage import files
from cnn.storage.paths import LOCAL

CHUNK = 64  # pictures a process reads at a time
LARGEST = 64  # pixels of a side that is suggested: a network for more takes long on a CPU
GREY = {"1", "L", "LA", "La"}  # Pillow's modes


class Picture(NamedTuple):
    """What one looks like. reason: why it cannot be read; the rest is empty then."""

    size: tuple[int, int] = (0, 0)  # width, height
    mode: str = ""
    digest: bytes = b""
    reason: str = ""


def look(paths: Sequence[str]) -> list[Picture]:
    """Read some pictures."""
    found = []
    for path in paths:
        try:
            image = pictures.decode(path)
        except pictures.UnreadableError as error:
            found.append(Picture(reason=str(error)))
        else:
            content = f"{image.mode} {image.size}".encode() + image.tobytes()
            digest = hashlib.blake2b(content, digest_size=16).digest()
            found.append(Picture(image.size, image.mode, digest))
    return found


def report(listing: Listing) -> tuple[list[str], list[str]]:
    """Say what is in a folder. Returns the lines, and what is suggested: settings of params.yaml."""
    everything = [(part, *picture) for part, listed in listing.parts.items() for picture in listed]
    paths = [f"{listing.root}/{path}" for _, path, _ in everything]
    found = [picture for chunk in parallel.in_chunks(look, paths, CHUNK, "pictures") for picture in chunk]
    good = [picture for picture in found if not picture.reason]
    if not good:
        raise InputError(f"{listing.root}: expected pictures that can be read. Received: {found[0].reason}.")
    widths, heights = ([picture.size[axis] for picture in good] for axis in (0, 1))
    lines = [f"{listing.root}: {len(everything):,} pictures, {len(listing.classes)} classes"]
    for part, listed in listing.parts.items():
        counts = Counter(label for _, label in listed)
        lines.append(f"  {part}: " + ", ".join(f"{name!r} {counts[n]:,}" for n, name in enumerate(listing.classes)))
    for name, sides in (("height", heights), ("width", widths)):
        lines.append(f"  {name}: {min(sides)} to {max(sides)} pixels, median {median(sides):g}")
    modes = Counter(picture.mode for picture in good)
    lines.append("  modes: " + ", ".join(f"{mode} {count:,}" for mode, count in modes.most_common()))
    if listing.ignored:
        lines.append(f"  ignored: {listing.kinds_ignored()}")
    suggested = _suggestion(widths, heights, modes)
    bad = [f"{row[1]!r}: {picture.reason}" for row, picture in zip(everything, found, strict=True) if picture.reason]
    if bad:
        lines += [f"  cannot be read: {len(bad):,}; mend or remove them, or raise preprocess.unreadable_share"]
        lines.append(folders.shown(bad))
    rows = [(part, label, picture.digest) for (part, _, label), picture in zip(everything, found, strict=True)]
    return lines + _equal([row for row in rows if row[2]], suggested), suggested


def _suggestion(widths: list[int], heights: list[int], modes: Counter[str]) -> list[str]:
    height, width = (min(LARGEST, int(median(sides))) for sides in (heights, widths))
    channels = 1 if all(mode in GREY or mode.startswith("I;16") for mode in modes) else 3
    return [
        f"preprocess.image.{key}={value}"
        for key, value in zip(("height", "width", "channels"), (height, width, channels), strict=True)
    ]


def _equal(rows: list[tuple[str, int, bytes]], suggested: list[str]) -> list[str]:
    """Lines on equal pictures; where some are in two parts, dropping them is suggested as well."""
    counts = Counter(digest for _, _, digest in rows)
    if len(counts) == len(rows):
        return []
    line = f"  equal to another one: {sum(count for count in counts.values() if count > 1):,} pictures"
    for place, text in ((1, "in another class"), (0, "in another part")):
        pairs = {(row[place], row[2]) for row in rows}
        several = Counter(digest for _, digest in pairs)
        if among := sum(several[digest] > 1 for _, _, digest in rows):
            line += f", {among:,} of them {text}"
            suggested += ["preprocess.duplicates=drop"] * (place == 0)
    return [line]


def enter(name: str, path: Path = catalogue.CATALOGUE) -> bool:
    """Append the data set to the catalogue. False where it is there. Raises InputError where another has its name."""
    known = catalogue.load_catalogue(path)
    if name in known:
        if known[name].format == "folder":
            return False
        raise InputError(f"{path}: expected a new name. Received: {name}, which is a data set of another format.")
    text = path.read_text(encoding="utf-8").rstrip("\n")
    with files.whole(path, "w") as out:
        out.write(f"{text}\n\n{name}:\n  format: folder\n  path: {LOCAL / name}\n")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m checks.dataset", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="the folder's name under data/local, which the data set will have")
    name = parser.parse_args().name
    if not re.fullmatch(NAME, name) or not strict_yaml.is_text(name):
        raise InputError(
            "expected a name of letters, digits, '.', '_' and '-', no path, and none that YAML reads as a number, a "
            f"date or the like. Received: {name!r}. As in `make dataset NAME=pets`."
        )
    listing = folders.list_pictures(LOCAL / name)
    lines, suggested = report(listing)
    print("\n".join(lines))
    new = enter(name)
    print(f"\n{catalogue.CATALOGUE}: {name} " + ("added" if new else "is there already") + ". To train on it:\n")
    print(" ".join(["dvc exp run", *(f"-S {setting}" for setting in [f"download.dataset={name}", *suggested])]))


if __name__ == "__main__":
    with errors.reported("dataset"):
        main()
