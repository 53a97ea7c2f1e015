"""Tests of cnn/process/machine.py."""

import os
import platform
import re
from pathlib import Path

import pytest

from cnn.process import machine
from tests.tiny import fresh_python


def test_threads_are_the_cpus_that_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    assert machine.threads() == len(allowed)
    one = f"import os\nos.sched_setaffinity(0, {{{min(allowed)}}})\n"
    done = fresh_python(one + "from cnn.process import machine\nprint(machine.threads())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


CPUINFO = """\
processor\t: 0
model name\t: Example CPU @ 2.40GHz: fast
flags\t\t: fpu sse4_2 avx2 fma
bogomips\t: 4800.00

processor\t: 1
model name\t: Example CPU @ 2.40GHz: fast
flags\t\t: fpu sse4_2 avx2 fma
power management:

"""


@pytest.fixture
def cpuinfo(monkeypatch, tmp_path):
    """A function: let this text stand in /proc/cpuinfo, or nothing where it is None."""

    def stand(text):
        file = tmp_path / "cpuinfo"
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(machine, "Path", lambda path: {"/proc/cpuinfo": file}[path])

    return stand


def test_the_cpu_is_named_and_its_flags_are_told_apart(cpuinfo):
    cpuinfo(CPUINFO)
    assert machine.cpu_model() == "Example CPU @ 2.40GHz: fast"
    assert machine.cpu_flags() == {"fpu", "sse4_2", "avx2", "fma"}


@pytest.mark.parametrize("text", ["", "processor\t: 0\nFeatures\t: fp asimd\n", None], ids=["empty", "ARM", "none"])
def test_a_cpu_of_which_nothing_is_known_still_has_a_name_and_no_flags(cpuinfo, text):
    cpuinfo(text)
    assert machine.cpu_model() == (platform.processor() or platform.machine()) != ""
    assert machine.cpu_flags() == set()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other CPUs have no flags in /proc/cpuinfo")
def test_this_machines_cpu_has_the_flags_of_every_cpu_of_its_kind():
    assert {"fpu", "sse2", "lm"} <= machine.cpu_flags()
    assert all(re.fullmatch(r"\w+", flag) for flag in machine.cpu_flags())
    assert machine.cpu_model() in Path("/proc/cpuinfo").read_text()
