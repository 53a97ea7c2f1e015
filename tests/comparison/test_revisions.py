"""Results as git holds them: found by every name, whole or refused in one line, doubted where files disagree."""

import os
from contextlib import chdir

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn.comparison import git, revisions, verdict
from cnn.process.errors import InputError
from cnn.storage import paths
from tests.comparison import made_up
from tests.comparison.made_up import commit, result, rows

FILES = ("dvc.lock", "params.yaml", *map(str, (paths.PREDICTIONS, paths.CLASSES, paths.DETAILS)))


def made(right=25, n=30, classes=made_up.CLASSES, name="a"):
    """A result that has so many of its validation images right, and all of its test images."""
    tables = rows(np.arange(n) < right, classes=classes), rows(np.ones(n, bool), split="test", classes=classes)
    return result(name, *tables, classes=classes)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The current folder: a git repository whose only commit holds a result, with 25 of 30 images right."""
    folder = tmp_path / "repository"
    folder.mkdir()
    made_up.git(folder, "init", "--quiet", "--initial-branch=main")
    made_up.write(made(), folder)
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def right(name=None):
    """How many validation images a revision has right."""
    table = revisions.read(name).predictions.query("split == 'validation'")
    return int((table["actual"] == table["predicted"]).sum())


def experiment(folder, name, baseline, right, seed=1):
    """What `dvc exp run` leaves: a commit on its baseline that only a ref of DVC's names."""
    made_up.git(folder, "checkout", "--quiet", "--detach", baseline)
    made_up.write(made(right), folder, {"seed": seed})
    held = commit(folder)
    made_up.git(folder, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", held)
    made_up.git(folder, "checkout", "--quiet", "main")
    return held


def refusal(name=None):
    """The one line with which a revision is refused."""
    with pytest.raises(InputError) as caught:
        revisions.read(name)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_the_work_tree_is_read_as_it_lies_there(repository):
    read = revisions.read()
    made_it = made()
    assert (read.name, read.commit, read.notes, read.classes) == ("work tree", "", [], made_up.CLASSES)
    for column in ("split", "index", "image", "actual", "predicted", "confidence", "likelihood"):
        assert read.predictions[column].tolist() == made_it.predictions[column].tolist()
    assert read.details["test", "accuracy"]["value"] == 1.0
    assert read.details["validation", "loss"]["low"] == pytest.approx(made_it.details["validation", "loss"]["low"])
    assert read.params == {"train.seed": 42, "train.learning_rate": 0.00003}
    assert read.inputs == {"cnn/results": "0" * 32}, "what a stage made is no input"
    assert set(read.outputs) == {"data/model/model.keras", *map(str, revisions.TABLES)}
    made_up.write(made(right=11), repository)
    assert (right(), right("HEAD")) == (11, 25)


def test_a_commit_is_found_by_every_name_that_git_has_for_it(repository):
    first = made_up.git(repository, "rev-parse", "HEAD")
    made_up.git(repository, "branch", "side/branch")
    made_up.git(repository, "tag", "light")
    made_up.git(repository, "tag", "--annotate", "--message=1", "v1.0")
    made_up.write(made(right=12), repository)
    second = commit(repository)
    for name in (first, first[:7], "HEAD~1", "side/branch", "light", "v1.0", "main^"):
        read = revisions.read(name)
        assert (read.commit, right(name)) == (first, 25), name
        assert read.name == (name if first.startswith(name) else f"{name} ({first[:7]})")
    assert revisions.read("main").commit == revisions.read("HEAD").commit == second


def test_an_experiment_is_found_by_its_name_or_hash(repository):
    baseline = made_up.git(repository, "rev-parse", "HEAD")
    held = experiment(repository, "wide-net", baseline, right=14)
    assert git.experiments() == {(baseline, "wide-net"): held}
    assert (right("wide-net"), right(held[:8]), right()) == (14, 14, 25)
    assert revisions.read("wide-net").name == f"wide-net ({held[:7]})"
    assert revisions.read("wide-net").params["train.seed"] == 1


def test_dvcs_other_refs_are_no_experiments(repository):
    head = made_up.git(repository, "rev-parse", "HEAD")
    for ref in ("refs/exps/stash", "refs/exps/exec/EXEC_HEAD", "refs/exps/celery/stash"):
        made_up.git(repository, "update-ref", ref, head)
    assert git.experiments() == {}
    assert "expected a commit, branch, tag or DVC experiment" in refusal("EXEC_HEAD")


def test_of_two_experiments_of_one_name_the_current_commits_is_meant(repository):
    first = made_up.git(repository, "rev-parse", "HEAD")
    experiment(repository, "same", first, right=13)
    second = commit(repository)
    experiment(repository, "same", second, right=14)
    assert right("same") == 14
    third = commit(repository)
    said = refusal("same")
    assert "same: expected one experiment of this name. Received: 2, of other commits: " in said
    assert {first[:7], second[:7]} == set(said.partition("commits: ")[2].partition(".")[0].split(", "))
    made_up.git(repository, "checkout", "--quiet", "--detach", first)
    assert right("same") == 13
    assert third not in said


def test_a_branch_goes_before_an_experiment_of_its_name(repository):
    baseline = made_up.git(repository, "rev-parse", "HEAD")
    experiment(repository, "main", baseline, right=13)
    assert right("main") == 25


@pytest.mark.parametrize(
    "name", ["nothing", "-n", "--all", "--output=x", "-", "", " ", "HEAD~99", "main:dvc.lock", "a..b"]
)
def test_what_names_nothing_is_refused(repository, name):
    before = sorted(repository.iterdir())
    assert f"{name}: expected a commit, branch, tag or DVC experiment. Received: none of that name." in refusal(name)
    assert sorted(repository.iterdir()) == before


def test_an_experiment_whose_name_looks_like_an_option_is_read(repository):
    baseline = made_up.git(repository, "rev-parse", "HEAD")
    experiment(repository, "--all", baseline, right=13)
    assert right("--all") == 13


def test_outside_a_repository_no_name_means_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "Received: none of that name" in refusal("HEAD")
    assert "work tree: expected the file dvc.lock. Received: none." in refusal()


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named_with_the_revision(repository, file):
    (repository / file).unlink()
    held = commit(repository)
    assert f"work tree: expected the file {file}. Received: none. It is made by `make run`" in refusal()
    assert f"main ({held[:7]}): expected the file {file}. Received: none." in refusal("main")


def test_a_project_in_a_folder_of_its_repository_is_read(repository, monkeypatch):
    folder = repository / "vision/digits"
    made_up.write(made(right=9), folder)
    commit(repository)
    monkeypatch.chdir(folder)
    assert (right(), right("HEAD")) == (9, 9)


def test_the_variables_of_a_git_hook_do_not_lead_to_another_repository(repository, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    made_up.git(other, "init", "--quiet")
    for name, value in {"GIT_DIR": other / ".git", "GIT_WORK_TREE": other, "GIT_INDEX_FILE": "index"}.items():
        monkeypatch.setenv(name, str(value))
    assert right("HEAD") == 25
    assert os.environ["GIT_DIR"], "the caller's own stays"


NAMES = ["nan", "0", "a,b", "NA", "", "None", '"', "007", "1e5", " space ", "ünï", "#", "null", "a\nb"]


def test_class_names_are_text_whatever_they_look_like(repository):
    made_up.write(made(classes=NAMES), repository)
    commit(repository)
    assert revisions.read().classes == revisions.read("HEAD").classes == NAMES


def test_a_result_without_its_own_files_is_doubted(repository):
    table = (repository / paths.PREDICTIONS).read_text().splitlines()
    (repository / paths.PREDICTIONS).write_text("\n".join(table[:-1]) + "\n")
    assert revisions.read().notes == [
        "metrics/predictions.csv is not what dvc.lock says was made: run `dvc repro` there."
    ]
    assert revisions.read("HEAD").notes == []


def test_other_parameters_than_those_of_the_run_are_noted(repository):
    text = (repository / "params.yaml").read_text()
    (repository / "params.yaml").write_text(text.replace("42", "43") + "evaluate: {shift: 0}\n")
    assert revisions.read().notes == [
        "params.yaml has another evaluate.shift, train.seed than the run that made these results: "
        "run `dvc repro` there."
    ]
    assert revisions.read().params["train.seed"] == 42, "what the numbers belong to"


@pytest.mark.parametrize("number", ["0.00003", "3e-05", "3.0e-5", "3E-05", "+3e-05"])
def test_a_small_number_is_the_same_however_it_is_written(repository, number):
    """DVC writes 3e-05, which is a number in YAML 1.2 alone."""
    assert "learning_rate: 3e-05" in (repository / "dvc.lock").read_text()
    text = (repository / "params.yaml").read_text()
    assert "0.00003" in text
    (repository / "params.yaml").write_text(text.replace("0.00003", number))
    assert revisions.read().notes == []


def column(file, name, value):
    """A function: set a column of a CSV, in its last row."""

    def damage(text):
        lines = text.splitlines()
        place = lines[0].split(",").index(name)
        cells = lines[-1].split(",")
        cells[place] = value
        return "\n".join([*lines[:-1], ",".join(cells)]) + "\n"

    return file, damage


DAMAGE = {
    "class number": (column("metrics/predictions.csv", "predicted", "3"), "class numbers below 3"),
    "negative class": (column("metrics/predictions.csv", "actual", "-1"), "class numbers below 3"),
    "probability": (
        column("metrics/predictions.csv", "confidence", "1.5"),
        "class numbers below 3 and probabilities in",
    ),
    "no number": (column("metrics/predictions.csv", "likelihood", "nan"), "in metrics/predictions.csv"),
    "infinite": (column("metrics/predictions.csv", "likelihood", "inf"), "and probabilities in"),
    "text": (
        column("metrics/predictions.csv", "actual", "bee"),
        "expected numbers and text in metrics/predictions.csv",
    ),
    "empty": (column("metrics/predictions.csv", "index", ""), "expected numbers and text in metrics/predictions.csv"),
    "huge": (column("metrics/predictions.csv", "index", "9" * 30), "in metrics/predictions.csv"),
    "fraction": (column("metrics/predictions.csv", "actual", "1.5"), "in metrics/predictions.csv"),
    "split": (column("metrics/predictions.csv", "split", "tset"), "expected splits called validation and test"),
    "more cells": (column("metrics/predictions.csv", "likelihood", "0.5,7,8"), "Expected 7 fields"),
    "interval": (column("metrics/details.csv", "low", ""), "Received: none for test calibration_error"),
    "value": (column("metrics/details.csv", "value", "inf"), "Received: none for test calibration_error"),
    "renamed": (("metrics/details.csv", lambda text: text.replace("macro_f1", "f1")), "none for validation macro_f1"),
    "header": (("metrics/classes.csv", lambda text: text.replace("class,", "name,")), "Received: none called class."),
    "quote": (("metrics/classes.csv", lambda text: text + '"'), "expected numbers and text in metrics/classes.csv"),
    "a list": (("params.yaml", lambda text: "- 1\n"), "expected keys with values in params.yaml"),
    "no YAML": (("params.yaml", lambda text: text + "}{\n"), "expected keys with values in params.yaml"),
    "a date that cannot be": (("dvc.lock", lambda text: "a: 2020-99-99\n"), "expected keys with values in dvc.lock"),
    "no stages": (("dvc.lock", lambda text: text.replace("stages:", "steps:")), "expected stages in dvc.lock"),
    "conflict": (("dvc.lock", lambda text: f"<<<<<<< HEAD\n{text}"), "expected keys with values in dvc.lock"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_in_one_line_with_how_to_go_on(repository, damage):
    (file, change), said = DAMAGE[damage]
    text = (repository / file).read_text()
    (repository / file).write_text(change(text))
    assert (repository / file).read_text() != text
    line = refusal()
    assert line.startswith("work tree: expected ")
    assert said in line
    assert "Received: " in line
    assert line.endswith("Run `dvc repro` there and commit the result.")


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """A folder with a result in it, and {file: its content}."""
    folder = tmp_path_factory.mktemp("intact")
    made_up.write(made(), folder)
    with chdir(folder):
        return folder, {file: (folder / file).read_bytes() for file in FILES}


rubbish = st.binary(max_size=30) | st.text(alphabet='0,."\n:- {}[]&*!|%@é\x00', max_size=30).map(str.encode)


@settings(max_examples=120)
@given(st.sampled_from(FILES), st.floats(0, 1), rubbish | st.none())
def test_whatever_is_cut_off_or_put_in_it_is_refused_in_a_line_or_can_be_compared(intact, file, place, rubbish):
    """rubbish: put in there; None: the file ends there."""
    folder, contents = intact
    content = contents[file]
    here = round(place * len(content))
    (folder / file).write_bytes(content[:here] if rubbish is None else content[:here] + rubbish + content[here:])
    try:
        with chdir(folder):
            read = revisions.read()
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        assert file in str(error) or "metrics/predictions.csv" in str(error)
    else:
        assert verdict.compare(read, read).verdict == verdict.NO_EVIDENCE
        changed = (folder / file).read_bytes() != content
        assert read.notes or not changed or file in ("dvc.lock", "params.yaml"), "doubted, or as it was"
    finally:
        (folder / file).write_bytes(content)


@pytest.mark.parametrize("file", FILES)
def test_a_line_of_rubbish_in_a_commit_is_no_traceback(repository, file):
    with open(repository / file, "ab") as out:
        out.write(b"\xff\x00 rubbish, of course: [\n")
    commit(repository)
    assert refusal("HEAD").startswith("HEAD (")


def test_the_committed_result_of_this_project_is_read(monkeypatch):
    from tests import tiny

    monkeypatch.chdir(tiny.ROOT)
    read = revisions.read()
    assert set(read.predictions["split"]) == {"validation", "test"}
    assert len(yaml.safe_load((tiny.ROOT / "params.yaml").read_text())) == len(
        {key.split(".")[0] for key in read.params}
    )
