"""What a kill can leave of DVC's own files is mended; what is whole is left alone."""

import json
import subprocess

import pytest

from checks.mend import mend

LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: python\n    outs:\n    - path: model\n      md5: abc\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {}, "read": {}}))
    return tmp_path


def commit(project):
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "--quiet"], ["add", "dvc.lock"], ["commit", "--quiet", "--message=lock"]):
        subprocess.run([*git, *command], cwd=project, check=True)


def test_whole_files_are_left_alone(project, state):
    before = state(project)
    assert mend(project) == []
    assert state(project) == before


@pytest.mark.parametrize("content", ["", '{"write": {'])
def test_a_half_written_note_of_dvc_is_removed(project, content):
    note = project / ".dvc/tmp/rwlock"
    note.write_text(content)
    assert mend(project) == [f"{note} was half-written: removed"]
    assert not note.exists()


@pytest.mark.parametrize("content", ["", LOCK[:20], LOCK[:50], LOCK.replace("stages:", "stages: [")])
def test_a_half_written_lock_is_taken_from_git(project, content):
    commit(project)
    (project / "dvc.lock").write_text(content)
    (line,) = mend(project)
    assert "taken from git's HEAD" in line
    assert (project / "dvc.lock").read_text() == LOCK


def test_without_a_commit_a_half_written_lock_is_removed(project):
    (project / "dvc.lock").write_text("")
    (line,) = mend(project)
    assert "removed" in line
    assert not (project / "dvc.lock").exists()
