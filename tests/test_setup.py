"""The two locks, and `make setup`: which Python it takes, and when it makes the environment anew."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from checks import machine
from tests.tiny import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt")
PIN = re.compile(r"([a-z0-9-]+)==([\w.]+)( ; [^\\]+)? \\")

# Stands in for each Python: it makes an environment that has a `uv` in it, and notes what it is asked to do.
PYTHON = """\
#!/usr/bin/env bash
name=$(basename "$0")
case "$*" in
  "checks/machine.py --python") case "$name" in python3) exit 1 ;; python) cat "$(dirname "$0")/base" ;; *) echo "$0" ;; esac ;;
  "checks/machine.py") ;;
  "-m venv .venv")
    mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo "$0" >.venv/bin/base
    printf '#!/usr/bin/env bash\\nsleep "${SLOW:-0}"; echo "uv $*" >>notes\\n' >.venv/bin/uv; chmod +x .venv/bin/uv
    echo "venv by $name" >>notes ;;
  "-m pip install "*) echo "pip installs $(grep -c == .venv/uv.txt) package" >>notes ;;
  *) echo "unexpected: $name $*" >&2; exit 1 ;;
esac
"""  # noqa: E501
BROKEN = '#!/bin/sh\necho "shim: command not found" >&2\nexit 127\n'


def pins(lock):
    """{package: (version, hashes)} of a lock, with one entry for each package."""
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    found = [(PIN.match(block), re.findall(r"--hash=sha256:([0-9a-f]{64})", block)) for block in blocks]
    assert all(match and hashes for match, hashes in found)
    assert len({match[1] for match, _ in found}) == len(found), "each package has one version for all Pythons"
    return {match[1]: (match[2], hashes) for match, hashes in found}


def direct(source):
    """The packages that a .in file names."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / source).read_text().splitlines()]
    return {re.split(r"==|\[", line)[0] for line in lines if line}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_hashes_and_reasons_alone(lock):
    reason = r"# via( (-[rc] )?[\w.-]+)?|#   (-[rc] )?[\w.-]+"  # no address has room in it
    for line in (ROOT / lock).read_text().splitlines():
        assert PIN.fullmatch(line) or re.fullmatch(rf"    (--hash=sha256:[0-9a-f]{{64}}( \\)?|{reason})", line), line


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_asked_for_is_pinned(lock):
    assert direct(lock.replace(".txt", ".in")) <= pins(lock).keys()


def test_the_locks_agree():
    run, develop = map(pins, LOCKS)
    assert {name: develop[name] for name in run.keys() & develop.keys()} == {
        name: run[name] for name in run.keys() & develop.keys()
    }


def test_tensorflow_is_the_version_that_the_committed_result_was_made_with():
    assert "tensorflow==2.21.0 " in (ROOT / "requirements.in").read_text()
    assert pins("requirements.txt")["tensorflow"][0] == "2.21.0"


def test_what_is_built_is_built_with_pinned_tools():
    assert {"setuptools", "wheel"} <= pins("requirements.txt").keys()


