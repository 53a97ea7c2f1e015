"""Tests of cnn/storage/arrays.py."""

import re
from pathlib import Path

import numpy as np
import pytest

from cnn.process.errors import InputError
from cnn.storage import arrays
from cnn.storage.arrays import load_split, open_split

MEND = "To go on: `dvc repro` makes it again, or `dvc checkout` fetches it from the cache."


IMAGES = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 1), np.uint8)
LABELS = np.arange(6, dtype=np.uint8)


@pytest.fixture
def processed(tmp_path):
    """A directory with the split "train" of IMAGES and LABELS, written as preprocess writes it."""
    for name, array in (("images", IMAGES), ("labels", LABELS)):
        with open(tmp_path / f"train_{name}.npy", "wb") as file:
            arrays.write_npy_header(file, array.shape)
            file.write(array.tobytes())
    return tmp_path


def test_a_split_is_opened_without_being_read(processed):
    images, labels = open_split("train", processed)
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_an_empty_split_opens(tmp_path):
    for name, shape in (("images", (0, 5, 4, 1)), ("labels", (0,))):
        with open(tmp_path / f"validation_{name}.npy", "wb") as file:
            arrays.write_npy_header(file, shape)
    images, labels = open_split("validation", tmp_path)
    assert (images.shape, images.dtype, labels.shape) == ((0, 5, 4, 1), np.uint8, (0,))
    assert load_split("validation", directory=tmp_path)[0].dtype == np.float32


def test_a_normalized_split_is_float32_from_0_to_1_with_a_channel_axis(processed):
    images, labels = load_split("train", normalize=True, directory=processed)
    assert (images.dtype, images.shape, labels.dtype) == (np.float32, (6, 5, 4, 1), np.uint8)
    np.testing.assert_allclose(images, IMAGES / 255, rtol=1e-6)
    assert 0 <= images.min() < 0.1 < 0.9 < images.max() <= 1


def test_a_split_is_loaded_as_bytes_that_the_caller_may_change(processed):
    images, labels = load_split("train", normalize=False, directory=processed)
    np.testing.assert_array_equal(images, IMAGES)
    images[:] = labels[:] = 0
    np.testing.assert_array_equal(open_split("train", processed)[0], IMAGES)


def test_an_unknown_split_is_refused(processed):
    with pytest.raises(InputError) as caught:
        open_split("valid", processed)
    assert str(caught.value) == "expected a split of train, validation, test. Received: 'valid'."


def test_a_missing_file_is_told_with_the_way_on(processed):
    (processed / "train_labels.npy").unlink()
    with pytest.raises(InputError) as caught:
        open_split("train", processed)
    assert str(caught.value) == f"expected the file {processed / 'train_labels.npy'}, and there is none. {MEND}"


WRONG_ARRAYS = {
    "float32": (IMAGES.astype(np.float32), "uint8 in 4 dimensions. Received: float32 (6, 5, 4, 1)."),
    "no channel axis": (IMAGES[..., 0], "uint8 in 4 dimensions. Received: uint8 (6, 5, 4)."),
    "signed": (IMAGES.astype(np.int8), "uint8 in 4 dimensions. Received: int8 (6, 5, 4, 1)."),
    "empty floats": (np.zeros((0, 5, 4, 1)), "uint8 in 4 dimensions. Received: float64 (0, 5, 4, 1)."),
    "scalar": (np.uint8(7), "uint8 in 4 dimensions. Received: uint8 ()."),
    "objects": (
        np.array([{}], object),
        "an array in .npy format: Array can't be memory-mapped: Python objects in dtype..",
    ),
    "no objects": (
        np.zeros(0, object),
        "an array in .npy format: Object arrays cannot be loaded when allow_pickle=False.",
    ),
}


