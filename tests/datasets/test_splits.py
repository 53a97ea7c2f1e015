"""Tests of cnn/datasets/splits.py, on data sets of a few dozen images."""

import numpy as np
import pytest

from cnn.process.errors import InputError
from cnn.storage import pieces
from cnn.storage.arrays import SPLITS, open_split
from tests.datasets.conftest import LABELS


def rows_of(directory):
    """Each split as a list of (image's bytes, label)."""
    opened = {name: open_split(name, directory) for name in SPLITS}
    return {
        name: [(image.tobytes(), int(label)) for image, label in zip(*arrays, strict=True)]
        for name, arrays in opened.items()
    }


def test_splits_are_disjoint_complete_and_stratified(tmp_path, make_raw, run):
    images = make_raw(tmp_path / "raw", LABELS)["train"]
    run(validation_fraction=0.25, test_fraction=0.2)
    found = rows_of(tmp_path / "processed")
    everything = [(image.tobytes(), label) for image, label in zip(images, LABELS, strict=True)]
    assert sorted(found["train"] + found["validation"] + found["test"]) == sorted(everything), "each image just once"
    # A fifth of 20, 20, 40, then a quarter of what is left.
    per_class = {name: np.bincount([label for _, label in rows]).tolist() for name, rows in found.items()}
    assert per_class == {"train": [12, 12, 24], "validation": [4, 4, 8], "test": [4, 4, 8]}
    order = [everything.index(row) for row in found["train"]]
    assert order == sorted(order), "the order of the file is kept"


def test_images_get_a_channel_axis_and_labels_stay_bytes(tmp_path, make_raw, run):
    make_raw(tmp_path / "raw", LABELS)
    run()
    images, labels = open_split("train", tmp_path / "processed")
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == ((20, 5, 4, 1), np.uint8, (20,), np.uint8)


def test_the_same_seed_makes_the_same_files_and_another_seed_others(tmp_path, make_raw, run, state):
    make_raw(tmp_path / "raw", LABELS)
    run(seed=1)
    first = state(tmp_path / "processed")
    run(seed=2)
    other = state(tmp_path / "processed")
    run(seed=1)
    assert state(tmp_path / "processed") == first
    names = {f"{split}_images.npy" for split in SPLITS}
    assert names == {name for name in names if other[name] != first[name]}


def test_the_size_of_the_pieces_in_memory_changes_nothing(tmp_path, make_raw, run, state, monkeypatch):
    make_raw(tmp_path / "raw", LABELS, [0, 1, 2])
    run()
    whole = state(tmp_path / "processed")
    monkeypatch.setattr(pieces, "BYTES", 7 * 5 * 4)
    run()
    assert state(tmp_path / "processed") == whole


def test_validation_may_be_left_out(tmp_path, make_raw, run):
    make_raw(tmp_path / "raw", LABELS)
    summary = run(validation_fraction=0)
    images, labels = open_split("validation", tmp_path / "processed")
    assert (images.shape, labels.shape) == ((0, 5, 4, 1), (0,))
    assert summary["validation"] == {
        "images": 0,
        "per_class": [0, 0, 0],
        "mean": None,
        "standard_deviation": None,
        "duplicates": 0,
    }
    assert summary["train"]["images"] + summary["test"]["images"] == 80


def test_a_test_set_of_its_own_is_kept_whole_and_in_order(tmp_path, make_raw, run):
    test_labels = [2, 1, 0, 2, 0]
    images = make_raw(tmp_path / "raw", LABELS, test_labels)["test"]
    summary = run(test_fraction=0.9)
    found, labels = open_split("test", tmp_path / "processed")
    np.testing.assert_array_equal(found[..., 0], images)
    assert labels.tolist() == test_labels
    assert (summary["train"]["images"], summary["validation"]["images"]) == (40, 40)


def test_what_a_killed_run_left_is_cleared_away(tmp_path, run, state, before):
    (tmp_path / "processed/train_images.npy.tmp").write_bytes(b"half an arr")
    (tmp_path / "processed/summary.json.tmp").write_bytes(b"{")
    run()
    assert state(tmp_path / "processed") == before


# -- what is refused --


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("leaked", [1, 3])
def test_a_test_image_among_those_trained_on_is_refused(tmp_path, make_raw, write_idx, run, state, leaked, seed):
    images = make_raw(tmp_path / "raw", LABELS, [0, 1, 2, 0])
    images["test"][:leaked] = images["train"][:leaked]  # with whatever label
    write_idx(tmp_path / "raw/test-images", images["test"])
    with pytest.raises(InputError) as error:
        run(seed)
    assert str(error.value) == (
        f"expected no image of the test set among those trained or tuned on. Received: {leaked}. "
        "Remove the duplicates from the data set, or set preprocess.duplicates to drop: a test on images seen before "
        "proves nothing."
    )
    assert state(tmp_path / "processed") == {}


FRACTION_FAULTS = [
    (
        LABELS,
        {"test_fraction": 0.01},
        "preprocess.test_fraction: expected 3 to 77 of 80 images, one of each class on both sides. "
        "Received: 0.01, which is 1.",
    ),
    (
        LABELS,
        {"validation_fraction": 0.99},
        "preprocess.validation_fraction: expected 3 to 37 of 40 images, one of each class on both sides. "
        "Received: 0.99, which is 40.",
    ),
    (
        [0, 1, 1, 1, 2, 2, 2],
        {},
        "preprocess.test_fraction: expected at least 2 different images of each class to split. Received: 1 of 'ant'.",
    ),
]


@pytest.mark.parametrize(("labels", "fractions", "error"), FRACTION_FAULTS, ids=["test", "validation", "lonely class"])
def test_a_fraction_that_leaves_a_class_out_is_refused(tmp_path, make_raw, run, state, labels, fractions, error):
    make_raw(tmp_path / "raw", labels)
    with pytest.raises(InputError) as caught:
        run(**fractions)
    assert str(caught.value) == error
    assert state(tmp_path / "processed") == {}
