"""A stage is alone in its folder, and ends with the `dvc` or `make` that started it."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests import tiny

DEMO = """
import sys, time
from pathlib import Path
from cnn.process import stage
if len(sys.argv) > 2: stage.PATIENCE = float(sys.argv[2])
with stage.running(sys.argv[1]):
    Path("began").touch()
    try:
        time.sleep(20)
    finally:
        Path("cleaned-up").touch()
"""


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path):
    """A function: start a stage in a folder, and wait until it is at work. All are ended after the test."""
    processes = []

    def start_and_wait(*arguments, folder=tmp_path, at_work=True):
        command = [sys.executable, "-c", DEMO, *arguments]
        processes.append(subprocess.Popen(command, cwd=folder, env=tiny.environment(), stderr=subprocess.DEVNULL))
        if at_work:
            wait_for((folder / "began").exists)
        return processes[-1]

    yield start_and_wait
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def working(start):
    """A stage at work in tmp_path."""
    return start("train")


def test_a_second_one_of_the_same_kind_is_told_the_process_of_the_first(tmp_path, working):
    second = tiny.fresh_python(DEMO, "train", "0.2", cwd=tmp_path)
    assert second.returncode == 1
    assert second.stderr == (
        f"train: expected to be alone in {tmp_path}. Received: another train at work there, process {working.pid}. "
        "To go on: wait for its end, or end it, then run again.\n"
    )
    assert working.poll() is None


def test_the_lock_dies_with_its_holder(tmp_path, start, working):
    working.kill()
    working.wait()
    (tmp_path / "began").unlink()
    start("train", "0.2")


def test_a_second_one_waits_for_one_that_is_just_ending(tmp_path, start, working):
    (tmp_path / "began").unlink()
    start("train", "10", at_work=False)
    time.sleep(0.5)
    assert not (tmp_path / "began").exists()
    working.terminate()
    wait_for((tmp_path / "began").exists)


def test_another_kind_and_another_folder_are_free(tmp_path, start, working):
    (tmp_path / "began").unlink()
    start("evaluate", "0.2")
    (tmp_path / "other").mkdir()
    start("train", "0.2", folder=tmp_path / "other")


@pytest.mark.parametrize("name", ["dvc", "make"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_ends_with_what_started_it_also_where_a_shell_is_between(tmp_path, name, number):
    starter = tmp_path / name
    starter.write_text('#!/bin/sh\nsh -c "\\"$PYTHON\\" -c \\"\\$DEMO\\" train; true"; true\n')
    starter.chmod(starter.stat().st_mode | stat.S_IXUSR)
    environment = tiny.environment(PYTHON=sys.executable, DEMO=DEMO)
    process = subprocess.Popen([starter], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "began").exists)
    process.send_signal(number)
    wait_for((tmp_path / "cleaned-up").exists, seconds=5)
    _, errors = process.communicate(timeout=10)  # ends when the last of them has closed it
    assert "Stopped by SIGTERM" in errors


def test_a_stage_started_by_hand_outlives_the_shell_that_started_it(tmp_path):
    """As with `nohup python -m stages.train &`."""
    environment = tiny.environment(PYTHON=sys.executable, DEMO=DEMO)
    command = '"$PYTHON" -c "$DEMO" train >/dev/null 2>&1 & echo $!'
    shell = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    pid = int(shell.stdout)
    try:
        wait_for((tmp_path / "began").exists)
        time.sleep(0.3)
        assert not (tmp_path / "cleaned-up").exists()
    finally:
        os.kill(pid, signal.SIGKILL)
