"""`make run`: it calls DVC where something has changed, and only there."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.test_pipeline import copy_of_the_project

pytestmark = pytest.mark.slow

OUTPUTS = ("data/model/model.keras", "metrics/history.csv", "metrics/metrics.json")
UNCHANGED = "Nothing has changed since the last run."
DVC = re.compile(r"Running stage|didn't change|up to date|dvc push")  # what `dvc repro` says


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project as it is in the work tree, with an environment that is complete; it has never run."""
    project = copy_of_the_project(tmp_path_factory.mktemp("make"))
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # those of the make that may run these tests
        project.environment.pop(name, None)
    # The environment that runs the tests, but for what `make run` notes there.
    environment = project.folder / ".venv"
    environment.mkdir()
    for name in ("bin", "include", "lib", "lib64", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (environment / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(project.folder / "requirements.txt", environment)
    return project


def stages_run(output):
    return re.findall(r"Running stage '(\w+)'", output)


def summary(output):
    return output[output.index("test accuracy  ") :]


def remove_an_output(project):
    (project.folder / "metrics/history.csv").unlink()


def change_an_output(project):
    (project.folder / "metrics/metrics.json").write_text("{}")


def change_a_parameter(project):
    project.set(train={"epochs": 2})


def change_a_source(project):
    with open(project.folder / "stages/download.py", "a") as file:
        file.write("# a comment\n")


def test_only_what_changed_is_run_again(project):
    """One test, because each step begins where the last one ended."""
    first = project.run("make", "run")
    assert stages_run(first) == ["download", "preprocess", "train", "evaluate"]
    assert UNCHANGED not in first

    second = project.run("make", "run")
    assert UNCHANGED in second
    assert not DVC.search(second)
    assert summary(second) == summary(first)

    for change, expected in (
        (remove_an_output, set()),  # the run cache has both of these
        (change_an_output, set()),
        (change_a_parameter, {"train", "evaluate"}),
        (change_a_source, {"download"}),
    ):
        before = [project.read(path) for path in OUTPUTS]
        change(project)
        output = project.run("make", "run")
        assert UNCHANGED not in output, change
        assert expected <= set(stages_run(output)), change
        after = [project.read(path) for path in OUTPUTS]
        assert (after == before) == (change is not change_a_parameter), change
        again = project.run("make", "run")
        assert UNCHANGED in again, change
        assert not DVC.search(again), change
        assert summary(again) == summary(output), change

    project.set(train={"batch_size": 1000})
    for _ in range(2):
        failed = project.run("make", "run", status=2)
        assert "train.batch_size: expected at most the 96 training images. Received: 1000." in failed
        assert UNCHANGED not in failed
        assert "test accuracy" not in failed, "nothing is summed up that was not reached"
