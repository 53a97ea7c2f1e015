"""What evaluate writes as text: few numbers to compare, all of them with their intervals, a row for each image."""

import csv
import json

import numpy as np
import pytest
from sklearn import metrics as reference

from cnn.results import intervals, metrics, tables
from cnn.storage import paths
from tests import tiny

SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def noise(*splits):
    """Answers to noise, different in each split."""
    result = {}
    for seed, split in enumerate(splits):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 4, 40 + seed, np.uint8)
        probabilities = random.dirichlet(np.ones(4), len(labels)) + 0.4 * np.eye(4)[labels]
        result[split] = metrics.answers_of((probabilities / 1.4).astype(np.float32), labels)
    return result


def rows(path=paths.DETAILS):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_headline_has_at_most_ten_numbers_and_validation_first():
    results = noise(*SPLITS)
    tables.write_headline(results)
    headline = json.loads(paths.METRICS.read_text())
    assert list(headline) == ["validation", "train", "test"]
    numbers = [value for values in headline.values() for value in values.values()]
    assert 0 < len(numbers) <= 10
    assert all(isinstance(number, float) for number in numbers)
    for split, values in headline.items():
        assert {"accuracy", "loss"} <= set(values)
        assert values.items() <= metrics.measure(results[split]).items()
    assert len({values["loss"] for values in headline.values()}) == 3, "each has its own"
    assert paths.METRICS.read_text().endswith("}\n")


def test_without_validation_images_it_has_no_section():
    results = noise("train", "test")
    tables.write_headline(results)
    tables.write_details(results, 5)
    assert list(json.loads(paths.METRICS.read_text())) == ["train", "test"]
    assert {row["split"] for row in rows()} == {"model", "train", "test"}


def test_details_have_every_metric_of_every_split_its_interval_and_its_images():
    results = noise(*SPLITS)
    tables.write_details(results, 93_322)
    first, *others = rows()
    assert list(first) == ["split", "metric", "value", "low", "high", "interval", "n"]
    assert list(first.values()) == ["model", "parameters", "93322", "", "", "", ""]
    names = ("accuracy", "loss", "macro_f1", "worst_class_recall", "calibration_error")
    assert [(row["split"], row["metric"]) for row in others] == [
        (split, name) for split in ("validation", "train", "test") for name in names
    ]
    for row in others:
        answers = results[row["split"]]
        assert float(row["value"]) == metrics.measure(answers)[row["metric"]]
        assert row["n"] == str(len(answers.actual))
        low, high, kind = intervals.intervals(answers)[row["metric"]]
        assert (float(row["low"]), float(row["high"]), row["interval"]) == (round(low, 6), round(high, 6), kind)


def test_classes_have_what_scikit_learn_says_of_validation_and_test():
    results = noise(*SPLITS)
    tables.write_classes(results, ["ant", "bee", "cat", "dog, small"])
    written = rows(paths.CLASSES)
    assert list(written[0]) == ["split", "class", "precision", "recall", "f1", "support"]
    assert [(row["split"], row["class"]) for row in written] == [
        (split, name) for split in ("validation", "test") for name in ("ant", "bee", "cat", "dog, small")
    ]
    for split in ("validation", "test"):
        expected = reference.precision_recall_fscore_support(*results[split][:2], labels=range(4))
        of_split = [row for row in written if row["split"] == split]
        for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
            assert [float(row[name]) for row in of_split] == pytest.approx(values, abs=1e-6), name


def test_a_headline_that_is_no_number_is_never_written(monkeypatch):
    monkeypatch.setattr(metrics, "measure", lambda _: dict.fromkeys(tables.HEADLINE["test"], float("nan")))
    with pytest.raises(ValueError, match="not JSON compliant"):
        tables.write_headline(noise("train"))
    assert not paths.METRICS.exists()


def test_predictions_have_a_row_an_image_of_validation_and_test():
    probabilities = np.array([[0.1, 0.9, 0], [0.5, 0.25, 0.25], [0, 1e-9, 1]], np.float32)
    # The hashes are what `b2sum -l 64` says of the bytes 0 to 11, 12 to 23 and 24 to 35.
    images = np.arange(36, dtype=np.uint8).reshape(3, 2, 3, 2)
    answers = {
        "train": metrics.answers_of(probabilities, np.array([0, 0, 0])),
        "validation": metrics.answers_of(probabilities[::-1], np.array([1, 2, 2], np.uint8)),
        "test": metrics.answers_of(probabilities, np.array([1, 2, 2], np.uint8)),
    }
    returned = tables.write_predictions(answers, {"train": images, "validation": images[::-1], "test": images})
    assert paths.PREDICTIONS.read_text().splitlines() == [
        "split,index,image,actual,predicted,confidence,likelihood",
        "validation,0,06860a9aee8ce6e8,1,2,1,1e-09",
        "validation,1,7865720a955de841,2,0,0.5,0.25",
        "validation,2,4e85a98c0a3de55d,2,1,0.9,0",
        "test,0,4e85a98c0a3de55d,1,1,0.9,0.9",
        "test,1,7865720a955de841,2,0,0.5,0.25",
        "test,2,06860a9aee8ce6e8,2,2,1,1",
    ]
    assert list(returned["predicted"]) == [2, 0, 1, 1, 0, 2]


def test_an_image_is_named_by_its_pixels_alone(tmp_path):
    images, _ = tiny.bars(2100)  # more than are read at a time
    np.save(tmp_path / "images.npy", images[::-1])
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert tables.hashes(mapped) == tables.hashes(images)[::-1]
    assert len(set(tables.hashes(images))) == 2100
    changed = images[:1].copy()
    changed[0, 5, 5] ^= 1
    assert tables.hashes(changed) != tables.hashes(images[:1])
