"""Tests of checks/machine.py: what is said where the project cannot run."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from checks import machine
from tests.tiny import ROOT


@pytest.fixture
def capable(monkeypatch):
    """Take this machine for large enough."""
    monkeypatch.setattr(machine, "DISK", 0)
    monkeypatch.setattr(machine, "MEMORY", 0)


def test_a_machine_that_runs_these_tests_can_run_the_project(capable):
    assert list(machine.faults()) == []


FAULTS = {
    "disk": ("checks.machine.DISK", 1e9, r"expected 1000000000.0 GB of free disk space. Received: \d+\.\d GB."),
    "memory": ("checks.machine.MEMORY", 1e9, r"expected 1000000000.0 GB of memory. Received: \d+\.\d GB."),
    "system": ("platform.system", lambda: "Plan9", r"expected Linux. Received: Plan9."),
    "version": (
        "sys.version_info",
        (3, 14, 0, "final", 0),
        r"expected Python 3.11, 3.12 or 3.13. Received: 3.\d+.\d+. Name one: make PYTHON=…/python3.12",
    ),
}


@pytest.mark.parametrize(("what", "value", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_expected_and_received(capable, what, value, fault):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(what, value)
        (line,) = machine.faults()
    assert re.fullmatch(fault, line)


def test_python_without_pip_is_named_with_the_mend(capable, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    expected = "expected Python with venv and pip. Install it (in Debian: apt install python3-venv)."
    assert list(machine.faults()) == [expected]


def test_each_python_that_is_promised_will_do(capable, monkeypatch):
    for version in machine.PYTHONS:
        monkeypatch.setattr("sys.version_info", (*version, 0, "final", 0))
        assert list(machine.faults()) == []


def test_all_faults_are_named_at_once(monkeypatch):
    monkeypatch.setattr(machine, "DISK", 1e9)
    monkeypatch.setattr(machine, "MEMORY", 1e9)
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    assert len(list(machine.faults())) == 3


def test_needs_nothing_installed():
    done = subprocess.run(
        [sys.executable, "-I", "-S", "checks/machine.py"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    lines = done.stderr.splitlines()
    assert all(line.startswith("this machine: expected ") for line in lines), "no traceback"
    assert done.returncode == (1 if lines else 0)


def test_an_environment_names_the_python_that_it_comes_from():
    """`make setup` removes the environment before it makes the next one with that Python."""
    done = subprocess.run(
        [sys.executable, "checks/machine.py", "--python"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert Path(done.stdout.strip()).resolve().is_relative_to(Path(sys.base_prefix).resolve())
    assert not Path(done.stdout.strip()).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


def test_an_old_python_comes_as_far_as_the_message():
    ast.parse((ROOT / "checks/machine.py").read_text(), feature_version=(3, 7))