class Folder:
    """A folder with a Makefile, its locks, and Pythons that only pretend."""

    def __init__(self, folder):
        self.folder = folder / "project"
        self.bin = folder / "bin"
        (self.folder / "checks").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("Makefile", *LOCKS, "checks/machine.py"):
            shutil.copy(ROOT / name, self.folder / name)
        for name in ("python3.13", "python3.12", "python3.11", "python3"):
            self.python(name, PYTHON)

    def python(self, name, script):
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def start(self, *arguments, **variables):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
        return subprocess.Popen(
            ["make", "setup", *arguments],
            cwd=self.folder,
            env=kept | {"PATH": f"{self.bin}:/usr/bin:/bin"} | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def setup(self, *arguments, **variables):
        """What a set-up says, and what it does."""
        (self.folder / "notes").unlink(missing_ok=True)
        make = self.start(*arguments, **variables)
        said = make.communicate(timeout=30)[0]
        return make.returncode, said, self.notes()

    def notes(self):
        notes = self.folder / "notes"
        return notes.read_text().splitlines() if notes.exists() else []

    def wait_for(self, path):
        end = time.monotonic() + 20
        while not (self.folder / path).exists():
            assert time.monotonic() < end, path
            time.sleep(0.01)


@pytest.fixture
def project(tmp_path):
    return Folder(tmp_path)


def test_set_up_once_by_hash_with_the_newest_python(project):
    status, said, notes = project.setup()
    assert status == 0
    assert said.startswith(f"setting up .venv with {project.bin}/python3.13 from requirements.txt (")
    assert len(said.splitlines()) == 1, "quiet in a log"
    venv, pip, uv = notes
    assert (venv, pip) == ("venv by python3.13", "pip installs 1 package")
    assert uv.startswith("uv pip sync --quiet --python .venv/bin/python --require-hashes --require-build-hashes ")
    assert uv.endswith(" ".join(LOCKS))
    assert project.setup() == (0, "", []), "nothing is to be done"


@pytest.mark.parametrize("broken", [("python3.13",), ("python3.13", "python3.12")])
def test_a_broken_shim_is_passed_over(project, broken):
    for name in broken:
        project.python(name, BROKEN)
    status, said, (venv, *_) = project.setup()
    assert status == 0
    assert len(said.splitlines()) == 1, "nothing of the shim's"
    assert venv == f"venv by python3.{13 - len(broken)}"


def test_no_python_is_said_in_one_line_with_the_mend(project):
    for name in ("python3.13", "python3.12", "python3.11"):
        project.python(name, BROKEN)
    status, said, notes = project.setup()
    assert status != 0
    line, _ = said.splitlines()  # the second is make's
    assert line == (
        "this machine: expected Python 3.11, 3.12 or 3.13 with venv and pip (in Debian: apt install python3-venv). "
        "Received: none among python3.13 python3.12 python3.11 python3. Name one: make PYTHON=…/python3.12"
    )
    assert notes == []


def test_the_makefile_looks_for_the_pythons_that_the_check_takes():
    names = re.search(r"^PYTHONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert names == [f"python{major}.{minor}" for major, minor in reversed(machine.PYTHONS)] + ["python3"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_changed_lock_makes_the_environment_anew(project, lock):
    project.setup()
    with open(project.folder / lock, "a") as file:
        file.write("# a comment\n")
    assert project.setup()[2] != []
    assert project.setup()[2] == []


def test_an_environment_that_was_moved_is_made_anew(project):
    project.setup()
    project.folder = project.folder.rename(project.folder.with_name("moved"))
    assert project.setup()[2] != []


def test_a_newer_python_alone_does_not_make_the_environment_anew(project):
    project.python("python3.13", BROKEN)
    assert project.setup()[2][0] == "venv by python3.12"
    project.python("python3.13", PYTHON)
    assert project.setup() == (0, "", [])
    assert project.setup(f"PYTHON={project.bin}/python3.13")[2][0] == "venv by python3.13"
    assert project.setup("PYTHON=python3.13") == (0, "", [])
    assert project.setup(PYTHON="python3.11")[2][0] == "venv by python3.11"
    assert project.setup() == (0, "", [])


def test_an_environment_whose_python_is_gone_is_made_anew(project):
    project.setup()
    (project.folder / ".venv/bin/python").unlink()
    (project.folder / ".venv/bin/python").symlink_to(project.folder / "gone")
    assert project.setup()[2] != []


def test_a_set_up_that_was_killed_is_begun_anew(project):
    make = project.start(SLOW="60")
    project.wait_for(".venv/uv.txt")
    os.killpg(make.pid, signal.SIGKILL)
    make.communicate(timeout=30)
    (project.folder / ".venv/left-over").touch()
    assert project.setup()[2][0] == "venv by python3.13"
    assert not (project.folder / ".venv/left-over").exists()


def test_the_second_of_two_set_ups_waits_and_finds_it_done(project):
    first = project.start(SLOW="1")
    project.wait_for(".venv/uv.txt")
    second = project.start()
    assert second.communicate(timeout=30)[0] == "another make is at work here: waiting for its end\n"
    first.communicate(timeout=30)
    assert (first.returncode, second.returncode) == (0, 0)
    assert [note.split()[0] for note in project.notes()] == ["venv", "pip", "uv"]


def test_variables_of_pythons_own_do_not_reach_what_make_runs(project):
    with open(project.folder / "Makefile", "a") as file:
        file.write("\nsetup: variables\nvariables:\n\t@env | sed -n 's/^PYTHON/&/p' | sort\n")
    status, said, _ = project.setup(
        PYTHONSAFEPATH="1", PYTHONPATH="/nowhere", PYTHONWARNINGS="error", PYTHONDONTWRITEBYTECODE="1",
        PYTHONUNBUFFERED="1",
    )  # fmt: skip
    assert status == 0
    assert said.splitlines()[0] == "PYTHONUNBUFFERED=1"
    assert said.splitlines()[1].startswith("setting up")