@pytest.mark.parametrize(("array", "error"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS)
def test_an_array_of_another_kind_is_refused(processed, array, error):
    path = processed / "train_images.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError) as caught:
        open_split("train", processed)
    assert str(caught.value) == f"{path}: expected {error} {MEND}"


DAMAGES = {
    "empty": (lambda content: b"", "EOF: reading magic string, expected 8 bytes got 0"),
    "truncated": (lambda content: content[:-1], "mmap length is greater than file size"),
    "header cut": (lambda content: content[:60], "EOF: reading array header, expected 118 bytes got 50"),
    "another format": (
        lambda content: b"PK\3\4" + bytes(20),
        r"the magic string is not correct; expected b'\x93NUMPY', got b'PK\x03\x04\x00\x00'",
    ),
}


@pytest.mark.parametrize(("damage", "error"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_array_is_refused(processed, damage, error):
    path = processed / "train_images.npy"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as caught:
        open_split("train", processed)
    assert str(caught.value) == f"{path}: expected an array in .npy format: {error}. {MEND}"


@pytest.mark.parametrize("value", [b"\0", b"(", b")", b"'", b",", b"0", b"9", b"B", b"\\", b"\xff"])
def test_no_damage_to_a_header_does_more_than_an_input_error(processed, value):
    path = processed / "train_images.npy"
    content = path.read_bytes()
    for place in range(80):
        path.write_bytes(content[:place] + value + content[place + 1 :])
        try:
            images, _ = open_split("train", processed)
        except InputError as error:
            assert str(path) in str(error) or "as many labels as images" in str(error)
        else:
            assert (images.dtype, images.ndim) == (np.uint8, 4)


def test_images_and_labels_of_different_number_are_refused(processed):
    np.save(processed / "train_labels.npy", LABELS[:-1])
    with pytest.raises(InputError) as caught:
        open_split("train", processed)
    assert str(caught.value) == f"{processed}: expected as many labels as images in train. Received: 5 and 6."


@pytest.fixture
def stored(tmp_path):
    """An array of 3,000 images, and the same from a file, memory-mapped."""
    array = np.random.default_rng(0).integers(0, 256, (3000, 3, 4, 2), np.uint8)
    np.save(tmp_path / "array.npy", array)
    return array, np.load(tmp_path / "array.npy", "r")


PARTS = {
    "whole": lambda array: array,
    "end": lambda array: array[1000:],
    "every seventh": lambda array: array[5::7],
    "back to front": lambda array: array[::-1],
    "part of each image": lambda array: array[:, 1:, ::2],
    "no memory map": lambda array: np.array(array),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize(
    "rows",
    [[0], [5, 5, 1], np.random.default_rng(1).integers(0, 400, 50), range(7, 300), range(3, 90, 2), range(0)],
    ids=str,
)
def test_rows_are_taken_in_the_order_named(stored, part, rows):
    array, mapped = (part(one) for one in stored)
    taken = arrays.take(mapped, rows)
    assert taken.flags.writeable, "a copy, whatever becomes of the file"
    np.testing.assert_array_equal(taken, array[np.array(rows, int)], strict=True)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_pieces_are_all_rows_in_order(stored, part):
    array, mapped = (part(one) for one in stored)
    pieces = list(arrays.pieces(mapped))
    assert max(map(len, pieces)) <= arrays.PIECE
    np.testing.assert_array_equal(np.concatenate(pieces), array)


def test_what_is_taken_does_not_stay_in_memory(tmp_path):
    def mapped_kilobytes():
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"RssFile:\s*(\d+) kB", status)[1])

    np.save(tmp_path / "array.npy", np.ones((1 << 15, 1 << 10), np.uint8))  # 32 MB
    array = np.load(tmp_path / "array.npy", "r")
    before = mapped_kilobytes()
    assert arrays.take(array, np.arange(0, 1 << 15, 2)).sum() == 1 << 24
    assert sum(int(piece.sum()) for piece in arrays.pieces(array)) == 1 << 25
    assert mapped_kilobytes() - before < 1_000
    assert int(array.sum()) == 1 << 25
    assert mapped_kilobytes() - before > 30_000, "as it would by way of the mapping"


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_small_array_is_held_in_memory_whatever_becomes_of_its_file(stored, part):
    array, mapped = (part(one) for one in stored)
    held = arrays.hold(mapped)
    if isinstance(mapped, np.memmap):
        Path(mapped.filename).write_bytes(bytes(Path(mapped.filename).stat().st_size))
    np.testing.assert_array_equal(held, array, strict=True)


def test_a_large_array_stays_in_its_file(stored, monkeypatch):
    _, mapped = stored
    monkeypatch.setattr(arrays, "HELD", mapped.nbytes - 1)
    assert arrays.hold(mapped) is mapped


def test_changes_that_only_memory_holds_are_taken(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((100, 4), np.uint8))
    array = np.load(tmp_path / "array.npy", "c")
    array[7] = 9
    assert arrays.take(array, [7]).tolist() == [[9, 9, 9, 9]]


def test_a_file_that_became_shorter_is_told(stored):
    _, mapped = stored
    path = Path(mapped.filename)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(InputError) as caught:
        arrays.take(mapped, [2999])
    assert str(caught.value) == f"{path}: expected 3000 rows. Received: fewer. {MEND}"


def test_the_classes_are_read_in_the_order_of_their_labels(tmp_path):
    (tmp_path / "summary.json").write_text('{"dataset": "toy", "classes": ["cat", "ant", "sea lion"]}')
    assert arrays.read_classes(tmp_path / "summary.json") == ["cat", "ant", "sea lion"]
