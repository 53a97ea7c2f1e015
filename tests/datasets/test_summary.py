"""Tests of cnn/datasets/summary.py."""

import json

import numpy as np
import pytest

from cnn.datasets.summary import Tally
from cnn.storage.arrays import SPLITS, open_split
from tests.datasets.conftest import LABELS


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
    write_idx(tmp_path / "raw/train-images", images)
    assert run(validation_fraction=0)["train"]["duplicates"] == 3 + 1
    summary = run(validation_fraction=0.5)
    train, validation = (
        {image.tobytes() for image in open_split(name, tmp_path / "processed")[0]} for name in ("train", "validation")
    )
    counted = {name: (summary[name]["images"], summary[name]["duplicates"]) for name in ("train", "validation")}
    assert sum(images for images, _ in counted.values()) == 80
    assert counted["train"][0] - counted["train"][1] == len(train)
    assert counted["validation"][0] - counted["validation"][1] == len(validation)
    assert summary["duplicates_across"] == {
        "train-validation": 0,
        "train-test": 0,
        "validation-test": 0,
    }
    assert not train & validation, "equal images are in one split"


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_tally_is_the_same_however_the_images_arrive(pieces):
    images = np.random.default_rng(3).integers(0, 256, (50, 5, 4), np.uint8)
    labels = np.arange(50, dtype=np.uint8) % 3
    tally = Tally(4)
    for rows in np.array_split(np.arange(50), pieces):
        tally.add(images[rows], labels[rows])
    summary = tally.summary()
    assert (summary["images"], summary["per_class"]) == (50, [17, 17, 16, 0])
    assert (summary["mean"], summary["standard_deviation"]) == pytest.approx((images.mean(), images.std()), rel=1e-12)


def test_images_of_one_value_have_no_deviation():
    tally = Tally(2)
    images, labels = np.full((30, 28, 28), 255, np.uint8), np.zeros(30, np.uint8)
    tally.add(images, labels)
    assert tally.summary() == {
        "images": 30,
        "per_class": [30, 0],
        "mean": 255.0,
        "standard_deviation": 0.0,
    }
