"""Tests of stages/preprocess.py, on data sets of a few dozen images."""

import json
import shutil

import numpy as np
import pytest

from stages import dataset
from stages.dataset import SPLITS, open_split
from stages.errors import InputError
from stages.params import Preprocess
from stages.preprocess import preprocess
from tests.tiny import ROOT, fresh_python

LABELS = [0, 1, 2, 2] * 20  # 20, 20 and 40 images
HALVES = Preprocess(validation_fraction=0.5, test_fraction=0.5)


@pytest.fixture
def run(tmp_path):
    """Preprocess raw/ to processed/: the summary."""

    def start(seed=1, **fractions):
        options = Preprocess.model_validate(HALVES.model_dump() | fractions)
        return preprocess(options, seed, tmp_path / "raw", tmp_path / "processed")

    return start


def splits(directory):
    """Each split as a list of (image's bytes, label)."""
    opened = {name: open_split(name, directory) for name in SPLITS}
    return {
        name: [(image.tobytes(), int(label)) for image, label in zip(*arrays, strict=True)]
        for name, arrays in opened.items()
    }


# -- splits --


def test_splits_are_disjoint_complete_and_stratified(tmp_path, make_raw, run):
    images = make_raw(tmp_path / "raw", LABELS)["train"]
    run(validation_fraction=0.25, test_fraction=0.2)
    found = splits(tmp_path / "processed")
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
    monkeypatch.setattr(dataset, "ROWS", 7)
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
    images = make_raw(tmp_path / "raw", LABELS, test_labels)["t10k"]
    summary = run(test_fraction=0.9)
    found, labels = open_split("test", tmp_path / "processed")
    np.testing.assert_array_equal(found[..., 0], images)
    assert labels.tolist() == test_labels
    assert (summary["train"]["images"], summary["validation"]["images"]) == (40, 40)


# -- the summary --


