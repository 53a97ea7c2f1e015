"""`make noise`: seeds are run in a clone and resumed after a kill, and the work tree stays as it is."""

import csv
import io
import json
import os
import signal
import statistics
import subprocess
import time

import pytest

from checks import noise
from cnn.settings import params
from tests.test_pipeline import copy_of_the_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project that has never run, and whose last epochs are two; `TMPDIR` is a folder of its own."""
    folder = tmp_path_factory.mktemp("noise")
    project = copy_of_the_project(folder)
    project.temporary = folder / "temporary"
    project.temporary.mkdir()
    project.environment["TMPDIR"] = str(project.temporary)
    project.set(train={"epochs": 2, "seed": 2**32 - 1})
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=project")
    return project


def measure(project, *arguments, status=0):
    return project.run("python", "-m", "checks.noise", *arguments, status=status)


def rows(project):
    return list(csv.DictReader(io.StringIO(project.read("metrics/noise.csv").decode())))


def processes_in(folder):
    """The processes whose working folder lies in a folder."""
    found = []
    for place in os.listdir("/proc"):
        try:
            if place.isdigit() and os.readlink(f"/proc/{place}/cwd").startswith(str(folder)):
                found.append(int(place))
        except OSError:
            pass  # it has ended, or is another user's
    return found


@pytest.mark.slow
def test_a_stopped_measurement_leaves_nothing_and_goes_on_from_the_run_cache(project):
    command = ["python", "-m", "checks.noise", "--seeds", "3"]
    running = subprocess.Popen(
        command, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = running.stdout.readline()
    assert first.startswith("seed 1 of 3: train.seed 4294967295  validation accuracy ")
    time.sleep(1.5)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, "\nnoise: stopped by SIGINT. To go on: run it again.\n")
    assert processes_in(project.temporary) == []
    assert list(project.temporary.iterdir()) == []
    assert project.run("git", "status", "--porcelain") == ""

    lines = measure(project, "--seeds=3").splitlines()
    assert [line.rpartition("  ")[2] for line in lines if line.startswith("seed 1")] == ["from the run cache"]
    assert [line.split()[4:6] for line in lines if line.startswith("seed")] == [
        ["train.seed", str(seed)] for seed in (2**32 - 1, 0, 1)
    ]
    assert lines[-1] == "written: metrics/noise.csv"


@pytest.mark.slow
def test_the_table_is_of_the_runs_and_the_work_tree_stays_as_it_is(project):
    lines = measure(project, "--seeds=3").splitlines()
    assert [line.rpartition("  ")[2] for line in lines[:3]] == ["from the run cache"] * 3
    assert project.run("git", "status", "--porcelain", "--untracked-files=all") == "?? metrics/noise.csv\n"
    values = [float(line.split()[8]) for line in lines[:3]]
    table = {row["metric"]: row for row in rows(project)}
    accuracy = table["validation.accuracy"]
    assert float(accuracy["mean"]) == pytest.approx(statistics.fmean(values), abs=1e-4)
    assert float(accuracy["standard_deviation"]) == pytest.approx(statistics.stdev(values), abs=1e-4)
    assert [float(accuracy[name]) for name in ("low", "high")] == pytest.approx([min(values), max(values)], abs=1e-4)
    assert (accuracy["seeds"], accuracy["varied"]) == ("3", "train.seed")
    assert float(table["test.loss"]["standard_deviation"]) > 0

    project.repro()
    metrics = json.loads(project.read("metrics/metrics.json"))
    assert f"{metrics['validation']['accuracy']:.4f}" == lines[0].split()[8], "the first seed is the project's own"


@pytest.mark.slow
def test_a_change_that_is_not_committed_counts_and_splits_change_the_images(project):
    before = rows(project)[0]
    project.set(evaluate={"batch_size": 7})
    lines = measure(project, "--seeds=2", "--splits").splitlines()
    assert lines[1].startswith("seed 2 of 2: train.seed 0, preprocess.seed 43  validation accuracy ")
    after = rows(project)[0]
    assert after["varied"] == "train.seed, preprocess.seed"
    assert after["measured_for"] != before["measured_for"]
    project.run("git", "checkout", "params.yaml")


@pytest.mark.slow
def test_a_run_that_fails_is_shown_and_the_old_table_stays(project):
    before = project.read("metrics/noise.csv")
    project.set(train={"batch_size": 1000})
    said = measure(project, "--seeds=2", status=1)
    assert "train.batch_size: expected at most the 96 training images of an epoch. Received: 1000." in said
    assert said.endswith("the run with train.seed 4294967295 failed, see above. Finished runs stay in DVC's cache.\n")
    assert project.read("metrics/noise.csv") == before
    project.set(train={"batch_size": 0})
    assert measure(project, "--seeds=2", status=2).startswith("noise: params.yaml is not valid (1 fault):")
    project.run("git", "checkout", "params.yaml")


@pytest.mark.parametrize("seeds", ["1", "0", "-3", "many", "2.5", "", "1" * 5000])
def test_a_number_of_seeds_that_is_none_is_one_line(monkeypatch, capsys, seeds):
    monkeypatch.setattr("sys.argv", ["noise", f"--seeds={seeds}"])
    assert noise.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"noise: SEEDS: expected a whole number from 2 to 10000. Received: {seeds!r}. Try: make noise SEEDS=5"
    )


def test_the_seeds_end_where_the_schema_says(params_text, tmp_path):
    path = tmp_path / "params.yaml"
    for seed, valid in ((noise.END_OF_SEEDS - 1, True), (noise.END_OF_SEEDS, False)):
        path.write_text(params_text.replace("seed: 42", f"seed: {seed}"))
        if valid:
            assert params.load_params(path).train.seed == params.load_params(path).preprocess.seed == seed
        else:
            with pytest.raises(ValueError, match=r"train\.seed: expected less than 4294967296"):
                params.load_params(path)
