"""data/pins.yaml: the hashes that nobody has published, as the first download found them, for all later ones."""

import sys
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from cnn.process.errors import InputError
from cnn.settings import strict_yaml
from cnn.settings.published import Files, Hash, Source
from cnn.storage import files

PINS = Path("data/pins.yaml")
HEAD = (
    "# Written by download, once for each file whose entry in data/sources.yaml says `sha256: pin`. Commit it: every\n"
    "# later download is held against it. To pin a data set anew, on purpose, delete it here and run again.\n"
)
Pins = dict[str, dict[str, str]]


def load(path: Path = PINS) -> Pins:
    """Read the pins: the hash of each file by its name, by data set. Raises InputError."""
    document, found = strict_yaml.load_yaml(path)
    try:
        pins = TypeAdapter(dict[str, dict[str, Hash]]).validate_python(document, strict=True)
    except ValidationError as error:
        found += [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}." for fault in error.errors()]
    if found:
        raise InputError("\n  ".join([f"{path} is not valid:", *found, "To go on: `git checkout` it."]))
    return pins


def applied(name: str, source: Source, path: Path = PINS) -> Source:
    """The data set with the hashes that are pinned; a file that is not pinned yet keeps `pin`. Raises InputError."""
    if not any(file.unpinned for file in source.files.all()):
        return source
    known = load(path).get(name, {})
    roles = {
        role: file.model_copy(update={"sha256": known[file.name]})
        for role, file in source.files
        if file and file.unpinned and file.name in known
    }
    return source.model_copy(update={"files": Files.model_copy(source.files, update=roles)})


def add(name: str, found: dict[str, str], origin: str) -> None:
    """Pin the hashes found, by the files' names, and say so loudly. origin: where they are from."""
    pins = load()
    pins[name] = pins.get(name, {}) | found
    with files.whole(PINS, "w") as out:
        out.write(HEAD + yaml.safe_dump(pins, sort_keys=True))
    bar = "=" * 100
    lines = [f"  {file}  sha256 {digest}" for file, digest in found.items()]
    print(
        "\n".join(
            [
                bar,
                f"download: PINNED in {PINS}, from {origin}:",
                *lines,
                "Whoever downloads this data set from now on gets these very bytes, or an error. Commit the pins:",
                f"  git add {PINS} && git commit",
                bar,
            ]
        ),
        file=sys.stderr,
        flush=True,
    )


def remedy(name: str) -> str:
    """What to do where a file is not the one that was pinned."""
    return f"Its hash is pinned in {PINS}. To pin what there is now, on purpose, delete {name} there and run again."