def test_the_summary_is_what_numpy_says_of_the_arrays(tmp_path, make_raw, run):
    make_raw(tmp_path / "raw", LABELS, classes=("ant", "bee", "sea lion"))
    summary = run(validation_fraction=0.25)
    assert json.loads((tmp_path / "processed/summary.json").read_text()) == summary
    assert (summary["dataset"], summary["shape"]) == ("noise", [5, 4, 1])
    assert summary["classes"] == ["ant", "bee", "sea lion"]
    for name in SPLITS:
        images, labels = open_split(name, tmp_path / "processed")
        np.testing.assert_allclose(summary[name]["mean"], images.mean(dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(summary[name]["standard_deviation"], images.std(dtype=np.float64), rtol=1e-12)
        assert summary[name]["per_class"] == np.bincount(labels, minlength=3).tolist()
        assert (summary[name]["images"], summary[name]["duplicates"]) == (len(images), 0)


def test_duplicates_are_counted_within_and_across_splits(tmp_path, make_raw, write_idx, run):
    images = make_raw(tmp_path / "raw", LABELS, [0, 1, 2])["train"]
    images[:4] = images[0]
    images[10:12] = images[10]
    write_idx(tmp_path / "raw/train-images-idx3-ubyte", images)
    assert run(validation_fraction=0)["train"]["duplicates"] == 3 + 1
    summary = run(validation_fraction=0.5)
    found = splits(tmp_path / "processed")
    train, validation = ({image for image, _ in found[name]} for name in ("train", "validation"))
    assert summary["train"]["duplicates"] == 40 - len(train)
    assert summary["validation"]["duplicates"] == 40 - len(validation)
    assert summary["duplicates_across"] == {
        "train-validation": len(train & validation),
        "train-test": 0,
        "validation-test": 0,
    }
    assert train & validation, "this seed parts some of the duplicates"


# -- what is refused --


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("leaked", [1, 3])
def test_a_test_image_among_those_trained_on_is_refused(tmp_path, make_raw, write_idx, run, state, leaked, seed):
    images = make_raw(tmp_path / "raw", LABELS, [0, 1, 2, 0])
    images["t10k"][:leaked] = images["train"][:leaked]  # with whatever label
    write_idx(tmp_path / "raw/t10k-images-idx3-ubyte", images["t10k"])
    with pytest.raises(InputError) as error:
        run(seed)
    assert str(error.value) == (
        f"expected no image of the test set among those trained or tuned on. Received: {leaked}. "
        "Remove the duplicates from the data set: a test on images seen before proves nothing."
    )
    assert state(tmp_path / "processed") == {}


IMAGES = np.random.default_rng(9).integers(0, 256, (80, 5, 4), np.uint8)
# Which file is replaced by which values, and the error.
RAW_FAULTS = {
    "label without a class": (
        "train-labels-idx1-ubyte",
        [3, *LABELS[1:]],
        "{path}: expected labels from 0 to 2. Received: 3.",
    ),
    "class without images": (
        "train-labels-idx1-ubyte",
        [1] * 40 + [2] * 40,
        "{path}: expected images of every class. Received: none of ant.",
    ),
    "classes without images": (
        "train-labels-idx1-ubyte",
        [1] * 80,
        "{path}: expected images of every class. Received: none of ant, cat.",
    ),
    "fewer labels than images": (
        "train-labels-idx1-ubyte",
        LABELS[:-1],
        "{path}: expected as many labels as images. Received: 79 and 80.",
    ),
    "fewer images than labels": (
        "train-images-idx3-ubyte",
        IMAGES[:-1],
        "{labels}: expected as many labels as images. Received: 80 and 79.",
    ),
    "no labels": ("train-labels-idx1-ubyte", [], "{path}: expected as many labels as images. Received: 0 and 80."),
    "images for labels": (
        "train-labels-idx1-ubyte",
        IMAGES,
        "{path}: expected labels in one dimension, images in three. Received: (80, 5, 4) and (80, 5, 4).",
    ),
    "labels for images": (
        "train-images-idx3-ubyte",
        LABELS,
        "{labels}: expected labels in one dimension, images in three. Received: (80,) and (80,).",
    ),
    "turned images": (
        "train-images-idx3-ubyte",
        IMAGES.transpose(0, 2, 1),
        "{labels}: expected images of [5, 4] pixels. Received: [4, 5].",
    ),
    "test label without a class": (
        "t10k-labels-idx1-ubyte",
        [0, 1, 2, 255],
        "{path}: expected labels from 0 to 2. Received: 255.",
    ),
    "fewer test labels": (
        "t10k-labels-idx1-ubyte",
        [0, 1, 2],
        "{path}: expected as many labels as images. Received: 3 and 4.",
    ),
    "small test images": (
        "t10k-images-idx3-ubyte",
        IMAGES[:4, 1:, 1:],
        "{labels}: expected images of [5, 4] pixels. Received: [4, 3].",
    ),
}


@pytest.fixture
def before(tmp_path, make_raw, run, state):
    """A directory of raw files that are right, and what an earlier run made of them."""
    make_raw(tmp_path / "raw", LABELS, [0, 1, 2, 0])
    run()
    return state(tmp_path / "processed")


@pytest.mark.parametrize(("name", "values", "error"), RAW_FAULTS.values(), ids=RAW_FAULTS)
def test_wrong_raw_files_are_refused_and_the_last_result_stays(
    tmp_path, write_idx, run, state, before, name, values, error
):
    path = tmp_path / "raw" / name
    write_idx(path, values)
    with pytest.raises(InputError) as caught:
        run()
    labels = path.with_name(f"{name.split('-')[0]}-labels-idx1-ubyte")
    assert str(caught.value) == error.format(path=path, labels=labels)
    assert state(tmp_path / "processed") == before


def test_a_truncated_raw_file_is_refused_and_the_last_result_stays(tmp_path, run, state, before):
    path = tmp_path / "raw/t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == f"{path}: expected 96 bytes for shape (4, 5, 4). Received: 95 bytes."
    assert state(tmp_path / "processed") == before


def test_an_empty_data_set_is_refused(tmp_path, make_raw, run, state):
    make_raw(tmp_path / "raw", [])
    with pytest.raises(InputError) as caught:
        run()
    path = tmp_path / "raw/train-labels-idx1-ubyte"
    assert str(caught.value) == f"{path}: expected images. Received: none."
    assert state(tmp_path / "processed") == {}


FRACTION_FAULTS = [
    (
        LABELS,
        {"test_fraction": 0.01},
        "preprocess.test_fraction: 0.01 of 80 images: "
        "The test_size = 1 should be greater or equal to the number of classes = 3",
    ),
    (
        LABELS,
        {"validation_fraction": 0.99},
        "preprocess.validation_fraction: 0.99 of 40 images: With n_samples=40, test_size=0.99 and train_size=None, "
        "the resulting train set will be empty. Adjust any of the aforementioned parameters.",
    ),
    (
        [0, 1, 1, 1, 2, 2, 2],
        {},
        "preprocess.test_fraction: 0.5 of 7 images: The least populated classes in y have only 1 member, "
        "which is too few. The minimum number of groups for any class cannot be less than 2. "
        "Classes with too few members are: [0]",
    ),
]


@pytest.mark.parametrize(("labels", "fractions", "error"), FRACTION_FAULTS, ids=["test", "validation", "lonely class"])
def test_a_fraction_that_leaves_a_class_out_is_refused(tmp_path, make_raw, run, state, labels, fractions, error):
    make_raw(tmp_path / "raw", labels)
    with pytest.raises(InputError) as caught:
        run(**fractions)
    assert str(caught.value) == error
    assert state(tmp_path / "processed") == {}


@pytest.mark.parametrize("name", ["t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
def test_half_a_test_set_is_no_reason_to_test_on_other_images(tmp_path, run, state, before, name):
    (tmp_path / "raw" / name).unlink()
    with pytest.raises((InputError, FileNotFoundError)):
        run()
    assert state(tmp_path / "processed") == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "noise"}'])
def test_a_damaged_description_is_refused(tmp_path, run, state, before, content):
    (tmp_path / "raw/dataset.json").write_text(content)
    with pytest.raises(InputError, match="dataset.json"):
        run()
    assert state(tmp_path / "processed") == before


def test_colour_images_are_not_taken_from_grey_files(tmp_path, run, state, before):
    about = tmp_path / "raw/dataset.json"
    about.write_text(about.read_text().replace("[5, 4, 1]", "[5, 4, 3]"))
    with pytest.raises(InputError):
        run()
    assert state(tmp_path / "processed") == before


def test_what_a_killed_run_left_is_cleared_away(tmp_path, run, state, before):
    (tmp_path / "processed/train_images.npy.tmp").write_bytes(b"half an arr")
    (tmp_path / "processed/summary.json.tmp").write_bytes(b"{")
    run()
    assert state(tmp_path / "processed") == before


@pytest.mark.parametrize("missing", ["dataset.json", "train-labels-idx1-ubyte", "train-images-idx3-ubyte"])
def test_a_missing_raw_file_is_told_with_the_way_on(tmp_path, make_raw, params_text, missing):
    make_raw(tmp_path / "data/raw", LABELS)
    (tmp_path / "data/raw" / missing).unlink()
    (tmp_path / "params.yaml").write_text(params_text)
    shutil.copy(ROOT / "data/sources.yaml", tmp_path / "data")
    done = fresh_python("import runpy; runpy.run_module('stages.preprocess', run_name='__main__')", cwd=tmp_path)
    message = (
        f"preprocess: No such file or directory: 'data/raw/{missing}'. "
        "To go on: run `dvc repro`, which makes it, then run again.\n"
    )
    assert (done.returncode, done.stderr) == (1, message)
    assert not (tmp_path / "data/processed").exists()
