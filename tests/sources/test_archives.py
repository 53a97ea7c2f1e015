"""Tests of cnn/sources/archives.py: IDX files out of archives as EMNIST and CIFAR are published, and hostile ones."""

import gzip
import hashlib
import io
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from cnn.process.errors import InputError
from cnn.settings.published import Source
from cnn.sources import pins
from cnn.sources.raw import fill
from cnn.storage import idx
from tests.sources.toy import entry, respond

ROLES = ("train_images", "train_labels", "test_images", "test_labels")
RANDOM = np.random.default_rng(5)
LABELS = {"train": np.array([0, 1, 1, 0], np.uint8), "test": np.array([1, 0], np.uint8)}
GREY = {part: RANDOM.integers(0, 256, (len(labels), 6, 6), np.uint8) for part, labels in LABELS.items()}
COLOUR = {part: RANDOM.integers(0, 256, (len(labels), 6, 6, 3), np.uint8) for part, labels in LABELS.items()}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project where nothing is pinned yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pins.yaml").write_text("{}\n")
    return tmp_path


def zipped(contents):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(contents, **header):
    """A tar.gz. header: what is said of each member besides."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = 0 if header else len(content)
            for key, value in header.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def emnist():
    """EMNIST's members: gzipped IDX files, images column by column."""
    members = {}
    for part in LABELS:
        for kind, array in (("images", GREY[part].transpose(0, 2, 1)), ("labels", LABELS[part])):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            members[f"gzip/{part}-{kind}.gz"] = gzip.compress(header + array.tobytes())
    return members


def cifar(coarse=b""):
    """CIFAR's members, the training set in two: label, then red, green and blue pixels; `coarse`: before the label."""
    records = {
        part: [
            coarse + bytes([label]) + b"".join(image[..., channel].tobytes() for channel in range(3))
            for label, image in zip(labels, COLOUR[part], strict=True)
        ]
        for part, labels in LABELS.items()
    }
    halves = {"bin/1": records["train"][:2], "bin/2": records["train"][2:], "bin/test": records["test"]}
    return {name: b"".join(some) for name, some in halves.items()}


def source(kind, content, url, **changes):
    """The catalogue's entry of an archive on a mirror."""
    images, channels, end = (GREY, 1, "zip") if kind == "emnist" else (COLOUR, 3, "tar.gz")
    files = {}
    for role in ROLES:
        part, what = role.split("_")
        array = (images if what == "images" else LABELS)[part]
        of_cifar = ["bin/1", "bin/2"] if part == "train" else ["bin/test"]
        members = [f"gzip/{part}-{what}.gz"] if kind == "emnist" else of_cifar
        size = 4 + 4 * array.ndim + array.size
        files[role] = {"name": role, "bytes": size, "sha256": "pin", "members": members} | changes.get(role, {})
    about = {"title": "Toy", "licence": "none", "citation": "none", "format": kind, "shape": [6, 6, channels]}
    archive = entry(f"toy.{end}", content)
    return Source.model_validate(
        about | {"classes": ["ant", "bee"], "archive": archive, "files": files, "mirrors": [url]}
    )


def found(raw):
    return {role: np.concatenate(list(idx.idx_rows(raw / role))) for role in ROLES}


