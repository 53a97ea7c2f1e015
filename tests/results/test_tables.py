"""What evaluate writes as text: few numbers to compare, all of them with their intervals, a row for each image."""

import csv
import json

import numpy as np
import pytest

from cnn.results import metrics, tables
from cnn.storage import paths

SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def measured(*splits):
    """What `metrics.measure` gives for noise, different in each split."""
    result = {}
    for seed, split in enumerate(splits):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 4, 40 + seed, np.uint8)
        probabilities = random.dirichlet(np.ones(4), len(labels)) + 0.4 * np.eye(4)[labels]
        result[split] = metrics.measure((probabilities / 1.4).astype(np.float32), labels)
    return result


def rows():
    with open(paths.DETAILS, newline="") as file:
        return list(csv.DictReader(file))


def test_headline_has_at_most_ten_numbers_and_validation_first():
    results = measured(*SPLITS)
    tables.write_headline(results)
    headline = json.loads(paths.METRICS.read_text())
    assert list(headline) == ["validation", "train", "test"]
    numbers = [value for values in headline.values() for value in values.values()]
    assert 0 < len(numbers) <= 10
    assert all(isinstance(number, float) for number in numbers)
    for split, values in headline.items():
        assert {"accuracy", "loss"} <= set(values)
        assert values.items() <= results[split].items()
    assert len({values["loss"] for values in headline.values()}) == 3, "each has its own"
    assert paths.METRICS.read_text().endswith("}\n")


def test_without_validation_images_it_has_no_section():
    results = measured("train", "test")
    tables.write_headline(results)
    tables.write_details(results, 5)
    assert list(json.loads(paths.METRICS.read_text())) == ["train", "test"]
    assert {row["split"] for row in rows()} == {"model", "train", "test"}


def test_details_have_every_metric_of_every_split_its_interval_and_its_images():
    results = measured(*SPLITS)
    tables.write_details(results, 93_322)
    first, *others = rows()
    assert list(first) == ["split", "metric", "value", "low", "high", "n"]
    assert list(first.values()) == ["model", "parameters", "93322", "", "", ""]
    names = ("accuracy", "loss", "macro_f1", "worst_class_recall", "calibration_error")
    assert [(row["split"], row["metric"]) for row in others] == [
        (split, name) for split in ("validation", "train", "test") for name in names
    ]
    for row in others:
        values = results[row["split"]]
        assert float(row["value"]) == values[row["metric"]]
        assert row["n"] == str(values["n"])
        limits = [row["low"], row["high"]]
        if row["metric"] == "accuracy":
            assert list(map(float, limits)) == [values["accuracy_low"], values["accuracy_high"]]
        else:
            assert limits == ["", ""]


def test_a_headline_that_is_no_number_is_never_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        tables.write_headline({"train": {"accuracy": 0.5, "loss": float("nan")}})
    assert not paths.METRICS.exists()


def test_predictions_have_a_row_an_image():
    probabilities = np.array([[0.1, 0.9, 0], [0.5, 0.25, 0.25], [0, 0, 1]], np.float32)
    returned = tables.write_predictions(np.array([1, 2, 2], np.uint8), probabilities)
    assert paths.PREDICTIONS.read_text() == (
        "index,actual,predicted,confidence\n0,1,1,0.900000\n1,2,0,0.500000\n2,2,2,1.000000\n"
    )
    assert returned.to_dict("list") == {
        "index": [0, 1, 2],
        "actual": [1, 2, 2],
        "predicted": [1, 0, 2],
        "confidence": [float(np.float32(0.9)), 0.5, 1],
    }
