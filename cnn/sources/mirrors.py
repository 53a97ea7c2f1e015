"""Fetch a file from the first mirror that has it, and verify it."""

import hashlib
import itertools
import os
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cnn.process.errors import InputError
from cnn.settings.published import Archive, File, Source
from cnn.sources import http
from cnn.sources.http import MirrorError
from cnn.storage import files


def fetch(file: File | Archive, urls: list[str], directory: Path, remedy: str = "") -> str:
    """Write `file` from the first URL that has it: gzipped (URL.gz) or plain; an archive as it is.

    Returns that URL, without a password. Raises InputError that names every place tried where none has it.
    remedy: what else to do then.
    """
    tried = []
    for url in [candidate for base in urls for candidate in _candidates(file, base)]:
        try:
            _write(file, url, directory)
        except MirrorError as error:
            tried.append(f"  {_without_password(url)}: {error}")
        else:
            return _without_password(url)
    gzipped = ", gzipped or not," if isinstance(file, File) else ""
    raise InputError(
        "\n".join(
            [
                f"could not get {file.name}. Tried:",
                *(tried or ["  nothing: the catalogue names no mirror"]),
                *filter(None, [remedy]),
                f"To go on offline: put the file{gzipped} into a folder <mirror>/<data set>/ and run again with",
                "DATA_MIRROR=<mirror>, or set download.dataset to mnist-5k, which needs no network.",
            ]
        )
    )


def _candidates(file: File | Archive, base: str) -> list[str]:
    """Where a mirror may have a file. Where only the hash of the gzipped one is known, no other is taken."""
    if isinstance(file, Archive):
        return [base]
    return [f"{base}.gz"] if file.unpinned and file.gz_sha256 else [f"{base}.gz", base]


def _write(file: File | Archive, url: str, directory: Path) -> None:
    """Write `file` from a URL. Raises MirrorError where it is not the one that the catalogue promises."""
    packed, digest = hashlib.sha256(), hashlib.sha256()
    with files.whole(directory / file.name) as out, closing(_pieces(url)) as stream:
        for piece in decompressed(_counted(stream, packed), file.bytes, gzipped=isinstance(file, File)):
            digest.update(piece)
            out.write(piece)
        received, size = digest.hexdigest(), out.tell()
        if isinstance(file, File) and file.unpinned:
            if size != file.bytes:
                raise MirrorError(f"expected {file.bytes:,} bytes. Received: {size:,} bytes")
            if file.gz_sha256 not in (None, packed.hexdigest()):
                raise MirrorError(
                    f"expected sha256 {file.gz_sha256[:12]}… of the gzipped file. Received: {packed.hexdigest()[:12]}…"
                )
        elif size != file.bytes or received != file.sha256:
            raise MirrorError(
                f"expected sha256 {file.sha256[:12]}… of {file.bytes:,} bytes. Received: "
                f"{received[:12]}… of {size:,} bytes"
            )


def _counted(stream: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    """Pass a stream on, and its bytes to a hash as well."""
    for piece in stream:
        digest.update(piece)
        yield piece


def mirrors(name: str, source: Source) -> list[str]:
    """Where to look for a data set, in order: DATA_MIRROR, then the catalogue's mirrors."""
    own = os.environ.get("DATA_MIRROR")
    if not own:
        return source.mirrors
    # A relative path begins at the project: DVC names it also where it runs a stage in a temporary copy.
    project = Path(os.environ.get("DVC_ROOT", ""))
    url = own.rstrip("/") if "://" in own else (project / own).resolve().as_uri()
    return [f"{url}/{name}", *source.mirrors]


def _pieces(url: str) -> Generator[bytes]:
    """Read a URL (file, http, https) piece by piece. Raises MirrorError."""
    try:
        parts = urlsplit(url)
    except ValueError:  # what it says may name the password
        raise MirrorError("no valid URL") from None
    if parts.scheme != "file":
        yield from http.read(url)
        return
    try:
        with open(unquote(parts.path), "rb") as content:
            while piece := content.read(http.PIECE):
                yield piece
    except OSError as error:
        raise MirrorError(error.strerror) from None
    except ValueError:  # a null byte
        raise MirrorError("no valid URL") from None


def decompressed(stream: Iterator[bytes], limit: int, gzipped: bool = True) -> Iterator[bytes]:
    """Unpack a stream where it is gzip and may be, and pass on any other. Raises MirrorError past `limit` bytes."""
    start = b""
    while len(start) < 2 and (piece := next(stream, b"")):
        start += piece
    unpacker = zlib.decompressobj(wbits=31) if gzipped and start[:2] == b"\x1f\x8b" else None
    total = 0
    for piece in itertools.chain([start], stream):
        if unpacker:
            try:
                # One byte past the limit is enough to know, however much a bomb would unpack to.
                piece = unpacker.decompress(piece, limit + 1 - total)
            except zlib.error as error:
                raise MirrorError(f"damaged gzip data ({error})") from None
        total += len(piece)
        if total > limit:
            raise MirrorError(f"expected {limit:,} bytes. Received: more")
        yield piece
        if unpacker and unpacker.eof:
            return


def _without_password(url: str) -> str:
    """The URL without what stands before the last @, and without a query, which may hold a key."""
    return re.sub(r"(?<=://).*@", "***@", url).partition("?")[0]
