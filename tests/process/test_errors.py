"""Tests of cnn/process/errors.py: how a stage ends, seen from outside."""

import os
import signal
import subprocess
import sys

import pytest

from tests.tiny import ROOT, environment, fresh_python

BEGIN = """\
import errno, os, sys
from cnn.process import errors
from cnn.storage import files
with errors.reported('demo'):
    """
MENDABLE = {
    "InputError": ("raise errors.InputError('expected 1. Received: 2.')", "demo: expected 1. Received: 2."),
    # An OSError of `write` names no file.
    "full disk": (
        "with files.whole('out') as file: file.write(b'.')",
        "demo: No space left on device. To go on: free some disk space, then run again.",
    ),
    "full disk, file known": (
        "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'a/b')",
        "demo: No space left on device: 'a/b'. To go on: free some disk space, then run again.",
    ),
    "full quota": (
        "raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), 'a/b')",
        "demo: Disk quota exceeded: 'a/b'. To go on: free some space in the quota, then run again.",
    ),
    "read-only": (
        "raise OSError(errno.EROFS, os.strerror(errno.EROFS), 'a/b')",
        "demo: Read-only file system: 'a/b'. "
        "To go on: use a directory on a file system that is not read-only, then run again.",
    ),
    "no permission": (
        "raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), 'a/b')",
        "demo: Permission denied: 'a/b'. To go on: give this user the permission, then run again.",
    ),
    "no such file": (
        "open('a/b')",
        "demo: No such file or directory: 'a/b'. To go on: run `dvc repro`, which makes it, then run again.",
    ),
    "no memory": (
        "bytearray(1 << 62)",
        "demo: out of memory. To go on: free memory, or lower batch_size (train, evaluate), then run again.",
    ),
}


@pytest.mark.parametrize(("code", "line"), MENDABLE.values(), ids=MENDABLE)
def test_what_the_user_can_mend_is_one_line_and_exit_code_1(tmp_path, code, line):
    (tmp_path / "out.tmp").symlink_to("/dev/full")  # the disk is full for whoever writes `out`
    done = fresh_python(BEGIN + code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, line + "\n")


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("{}['key']", "KeyError: 'key'"),
        ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
        ("raise OSError(errno.EIO, os.strerror(errno.EIO))", "OSError: [Errno 5] Input/output error"),
    ],
)
def test_an_error_of_our_own_keeps_its_traceback(code, last):
    done = fresh_python(BEGIN + code)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.splitlines()[-1] == last


@pytest.mark.parametrize(("error", "lines"), [("InputError", 2), ("RunAgainError", 1)])
def test_only_what_the_user_wrote_is_to_be_undone(monkeypatch, error, lines):
    monkeypatch.setenv("DVC_STAGE", "demo")
    done = fresh_python(BEGIN + f"raise errors.{error}('expected 1. Received: 2.')")
    said = done.stderr.splitlines()
    assert (done.returncode, said[0], len(said)) == (1, "demo: expected 1. Received: 2.", lines)
    assert all(line.endswith("undo the change, then `dvc repro`.") for line in said[1:])


def test_a_success_is_silent():
    done = fresh_python(BEGIN + "pass")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stage_may_choose_its_exit_code():
    assert fresh_python(BEGIN + "sys.exit(7)").returncode == 7


STOPPED = (
    BEGIN
    + """\
with files.whole('out') as file:
        file.write(b'half')
        try:
            print('begun', flush=True)
            sys.stdin.readline()
        finally:
            print('cleaning up', flush=True)
            sys.stdin.readline()
            print('done')
"""
)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("times", [1, 2])
def test_a_stopped_stage_cleans_up_and_says_how_to_go_on(tmp_path, number, code, times):
    (tmp_path / "out").write_bytes(b"old")
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            process.send_signal(number)
            assert process.stdout.readline() == "cleaning up\n"
            for _ in range(times - 1):  # a second Ctrl-C, while the first one is being obeyed
                process.send_signal(number)
            stdout, stderr = process.communicate("\n", timeout=10)
        finally:
            process.kill()
    assert (process.returncode, stdout) == (code, "done\n")
    assert stderr == f"\nStopped by {number.name}. To go on: run it again.\n"
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out").read_bytes() == b"old"
