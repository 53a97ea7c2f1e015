"""The seed's noise: what noise.csv says, which parameters it holds for, and how large a difference it explains."""

import math

import numpy as np
import pytest
import scipy.stats

from cnn.comparison import noise
from cnn.comparison.flat import flat, locked_params
from cnn.process.errors import InputError

PARAMS = {"train.seed": 42, "train.epochs": 5, "model.dropout": 0.0, "preprocess.seed": 7}
RUNS = [{"validation.accuracy": value, "test.loss": 0.25} for value in (0.97, 0.98, 0.96)]


@pytest.fixture
def text():
    return noise.table(RUNS, ("train.seed",), PARAMS)


def test_the_table_has_mean_deviation_and_range_over_the_seeds(text):
    header, accuracy, loss = text.splitlines()
    assert header == "metric,mean,standard_deviation,low,high,seeds,varied,measured_for"
    digest = noise.fingerprint(PARAMS, ["train.seed"])
    assert accuracy == f"validation.accuracy,0.97,0.01,0.96,0.98,3,train.seed,{digest}"
    assert loss == f"test.loss,0.25,0,0.25,0.25,3,train.seed,{digest}"


def test_what_is_written_is_read():
    table = noise.table(RUNS, ("train.seed", "preprocess.seed"), PARAMS)
    read = noise.read(table)
    assert read.standard_deviation == {"validation.accuracy": 0.01, "test.loss": 0.0}
    assert (read.seeds, read.varied) == (3, ("train.seed", "preprocess.seed"))


@pytest.mark.parametrize(
    ("change", "current"),
    [
        ({}, True),
        ({"train.seed": 43}, True),
        ({"preprocess.seed": 8}, False),
        ({"train.epochs": 6}, False),
        ({"model.dense_units": 64}, False),
    ],
)
def test_it_holds_for_its_parameters_whatever_the_seed_that_varied(text, change, current):
    assert noise.read(text).is_of(PARAMS | change) is current


def test_the_hash_depends_on_values_not_on_their_order():
    digest = noise.fingerprint(PARAMS, [])
    assert noise.fingerprint(dict(reversed(PARAMS.items())), []) == digest
    assert len(digest) == 16
    assert int(digest, 16) > 0


def test_the_limit_is_students_t_times_the_deviation_of_a_difference(text):
    expected = scipy.stats.t.ppf(0.975, 2) * math.sqrt(2) * 0.01
    assert noise.read(text).limit("validation.accuracy") == pytest.approx(expected, rel=1e-12)
    assert noise.read(text).limit("test.loss") == 0


def test_of_100_pairs_of_new_runs_95_differ_by_less_than_the_limit():
    random = np.random.default_rng(0)
    within = []
    for _ in range(4000):
        measured = noise.Noise({"loss": float(np.std(random.normal(size=5), ddof=1))}, 5, ("train.seed",), "")
        one, other = random.normal(size=2)
        within.append(abs(one - other) <= measured.limit("loss"))
    assert np.mean(within) == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 4000))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.splitlines()[0] + "\n",
        lambda text: text.replace("0.01,", "much,"),
        lambda text: text.replace("0.01,", "nan,"),
        lambda text: text.replace(",3,", ",1,", 1).replace(",3,", ",1,"),
        lambda text: text.replace(",3,", ",4,", 1),
        lambda text: text.replace("standard_deviation", "deviation"),
        lambda text: text[:-30],
    ],
)
def test_a_damaged_table_is_one_line(text, damage):
    with pytest.raises(InputError, match=r"^metrics/noise\.csv: expected the columns .*`make noise` writes it anew\.$"):
        noise.read(damage(text))


def test_nested_keys_become_dotted_names():
    assert flat({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}


def test_the_parameters_of_all_stages_are_those_of_the_lock():
    stages = {
        "download": {"cmd": "true"},
        "train": {"params": {"params.yaml": {"train": {"seed": 1, "determinism": "machine"}}}},
        "evaluate": {"params": {"params.yaml": {"train.determinism": "machine"}}},
    }
    assert locked_params(stages) == {"train.seed": 1, "train.determinism": "machine"}
