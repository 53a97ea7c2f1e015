"""Processes beside this one. How those that read pictures end is in tests/datasets/test_reading.py."""

import errno
import importlib
import operator
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess

import pytest

from cnn.process import beside
from cnn.process.errors import RunAgainError
from tests import tiny


def test_an_error_of_a_process_keeps_its_reason_and_its_file():
    with beside.worker() as process, pytest.raises(FileNotFoundError) as failed:
        beside.send(process, os.stat, ["/nowhere"], "look")
        beside.received(process, "look")
    assert (failed.value.errno, failed.value.filename) == (errno.ENOENT, "/nowhere")


def test_a_process_works_again_and_again():
    with beside.worker() as process:
        for numbers in ([1, -2], [], [-3]):
            beside.send(process, operator.neg, numbers, "count")
            assert [beside.received(process, "count") for _ in numbers] == [-number for number in numbers]


def test_a_process_imports_what_it_is_told_to():
    with beside.worker("colorsys") as process:
        beside.send(process, is_imported, ["colorsys", "chunk"], "look")
        assert [beside.received(process, "look") for _ in range(2)] == [True, False]


def is_imported(name):
    return name in sys.modules


def test_a_process_that_was_killed_before_it_got_its_work_is_one_clear_line(monkeypatch):
    start, started = BaseProcess.start, []
    monkeypatch.setattr(BaseProcess, "start", lambda self: [start(self), started.append(self)])
    with beside.worker() as process:
        started[0].kill()
        started[0].join()
        with pytest.raises(RunAgainError, match="^expected the processes that draw pictures to live"):
            beside.send(process, os.stat, ["/"], "draw pictures")


def test_processes_start_with_the_signals_held_back_and_without_the_arguments():
    """The first of them too. Killed in between, one would leave a traceback, or many arguments in a full pipe."""
    code = """
import multiprocessing.process, signal, sys
from cnn.process import beside
start = multiprocessing.process.BaseProcess.start
def started(self):
    start(self)
    print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), sys.argv[1:])
multiprocessing.process.BaseProcess.start = started
sys.argv[1:] = ["a picture"] * 10
with beside.worker(), beside.worker():
    pass
print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), len(sys.argv))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
with beside.worker():
    pass
print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])) == [signal.SIGTERM])
"""
    held = f"{sorted([signal.SIGHUP, signal.SIGINT, signal.SIGTERM])} []"
    assert tiny.fresh_python(code).stdout.splitlines() == [held, held, "[] 11", held, "True"]


def test_a_process_at_work_ignores_ctrl_c_and_takes_the_other_signals():
    with beside.worker() as process:
        beside.send(process, blocked_and_ignored, [None], "look")
        assert beside.received(process, "look") == ([], True, False)


def blocked_and_ignored(_):
    blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    return blocked, *(signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM))


def test_a_module_that_cannot_be_imported_is_named_where_it_is_needed():
    with beside.worker("no_such_module") as process, pytest.raises(ModuleNotFoundError, match="no_such_module"):
        beside.send(process, importlib.import_module, ["no_such_module"], "look")
        beside.received(process, "look")


PROGRAM = """
import os, time
from cnn.process import beside, stage
from cnn.process.errors import reported

if __name__ == "__main__":
    with reported("program"):
        stage._end_with([os.getppid()])  # a second thread, as a stage has it
        print(flush=True)
        with beside.worker() as first, beside.worker() as second:
            beside.send(second, time.sleep, [60], "sleep")
            beside.received(second, "sleep")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whenever_a_program_ends_its_processes_print_nothing(tmp_path, number):
    (tmp_path / "program.py").write_text(PROGRAM)
    for delay in (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        with subprocess.Popen(
            [sys.executable, "program.py"], cwd=tmp_path, env=tiny.environment(), text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as program:  # fmt: skip
            program.stdout.readline()
            time.sleep(delay)
            (os.kill if number == signal.SIGKILL else os.killpg)(program.pid, number)
            said = program.communicate(timeout=20)[1]
        if number == signal.SIGKILL:  # it may be amid the start of one, which is Python's
            assert "beside.py" not in said
        else:
            assert said == f"\nStopped by {signal.Signals(number).name}. To go on: run it again.\n"
