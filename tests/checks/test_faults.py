"""`make faults`: kills of each kind change no bit; a difference is reported; nothing is left alive."""

import os
import signal
import subprocess
import sys
import time

import pytest

from checks import faults
from checks.attempt import Attempt, members
from tests import tiny
from tests.test_pipeline import copy_of_the_project


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A function: a committed DVC project of one stage that runs a shell command and has the output `result`."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.com")

    def make(command):
        folder = tmp_path / "project"
        (folder / ".dvc").mkdir(parents=True)
        (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
        (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
        (folder / "dvc.yaml").write_text(
            f"stages:\n  only:\n    cmd: {command}\n    deps: [input]\n    outs: [result]\n"
        )
        (folder / "input").touch()
        (folder / ".gitignore").write_text("/result\n/began\n")
        for git in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=project"]):
            subprocess.run(["git", *git], cwd=folder, check=True)
        monkeypatch.chdir(folder)
        return folder

    return make


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["faults", *arguments])
    return faults.main()


@pytest.mark.slow
def test_the_pipeline_ends_with_the_same_bits_after_each_kind_of_kill(tmp_path, monkeypatch, capsys):
    project = copy_of_the_project(tmp_path)
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=project")
    monkeypatch.setenv("DATA_MIRROR", project.environment["DATA_MIRROR"])
    assert faults.inject(project.folder, kills=3, seed=1032) == (0, 1)
    table = capsys.readouterr().out
    assert all(kill in table for kill in faults.KILLS), table


def test_stopped_it_ends_with_a_line_and_leaves_nothing(pipeline, tmp_path):
    folder, temporary = pipeline("touch began && sleep 60 && touch result"), tmp_path / "temporary"
    temporary.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "checks.faults"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(tiny.ROOT), "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while running.poll() is None and not list(temporary.glob("faults-*/clone/began")):
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, "\nfaults: stopped by SIGINT. To go on: run it again.\n")
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_difference_is_reported(pipeline, monkeypatch, capfd):
    pipeline("head -c 8 /dev/urandom > result")
    assert run_main(monkeypatch, "--kills=1") == 1
    output = capfd.readouterr().out
    assert "BITS DIFFER" in output
    assert "0 of 1 ended with all bits equal" in output


@pytest.mark.slow
def test_a_run_that_fails_undisturbed_could_not_run(pipeline, monkeypatch, capfd):
    pipeline("echo no such luck; exit 3")
    assert run_main(monkeypatch, "--kills=1") == 2
    error = capfd.readouterr().err
    assert "faults: the undisturbed run failed" in error
    assert "no such luck" in error


@pytest.mark.slow
@pytest.mark.parametrize("kill", faults.KILLS)
def test_only_a_kill_of_dvc_alone_leaves_the_stage_and_the_end_of_the_attempt_leaves_nothing(pipeline, kill):
    folder = pipeline("touch began; sleep 60; touch result")
    with Attempt(folder) as attempt:
        while not (folder / "began").exists():
            assert attempt.process.poll() is None, attempt.log.read_text()
            time.sleep(0.02)
        assert attempt.kill_after(0.01, kill)
        assert attempt.process.returncode == -faults.KILLS[kill]
        assert attempt.stage() == "only"
        time.sleep(0.5)
        assert bool(members(attempt.process.pid)) == kill.startswith("dvc")
    assert members(attempt.process.pid) == []


@pytest.mark.slow
def test_what_ends_before_its_moment_is_not_killed(pipeline):
    with Attempt(pipeline("touch result")) as attempt:
        assert not attempt.kill_after(60, "all KILL")
    assert attempt.process.returncode == 0, attempt.log.read_text()
