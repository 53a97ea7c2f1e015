"""`make verify`: equal results pass; each kind of tampering is caught, and named."""

import json

import numpy as np
import pytest

from checks import differences, installed, verify, verify_report
from checks.clone import environment, md5
from cnn.storage.paths import MODEL
from tests import tiny

BEFORE = {("train", "model.keras"): ["a1"], ("evaluate", "metrics.json"): ["b2", "b2"]}


def test_equal_hashes_are_equal():
    assert all(row["equal"] for row in verify.compare(BEFORE, dict(BEFORE)))


@pytest.mark.parametrize(
    ("output", "committed", "shown"),
    [
        (("train", "model.keras"), ["ff"], "ff"),
        # Only the file in git is changed, or only dvc.lock: the wrong one of the two is shown.
        (("evaluate", "metrics.json"), ["b2", "ff"], "ff"),
        (("evaluate", "metrics.json"), ["ff", "b2"], "ff"),
    ],
)
def test_what_was_tampered_with_is_named(output, committed, shown):
    wrong = [row for row in verify.compare(BEFORE | {output: committed}, BEFORE) if not row["equal"]]
    assert [(row["stage"], row["output"], row["committed"]) for row in wrong] == [(*output, shown)]


def test_an_output_that_is_missing_or_new_differs():
    less = {("train", "model.keras"): ["a1"]}
    for before, after in ((BEFORE, less), (less, BEFORE)):
        wrong = [row["output"] for row in verify.compare(before, after) if not row["equal"]]
        assert wrong == ["metrics.json"]


def test_the_largest_difference_of_a_metric():
    one, other = {"test": {"accuracy": 0.95, "n": 10}}, {"test": {"accuracy": 0.9525, "n": 10}}
    assert differences.metric_difference(json.dumps(one), json.dumps(other)) == pytest.approx(0.0025)
    assert differences.metric_difference(json.dumps(one), json.dumps({"test": {"n": 10}})) == float("inf")


def test_the_largest_difference_of_a_weight(tmp_path, monkeypatch):
    import keras

    from cnn.network import saved

    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Softmax()])
    monkeypatch.chdir(tmp_path)
    saved.save_model(network, tmp_path / MODEL)
    committed = md5(tmp_path / MODEL)
    network.layers[0].bias.assign(np.array([0, 0.25, 0], np.float32))
    saved.save_model(network, tmp_path / "other.keras")
    assert differences.weight_difference(committed, tmp_path / "other.keras") == 0.25
    assert differences.weight_difference("00", tmp_path / "other.keras") is None, "the committed model is not here"


def test_the_fingerprint_names_cpu_threads_and_versions():
    machine = verify_report.fingerprint()
    assert machine["tensorflow"].startswith("2.")
    assert machine["threads"] >= 1
    assert machine["cpu"]


def test_a_revision_that_is_none_could_not_run(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["verify", "no-such-revision"])
    assert verify.main() == 2
    assert "no-such-revision" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_INDEX_FILE", "DVC_ROOT", "DVC_EXP_NAME", "PYTHONPATH"])
def test_variables_that_bend_git_dvc_or_python_are_dropped(monkeypatch, name):
    monkeypatch.setenv(name, "/elsewhere")
    assert name not in environment()


def test_a_damaged_metrics_file_differs_without_end():
    assert differences.metric_difference("", "{}") == float("inf")
    assert differences.metric_difference('{"a": 1}', '{"a": "one"}') == float("inf")


def test_what_is_installed_is_that_of_the_lock():
    assert installed.differences(tiny.ROOT / "requirements.txt") == []


def test_another_version_and_a_missing_package_are_named(tmp_path):
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        "numpy==1.0.0 \\\n    --hash=sha256:00\n    # via keras\nno-such-package==2.0 \\\n    --hash=sha256:00\n"
        "another==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    numpy, missing = installed.differences(lock)
    assert numpy.startswith("numpy: expected ==1.0.0, as in requirements.txt. Received: ")
    assert missing == "no-such-package: expected ==2.0, as in requirements.txt. Received: not installed."


def test_what_is_missing_on_both_sides_is_not_equal():
    """As a link to nothing in git, which has no content."""
    both = {("(no stage)", "metrics/headline"): ["missing"]}
    assert [row["equal"] for row in verify.compare(both, both)] == [False]
