"""Tests of cnn/datasets/npz.py, and of images of other sizes than the one wanted."""

import json
import zipfile

import numpy as np
import pytest

from cnn.datasets import npz, splits
from cnn.process.errors import InputError
from cnn.settings.local import AboutLocal
from cnn.storage import pieces
from cnn.storage.arrays import SPLITS, open_split
from tests import tiny

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4), np.uint8)
LABELS = np.arange(40) % 2


@pytest.fixture
def write(tmp_path):
    """A function: write the splits of a file of arrays, and return the summary."""

    def start(classes=None, save=np.savez, options=(), **arrays):
        path = tmp_path / "pets.npz"
        if arrays:
            save(path, **arrays)
        (tmp_path / "raw").mkdir(exist_ok=True)
        about = {"name": "pets", "title": "Pets", "format": "npz", "path": str(path), "classes": classes}
        (tmp_path / "raw/dataset.json").write_text(json.dumps(about))
        return splits.write(tiny.preprocess_options(**dict(options)), tmp_path / "raw", tmp_path / "processed")

    return start


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_become_splits(tmp_path, write, monkeypatch, save):
    monkeypatch.setattr(pieces, "BYTES", 7 * 20)
    summary = write(save=save, x_train=IMAGES, y_train=LABELS)
    assert (summary["classes"], [summary[split]["images"] for split in SPLITS]) == (["0", "1"], [28, 4, 8])
    images, labels = open_split("train", tmp_path / "processed")
    expected = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert [expected[image.tobytes()] for image in images] == labels.tolist()


def test_parts_of_its_own_are_kept(tmp_path, write):
    summary = write(
        x_train=IMAGES[:30], y_train=LABELS[:30], x_validation=IMAGES[30:36], y_validation=LABELS[30:36],
        x_test=IMAGES[36:], y_test=LABELS[36:],
    )  # fmt: skip
    assert [summary[split]["images"] for split in SPLITS] == [30, 6, 4]
    np.testing.assert_array_equal(open_split("test", tmp_path / "processed")[0][..., 0], IMAGES[36:])


def test_labels_may_be_text_or_have_names_or_a_second_dimension(write):
    assert write(x_train=IMAGES, y_train=np.array(["dog", "cat"])[LABELS])["classes"] == ["cat", "dog"]
    assert write(["dog", "cat"], x_train=IMAGES, y_train=np.array(["dog", "cat"])[LABELS])["classes"] == ["dog", "cat"]
    assert write(["ant", "bee"], x_train=IMAGES, y_train=LABELS[:, None])["classes"] == ["ant", "bee"]


def test_text_is_numbered_as_the_names_are(tmp_path, write):
    write(["dog", "cat"], x_train=IMAGES, y_train=np.array(["dog", "cat"])[LABELS])
    images, labels = open_split("train", tmp_path / "processed")
    expected = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert [expected[image.tobytes()] for image in images] == labels.tolist()


