"""`make run`: from a clone to metrics; it checks the parameters first, and leaves the rest to DVC."""

import re
import sys
from pathlib import Path

import pytest

from tests.test_pipeline import copy_of_the_project

pytestmark = pytest.mark.slow


def project_with_environment(folder):
    """A copy of the project as it is in the work tree, with an environment that is complete; it has never run."""
    project = copy_of_the_project(folder)
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # those of the make that may run these tests
        project.environment.pop(name, None)
    environment = project.folder / ".venv"
    environment.mkdir()
    for name in ("bin", "include", "lib", "lib64", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (environment / name).symlink_to(Path(sys.prefix) / name)
    locks = [(project.folder / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")]
    (environment / "made-from").write_text(f"{''.join(locks)}{project.folder}\n")  # what a complete one notes of itself
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return project_with_environment(tmp_path_factory.mktemp("make"))


def stages_run(output):
    return re.findall(r"Running stage '(\w+)'", output)


def summary(output):
    return output[output.index("  accuracy  ") :]


def test_the_second_run_runs_nothing_and_says_the_same(project):
    first = project.run("make", "run")
    assert stages_run(first) == ["download", "preprocess", "train", "evaluate"]
    second = project.run("make", "run")
    assert stages_run(second) == []
    assert summary(second) == summary(first)
    assert summary(first).index("Choose by validation") < summary(first).index("params.yaml")


def test_faults_are_reported_before_anything_is_deleted_also_where_params_is_a_link(project):
    outputs = ("data/model/model.keras", "metrics/history.csv", "metrics/metrics.json")
    before = [project.read(path) for path in outputs]
    params = project.folder / "params.yaml"
    elsewhere = params.with_name("elsewhere.yaml")
    params.rename(elsewhere)
    params.symlink_to(elsewhere)
    good = elsewhere.read_text()
    elsewhere.write_text(good.replace("epochs: 1", "epochs: 0"))
    failed = project.run("make", "run", status=2)
    assert "train.epochs: expected greater than 0. Received: 0." in failed
    assert "Running stage" not in failed
    assert [project.read(path) for path in outputs] == before
    elsewhere.write_text(good.replace("epochs: 1", "epochs: 2"))
    assert stages_run(project.run("make", "run")) == ["train", "evaluate"]


def test_outputs_that_vanished_are_made_again(project):
    for path in ("metrics/history.csv", "data/model/model.keras"):
        before = project.read(path)
        (project.folder / path).unlink()
        project.run("make", "run")
        assert project.read(path) == before


def test_faults_of_the_data_end_it(project):
    project.set(train={"batch_size": 1000})
    failed = project.run("make", "run", status=2)
    assert "train.batch_size: expected at most the 96 training images of an epoch. Received: 1000." in failed