CONTENTS = {
    "emnist": (zipped(emnist()), GREY),
    "cifar-10": (tarred(cifar()), COLOUR),
    "cifar-100": (tarred(cifar(coarse=b"\x13")), COLOUR),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_an_archive_becomes_upright_images_and_labels(tmp_path, serve, capsys, kind):
    content, images = CONTENTS[kind]
    url, asked = serve(respond(content))
    raw = tmp_path / "raw"
    fill("toy", source(kind, content, url), raw)
    for part in LABELS:
        np.testing.assert_array_equal(found(raw)[f"{part}_images"], images[part])
        np.testing.assert_array_equal(found(raw)[f"{part}_labels"], LABELS[part])
    assert {path.name for path in raw.iterdir()} == {*ROLES, "dataset.json"}, "the archive is gone"
    assert "which has the hash that the catalogue gives" in capsys.readouterr().err
    assert pins.load()["toy"].keys() == set(ROLES)
    fill("toy", source(kind, content, url), raw)
    assert len(asked) == 1, "what is there and right is not fetched again"


def test_an_archive_that_is_there_and_right_is_not_fetched_again(tmp_path, serve):
    content, _ = CONTENTS["emnist"]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/toy.zip").write_bytes(content)
    url, asked = serve(respond(status=404))
    fill("toy", source("emnist", content, url), tmp_path / "raw")
    assert asked == []


def test_nothing_is_unpacked_from_another_archive_than_the_catalogued_one(tmp_path, serve, state):
    content, _ = CONTENTS["emnist"]
    url, asked = serve(respond(zipped(emnist() | {"more": b""})))
    with pytest.raises(InputError, match=r"could not get toy\.zip"):
        fill("toy", source("emnist", content, url), tmp_path / "raw")
    assert (state(tmp_path / "raw"), asked) == ({}, ["/toy.zip"])


def test_other_content_than_the_pinned_one_is_refused(tmp_path, serve):
    content, _ = CONTENTS["cifar-10"]
    wrong = hashlib.sha256(b"").hexdigest()
    (tmp_path / "data/pins.yaml").write_text(f"toy: {{train_images: {wrong}}}\n")
    with pytest.raises(InputError) as error:
        fill("toy", source("cifar-10", content, serve(respond(content))[0]), tmp_path / "raw")
    assert str(error.value).startswith(f"expected sha256 {wrong[:12]}… for train_images: Its hash is pinned")
    assert not (tmp_path / "raw/train_images").exists()
    assert pins.load() == {"toy": {"train_images": wrong}}


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/hostname"}
FIRST = "gzip/train-images.gz"
NO_IDX = "Received: no IDX file of the shape (4, 6, 6)."
HOSTILE = {
    "no archive": ("emnist", b"<!DOCTYPE html>", "Received: File is not a zip file."),
    "no tar": ("cifar-10", b"<!DOCTYPE html>", "Received: not a gzip file"),
    "half a tar": ("cifar-10", CONTENTS["cifar-10"][0][:300], "Received: "),
    "member missing": ("emnist", zipped({"other": b""}), f"Received: no plain file {FIRST}."),
    "member missing in a tar": ("cifar-10", tarred({"other": b""}), "Received: no plain file bin/1."),
    "member elsewhere": ("cifar-10", tarred({"../bin/1": b"x"}), "Received: no plain file bin/1."),
    "link": ("cifar-10", tarred(cifar(), **LINK), "Received: no plain file bin/1."),
    "folder": ("cifar-10", tarred(cifar(), type=tarfile.DIRTYPE), "Received: no plain file bin/1."),
    "device": ("cifar-10", tarred(cifar(), type=tarfile.CHRTYPE), "Received: no plain file bin/1."),
    "not gzipped": ("emnist", zipped(emnist() | {FIRST: b"plain"}), "Received: Not a gzipped file (b'pl')."),
    "no IDX": ("emnist", zipped(emnist() | {FIRST: gzip.compress(b"text")}), NO_IDX),
    "other shape": ("emnist", zipped(emnist() | {FIRST: emnist()["gzip/test-images.gz"]}), NO_IDX),
    "member too short": ("cifar-10", tarred(cifar() | {"bin/2": b"x" * 100}), "Received: it ends early."),
    "member too long": ("cifar-10", tarred(cifar() | {"bin/1": bytes(219)}), "Received: more than that in bin/1."),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "error"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_and_writes_nothing(tmp_path, serve, kind, content, error):
    with pytest.raises(InputError) as caught:
        fill("toy", source(kind, content, serve(respond(content))[0]), tmp_path / "raw")
    assert str(caught.value).startswith("toy.")
    assert ": expected train_images in " in str(caught.value)
    assert error in str(caught.value)
    assert {path.name for path in (tmp_path / "raw").iterdir()} <= {"toy.zip", "toy.tar.gz"}
    assert pins.load() == {}


@pytest.mark.parametrize("kind", ["emnist", "cifar-10"])
def test_a_bomb_takes_no_memory(tmp_path, serve, kind):
    zeros = bytes(1 << 27)
    if kind == "emnist":
        inner = gzip.decompress(emnist()[FIRST])
        content = zipped(emnist() | {FIRST: gzip.compress(inner + zeros)})
    else:
        content = tarred(cifar() | {"bin/1": zeros})
    del zeros
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="Received: more than that in"):
            fill("toy", source(kind, content, serve(respond(content))[0]), tmp_path / "raw")
        assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()


def test_members_that_lead_out_of_the_archive_are_never_written_there(tmp_path, serve):
    members = {f"../../{name}": content for name, content in cifar().items()}
    content = tarred(members)
    train, test = {"members": ["../../bin/1", "../../bin/2"]}, {"members": ["../../bin/test"]}
    changes = {role: train if role.startswith("train") else test for role in ROLES}
    fill("toy", source("cifar-10", content, serve(respond(content))[0], **changes), tmp_path / "a/b/raw")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {*ROLES, "dataset.json", "pins.yaml"}