@pytest.mark.parametrize("shape", [(40, 5, 4, 1), (40, 5, 4, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_become_each_other(tmp_path, write, shape, channels):
    values = np.broadcast_to(IMAGES.reshape(40, 5, 4, 1), shape)
    write(x_train=np.ascontiguousarray(values), y_train=LABELS, options={"channels": channels})
    images, _ = open_split("train", tmp_path / "processed")
    assert images.shape == (28, 5, 4, channels)
    assert {image[..., 0].tobytes() for image in images} <= {image.tobytes() for image in IMAGES}


def test_images_of_another_size_are_fitted(tmp_path, write, monkeypatch):
    monkeypatch.setattr(pieces, "BYTES", 500)
    write(x_train=IMAGES, y_train=LABELS, options={"height": 9, "width": 4, "fit": "pad"})
    images, _ = open_split("train", tmp_path / "processed")
    assert images.shape == (28, 9, 4, 1)
    assert not images[:, [0, 1, 7, 8]].any(), "black above and below"
    assert {image[2:7].tobytes() for image in images} <= {image.tobytes() for image in IMAGES}


FAULTS = {
    "floats": ({"x_train": IMAGES / 255}, "Received: x_train float64 (40, 5, 4)."),
    "flat": ({"x_train": IMAGES.reshape(40, 20)}, "Received: x_train uint8 (40, 20)."),
    "two channels": ({"x_train": np.zeros((40, 5, 4, 2), np.uint8)}, "Received: x_train uint8 (40, 5, 4, 2)."),
    "fortran": ({"x_train": np.asfortranarray(IMAGES)}, "Received: x_train uint8 (40, 5, 4) in Fortran order."),
    "fewer labels": ({"y_train": LABELS[1:]}, "as many labels as images in train. Received: 39 and 40."),
    "one-hot": ({"y_train": np.eye(2)[LABELS]}, "Received: float64 (40, 2). Of one-hot labels, take y.argmax(1)."),
    "negative": ({"y_train": np.arange(40) % 3 - 1}, "expected y_train from 0 to 255. Received: -1 to 1."),
    "a gap": ({"y_train": LABELS * 2}, "expected images of every class. Received: none of 1."),
    "many": ({"y_train": LABELS * 300}, "expected y_train from 0 to 255. Received: 0 to 300."),
    "test without labels": ({"x_test": IMAGES}, "Received: ['x_test', 'x_train', 'y_train']."),
    "objects": ({"y_train": np.array([{}] * 40)}, "Object arrays cannot be loaded when allow_pickle=False"),
    "unknown text": (
        {"y_train": np.array(["a", "b"])[LABELS], "x_test": IMAGES, "y_test": np.array(["a", "c"])[LABELS]},
        "expected in y_test the classes ['a', 'b']. Received: ['c'] as well.",
    ),
}


@pytest.mark.parametrize(("changes", "said"), FAULTS.values(), ids=FAULTS)
def test_other_arrays_are_refused(tmp_path, write, state, changes, said):
    with pytest.raises(InputError) as error:
        write(**{"x_train": IMAGES, "y_train": LABELS} | changes)
    assert str(error.value).startswith(f"{tmp_path / 'pets.npz'}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "processed").exists() or state(tmp_path / "processed") == {}


def test_a_missing_a_damaged_and_a_cut_file_are_refused(tmp_path, write):
    with pytest.raises(InputError, match="expected a file of arrays. Received: none."):
        write()
    path = tmp_path / "pets.npz"
    path.write_bytes(b"not a zip file")
    with pytest.raises(InputError, match="expected arrays as `numpy.savez` writes them. Received: File is not a zip"):
        write()
    np.savez(path, x_train=IMAGES, y_train=LABELS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="expected arrays as"):
        write()
    damaged = bytearray(content)
    damaged[300] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="Bad CRC-32"):
        write()


def test_an_array_that_says_it_is_longer_than_it_is_is_refused(tmp_path, write):
    path = tmp_path / "pets.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS)
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content.removesuffix(IMAGES[-1].tobytes()))
    with pytest.raises(InputError, match="it ends early"):
        write()


def test_idx_images_of_another_size_are_fitted(tmp_path, make_raw, run):
    images = make_raw(tmp_path / "raw", [0, 1, 2] * 10)["train"]
    run(height=5, width=8, channels=3)
    found = open_split("train", tmp_path / "processed")[0]
    assert found.shape[1:] == (5, 8, 3)
    assert {image[:, 2:6, 1].tobytes() for image in found} <= {image.tobytes() for image in images}


def opened(tmp_path, labels, classes=None):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=np.zeros((4, 12, 12), np.uint8), y_train=labels)
    about = AboutLocal(name="own", title="", format="npz", path=str(path), classes=classes)
    return npz.opened(about, tiny.preprocess_options())


def test_numbers_are_classes(tmp_path):
    data = opened(tmp_path, np.array([0, 1, 1, 0], np.uint64))
    assert data.classes == ["0", "1"]
    assert data.parts["train"].labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (np.array([0, 1, 2, 10**12]), "0 to 1000000000000"),  # a list of their names would not fit into memory
        (np.array([0, 1, 2, 2**63], np.uint64), "0 to 9223372036854775808"),
        (np.array([0, 1, 2, -1]), "-1 to 2"),
    ],
)
@pytest.mark.parametrize("classes", [None, ["a", "b", "c"]])
def test_a_number_that_is_no_class_is_refused(tmp_path, labels, received, classes):
    with pytest.raises(InputError, match=f"expected y_train from 0 to 255. Received: {received}"):
        opened(tmp_path, labels, classes)


def test_two_classes_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected 2 to 256 different classes. Received: 3, 2 of them different"):
        opened(tmp_path, np.array([0, 1, 2, 0]), ["a", "a", "b"])
