"""checks.state: what DVC says of a small pipeline in each state, in words; DVC is the real one."""

import shutil
import subprocess

import pytest
import yaml

from checks import committed, revision, state
from checks.clone import CannotRunError

pytestmark = pytest.mark.slow  # each question to DVC takes a second

PIPELINE = """\
stages:
  first:
    cmd: mkdir data/folder && cat source params.yaml > data/one && cp source data/folder
    deps: [source]
    params: [first]
    outs: [data/one, data/folder]
  second:
    cmd: cat data/one data/folder/source > metrics/two
    deps: [data/one, data/folder]
    params: [second.width]
    metrics: [metrics/two: {cache: false}]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pipeline of two stages that has run once, committed."""
    folder = tmp_path_factory.mktemp("state") / "project"
    for name in ("data", "metrics"):
        (folder / name).mkdir(parents=True)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(
        "first: {rate: {high: 0.5, low: 0.1}, steps: 3}\nsecond: {width: 1, height: 1}\n"
    )
    (folder / "source").write_text("source\n")
    (folder / "data/.gitignore").write_text("/one\n/folder\n")
    for command in (
        ["git", "init", "--quiet"],
        ["dvc", "init", "--quiet"],
        ["dvc", "repro", "--quiet"],
        ["git", "add", "."],
        ["git", "-c", "user.name=a", "-c", "user.email=a", "commit", "--quiet", "--message=a"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    """A copy of it, to be changed."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def said():
    """(stale, missing, edited)"""
    locked = revision.stages(committed.LOCK)
    answer = state.ask()
    return state.stale(answer, locked), state.missing(answer, locked), state.edited(answer, locked)


def test_of_what_has_just_run_nothing_is_said(project):
    assert said() == ([], [], [])


def test_a_parameter_that_changed_is_named_with_both_values_and_others_are_not(project):
    text = "first: {rate: {high: 0.7, low: 0.1}, steps: 3, more: yes}\nsecond: {width: 1, height: 2}\n"
    (project / "params.yaml").write_text(text)
    assert said() == (
        [
            "first has not run since these changed: first.more (not there, now yes), first.rate.high (0.5, now 0.7). "
            "To go on: `dvc repro`, and commit what it makes."
        ],
        [],
        [],
    )


def test_a_file_a_command_and_a_deleted_parameter_are_named(project):
    (project / "source").write_text("other\n")
    (project / "dvc.yaml").write_text(PIPELINE.replace("cat data/one", "cat  data/one"))
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("width: 1, ", ""))
    stale, missing, edited = said()
    assert [line.partition(".  ")[0].partition(". To go on")[0] for line in stale] == [
        "first has not run since these changed: source (modified)",
        "second has not run since these changed: its command, second.width (1, now not there)",
    ]
    assert (missing, edited) == ([], [])


def test_an_output_that_is_gone_is_named(project):
    (project / "data/one").unlink()
    assert said() == (
        [],
        ["data/one, which first makes, is not here. To go on: `dvc repro` takes it from the cache, or makes it again."],
        [],
    )


@pytest.mark.parametrize("cache", [True, False])
def test_a_clone_in_which_nothing_was_made_lacks_nothing(project, cache):
    shutil.rmtree(project / "data/folder")
    (project / "data/one").unlink()
    if not cache:
        shutil.rmtree(project / ".dvc/cache")
    assert said() == ([], [], [])
    assert not state.any_data(revision.stages(committed.LOCK))


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("path", ["data/one", "data/folder"])
def test_an_output_that_was_edited_is_named(project, path, cache):
    place = project / path / "more" if path == "data/folder" else project / path
    place.unlink(missing_ok=True)  # it may be a link into the cache
    place.write_text("edited\n")
    if not cache:
        shutil.rmtree(project / ".dvc/cache")
    assert said() == (
        [],
        [],
        [
            f"{path} is not what dvc.lock says that first made: one was edited, or is of another revision. "
            "To go on: `dvc repro` takes the true one from the cache, or makes it again."
        ],
    )


def test_a_hash_that_was_edited_in_the_lock_is_named(project):
    lock = project / "dvc.lock"
    document = yaml.safe_load(lock.read_text())
    digest = next(out["md5"] for out in document["stages"]["first"]["outs"] if out["path"] == "data/one")
    lock.write_text(lock.read_text().replace(digest, "f" * 32))
    stale, missing, (edited,) = said()
    assert (stale, missing) == ([], [])
    assert edited.startswith("data/one is not what dvc.lock says that first made")


def test_what_is_here_and_not_in_the_cache_is_no_fault(project):
    shutil.rmtree(project / ".dvc/cache")
    assert said() == ([], [], [])


def test_a_stage_that_never_ran_is_left_to_the_check_of_the_revision(project):
    with open(project / "dvc.yaml", "a") as file:
        file.write("  third:\n    cmd: 'true'\n    deps: [source]\n")
    assert said() == ([], [], [])
    assert "third: a stage in dvc.yaml, and not in dvc.lock." in revision.faults(project)


@pytest.mark.parametrize("content", ["stages: [", "stages:\n  first:\n    command: true\n"])
def test_where_dvc_refuses_nothing_is_judged(project, content):
    (project / "dvc.yaml").write_text(content)
    with pytest.raises(CannotRunError, match=r"(?s)^DVC cannot say what has changed: .*dvc\.yaml"):
        state.ask()
