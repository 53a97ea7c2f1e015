"""checks.committed: dvc.lock holds together, metrics/ is what it says, and git has both."""

import subprocess

import pytest

from checks import committed, revision
from tests import tiny


def locked():
    return revision.stages(committed.LOCK)


def test_the_committed_result_holds_together(project):
    assert committed.lock_faults() == []
    assert committed.contradictions(locked()) == []
    assert committed.other_metrics(locked()) == []
    assert committed.not_in_git(locked()) == []


def test_git_never_changes_the_bytes_of_a_file():
    """With core.autocrlf, without this, every stage of a fresh clone would be stale."""
    files = subprocess.run(["git", "ls-files"], cwd=tiny.ROOT, capture_output=True, text=True, check=True).stdout
    asked = subprocess.run(
        ["git", "check-attr", "--stdin", "text"],
        cwd=tiny.ROOT, input=files, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {line.rpartition(": ")[2] for line in asked.stdout.splitlines()} == {"unset"}


def test_a_metric_that_was_edited_is_named(project):
    path = project / "metrics/metrics.json"
    path.write_text(path.read_text().replace("0.9", "0.99", 1))
    assert committed.other_metrics(locked()) == [
        "metrics/metrics.json: not what dvc.lock says was made. To go on: `dvc repro` makes it again."
    ]


def test_a_table_that_is_gone_is_named(project):
    (project / "metrics/details.csv").unlink()
    (line,) = committed.other_metrics(locked())
    assert line.startswith("metrics/details.csv: not what dvc.lock says was made.")


def find(entries, path):
    return next(entry for entry in entries if entry["path"] == path)


@pytest.mark.parametrize(("stage", "kind"), [("train", "outs"), ("evaluate", "deps")])
def test_a_hash_that_was_edited_contradicts_that_of_the_other_stage(change, stage, kind):
    model = "data/model/model.keras"
    change(lambda stages: find(stages[stage][kind], model).update(md5="f" * 32), "dvc.lock")
    (line,) = committed.contradictions(locked())
    assert line.startswith(f"{model} has the md5 ")
    assert "f" * 12 in line
    assert line.endswith(
        "one was edited, or evaluate has not run since. To go on: `dvc repro`, and commit what it makes."
    )


def test_a_hash_of_what_no_stage_makes_contradicts_nothing(change):
    change(lambda stages: find(stages["download"]["deps"], "requirements.txt").update(md5="f" * 32), "dvc.lock")
    assert committed.contradictions(locked()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n",
        lambda text: "",
    ],
)
def test_a_lock_that_dvc_cannot_read_is_named(project, damage):
    lock = project / "dvc.lock"
    lock.write_text(damage(lock.read_text()))
    assert committed.lock_faults() == [
        "it is half-written, or in a merge conflict. To go on: `make run`, which mends it or says how."
    ]


def test_a_lock_that_is_gone_is_named(project):
    (project / "dvc.lock").unlink()
    (line,) = committed.lock_faults()
    assert line.startswith("there is none")


@pytest.mark.parametrize("path", ["metrics/history.csv", "dvc.lock"])
def test_an_output_that_git_never_got_is_named(project, path):
    subprocess.run(["git", "rm", "--quiet", "--cached", path], check=True)
    assert committed.not_in_git(locked()) == [
        f"{path}: git does not have it. To go on: `git add {path}`, and commit it."
    ]


def test_an_output_that_git_ignores_is_named(project):
    subprocess.run(["git", "rm", "--quiet", "--cached", "metrics/history.csv"], check=True)
    (project / ".gitignore").write_text("*.csv\n")
    assert committed.not_in_git(locked()) == [
        "metrics/history.csv: git ignores it. `git check-ignore -v metrics/history.csv` names the rule: take it out, "
        "then add it."
    ], "but not those that git has: a rule does not touch them"


def test_an_output_that_was_added_and_not_committed_is_no_fault(project):
    path = project / "metrics/history.csv"
    path.write_text("changed\n")
    assert committed.not_in_git(locked()) == []
