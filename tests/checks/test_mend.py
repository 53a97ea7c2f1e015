"""What a kill can leave of DVC's own files is mended; what is whole, in use or in conflict is left alone."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from checks import mend
from tests import tiny

ENTRY = """\
  {name}:
    cmd: cp params.yaml {name}
    deps:
    - path: params.yaml
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
      size: 5
    outs:
    - path: {name}
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
      size: 5
"""
WITHOUT_OUTS = """\
  look:
    cmd: cat folder
    deps:
    - path: folder
      hash: md5
      md5: 9f3a10dbb7d74705c7284be8d7f54095.dir
      size: 3153
      nfiles: 3
"""
LOCK = "schema: '2.0'\nstages:\n" + ENTRY.format(name="one") + ENTRY.format(name="two")
HOLD_DVCS_LOCK = """
import sys
from dvc.lock import make_lock
with make_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


class Repository:
    """A git repository with a dvc.lock that is not committed."""

    def __init__(self, folder):
        self.folder = folder
        self.lock, self.note = folder / "dvc.lock", folder / ".dvc/tmp/rwlock"
        (folder / ".dvc/tmp").mkdir(parents=True)
        (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
        (folder / ".dvc/.gitignore").write_text("/tmp\n/cache\n")
        (folder / ".gitignore").write_text((tiny.ROOT / ".gitignore").read_text())
        self.environment = tiny.environment(
            GIT_CONFIG_GLOBAL=os.devnull,
            **{f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            **{
                f"DVC_{name}_DIR": str(folder.parent / "dvc")
                for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")
            },
        )
        self.run("git", "init", "--quiet", "--initial-branch=main")
        self.lock.write_text(LOCK)
        self.note.write_text(json.dumps({"write": {}, "read": {}}))

    def run(self, *command, status=0):
        ended = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def commit(self):
        self.run("git", "add", ".")
        self.run("git", "commit", "--quiet", "--message=all")

    def mend(self, status=0):
        """`python -m checks.mend`: what it says."""
        return self.run(sys.executable, "-m", "checks.mend", status=status)


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "project")


def cut_from(whole, cut):
    """Whether `cut` says less than `whole` and nothing else; a size goes with each hash."""
    if isinstance(whole, dict):
        known = all(key in whole and cut_from(whole[key], value) for key, value in cut.items())
        return known and ("md5" not in cut or cut == whole)
    if isinstance(whole, list):
        return len(cut) <= len(whole) and all(map(cut_from, whole, cut))
    return cut == whole


def test_every_truncation_of_the_committed_lock_is_seen_but_for_those_at_the_end_of_a_stage():
    lock = (tiny.ROOT / "dvc.lock").read_bytes()
    ends = {found.start() + 1 for found in re.finditer(rb"\n(  \S|stages|$)", lock)} - {lock.index(b"stages:\n") + 8}
    assert {length for length in range(len(lock) + 1) if mend.is_whole(lock[:length], lock)} == ends


def test_every_truncation_taken_for_whole_that_git_does_not_know_only_says_less():
    for text in (LOCK, "schema: '2.0'\nstages:\n" + ENTRY.format(name="one") + WITHOUT_OUTS):
        lock = text.encode()
        taken = [length for length in range(len(lock) + 1) if mend.is_whole(lock[:length])]
        assert len(lock) in taken
        assert all(lock[:length].endswith(b"\n") for length in taken)
        for length in taken:
            cut = yaml.safe_load(lock[:length])
            assert cut_from(yaml.safe_load(lock), cut), lock[:length].decode()


@pytest.mark.parametrize(
    "lock",
    [
        LOCK,
        "schema: '2.0'\nstages:\n" + WITHOUT_OUTS,
        "schema: '2.0'\nstages:\n  bare:\n    cmd: echo\n",
        "schema: '2.0'\n",
        "schema: '2.0'\nstages:\n" + ENTRY.format(name="one").replace("      hash: md5\n", ""),  # as DVC 2 wrote it
    ],
    ids=["two stages", "no outs", "command only", "no stages", "DVC 2"],
)
@pytest.mark.parametrize("committed", [False, True])
def test_whole_files_are_left_alone(repository, state, lock, committed):
    repository.lock.write_text(lock)
    if committed:
        repository.commit()
    before = state(repository.folder)
    assert mend.mend(repository.folder) == []
    assert state(repository.folder) == before


def test_nothing_to_mend_in_a_folder_that_has_nothing(tmp_path):
    assert mend.mend(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", '{"write": {'])
def test_a_half_written_note_of_dvc_is_removed(repository, content):
    repository.note.write_text(content)
    assert mend.mend(repository.folder) == [".dvc/tmp/rwlock was half-written: removed"]
    assert not repository.note.exists()


HALVES = [
    "",
    LOCK[:20],
    LOCK[:50],
    LOCK[:-1],
    LOCK[: LOCK.index("      size: 5\n  two")],
    LOCK.replace("s:", "s: [", 1),
]


@pytest.mark.parametrize("content", [*map(str.encode, HALVES), LOCK.encode() + b"\xc3\n", b"\0" * 100 + b"\n"])
def test_a_half_written_lock_is_moved_aside_and_gits_takes_its_place(repository, content):
    repository.commit()
    repository.lock.write_bytes(content)
    (line,) = mend.mend(repository.folder)
    assert line == (
        "dvc.lock was half-written: moved to dvc.lock.half-written-1.tmp, which git ignores; git's is in its place; "
        "DVC takes what it has made since from its run cache"
    )
    assert (repository.folder / "dvc.lock.half-written-1.tmp").read_bytes() == content
    assert repository.lock.read_text() == LOCK
    assert repository.run("git", "status", "--porcelain") == ""


@pytest.mark.parametrize("committed", [None, LOCK[:50]], ids=["none in git", "git's is half-written too"])
def test_where_git_has_no_whole_one_none_takes_its_place(repository, committed):
    if committed:
        repository.lock.write_text(committed)
        repository.commit()
    repository.lock.write_text(LOCK[:40])
    (line,) = mend.mend(repository.folder)
    assert "git's" not in line
    assert not repository.lock.exists()
    assert (repository.folder / "dvc.lock.half-written-1.tmp").read_text() == LOCK[:40]


def test_one_moved_aside_earlier_is_kept(repository):
    for number in (1, 2):
        repository.lock.write_text(LOCK[: 10 * number])
        mend.mend(repository.folder)
    names = [f"dvc.lock.half-written-{number}.tmp" for number in (1, 2)]
    assert [(repository.folder / name).read_text() for name in names] == [LOCK[:10], LOCK[:20]]


@pytest.mark.parametrize("name", ["lock", "rwlock.lock"])
def test_what_dvc_is_just_writing_is_left_alone(repository, state, name):
    repository.lock.write_text(LOCK[:50])
    repository.note.write_text("")
    held = repository.folder / ".dvc/tmp" / name
    dvc = subprocess.Popen(
        [sys.executable, "-c", HOLD_DVCS_LOCK, str(held)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert dvc.stdout.readline() == "held\n"
        before = state(repository.folder)
        assert repository.mend(status=1) == (
            "mend: expected DVC to be idle: its files look half-written. Received: DVC at work here, process "
            f"{dvc.pid}. To go on: wait for its end, or end it, then run again.\n"
        )
        after = state(repository.folder)
        changed = {path for path in before | after if before.get(path) != after.get(path)}
        assert changed <= {".dvc/tmp/lock"}, "which says who holds it"
        repository.lock.write_text(LOCK)  # as DVC does, at last
        repository.note.write_text("{}")
    finally:
        dvc.communicate()
    assert repository.mend() == ""
    assert repository.lock.read_text() == LOCK


def branch_off(repository, first, second):
    """Commit what `first` makes on a branch `other` and what `second` makes on main, and merge them: a conflict."""
    repository.commit()
    repository.run("git", "switch", "--quiet", "--create=other")
    first()
    repository.commit()
    repository.run("git", "switch", "--quiet", "main")
    second()
    repository.commit()
    assert "CONFLICT" in repository.run("git", "merge", "other", status=1)


def commands_in(line):
    """The two commands that mend.py names."""
    first, second = re.findall(r"`([^`]+)`", line)
    return shlex.split(first), shlex.split(second)


def test_a_merge_conflict_is_left_to_people(repository):
    branch_off(
        repository,
        lambda: repository.lock.write_text(LOCK.replace("0cc1", "0000")),
        lambda: repository.lock.write_text(LOCK.replace("0cc1", "1111")),
    )
    conflict = repository.lock.read_bytes()
    assert b"<<<<<<< HEAD" in conflict
    line = repository.mend(status=1)
    assert line == (
        "mend: dvc.lock: expected no merge conflict. Received: one. To go on, solve those in files that you write, "
        "then run `git checkout HEAD -- dvc.lock` and `dvc repro`, which brings dvc.lock and all outputs up to date.\n"
    )
    assert repository.lock.read_bytes() == conflict
    repository.run(*commands_in(line)[0])
    assert repository.mend() == ""
    assert repository.lock.read_text() == LOCK.replace("0cc1", "1111")


def test_one_that_is_resolved_in_the_file_but_not_in_the_index_is_left_alone_too(repository):
    branch_off(
        repository,
        lambda: repository.lock.write_text(LOCK.replace("0cc1", "0000")),
        lambda: repository.lock.write_text(LOCK.replace("0cc1", "1111")),
    )
    repository.lock.write_text(LOCK)
    assert repository.mend() == ""
    repository.lock.write_text(LOCK[:50])
    assert "expected no merge conflict" in repository.mend(status=1)
    assert repository.lock.read_text() == LOCK[:50]


def test_a_conflict_that_somebody_committed_is_solved_without_gits(repository):
    repository.lock.write_text(f"<<<<<<< HEAD\n{LOCK}=======\n{LOCK}>>>>>>> other\n")
    repository.commit()
    assert commands_in(repository.mend(status=1)) == (["rm", "dvc.lock"], ["dvc", "repro"])


@pytest.fixture
def pipeline(repository):
    """A pipeline of two stages in the repository, under real DVC; each run of a stage adds a line to `runs`."""
    folder = repository.folder
    stages = {}
    for name in ("one", "two"):
        inputs = [f"{name}.a", f"{name}.b"]
        for path in inputs:
            (folder / path).write_text(f"{path}\n")
        command = f"cat {' '.join(inputs)} > {name} && echo {name} >> runs"
        stages[name] = {"cmd": command, "deps": inputs, "outs": [name]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    with open(folder / ".gitignore", "a") as file:
        file.write("/one\n/two\n/runs\n")
    repository.lock.unlink()
    repository.run("dvc", "repro")
    return repository


def runs(repository):
    return (repository.folder / "runs").read_text().split()


@pytest.mark.slow
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("part", [0, 0.3, 0.62, 0.999])
def test_after_mending_dvc_restores_every_output_and_runs_nothing(pipeline, committed, part):
    if committed:
        pipeline.commit()
    lock = pipeline.lock.read_bytes()
    pipeline.lock.write_bytes(lock[: int(part * len(lock))])
    (pipeline.folder / "one").unlink()
    assert "moved to dvc.lock.half-written-1.tmp" in pipeline.mend()
    pipeline.run("dvc", "repro")
    assert pipeline.lock.read_bytes() == lock
    assert (pipeline.folder / "one").read_text() == "one.a\none.b\n"
    assert runs(pipeline) == ["one", "two"], "once each"


@pytest.mark.slow
def test_what_is_cut_at_the_end_of_a_line_and_taken_for_whole_dvc_restores_too(pipeline):
    lock = pipeline.lock.read_bytes()
    ends = [found.end() for found in re.finditer(rb"\n", lock)]
    taken = [end for end in ends if mend.is_whole(lock[:end]) and end < len(lock)]
    assert len(taken) > 5
    for end in taken[::3]:
        pipeline.lock.write_bytes(lock[:end])
        pipeline.run("dvc", "repro")
        assert pipeline.lock.read_bytes() == lock, lock[:end].decode()
    assert runs(pipeline) == ["one", "two"], "once each"


@pytest.mark.slow
def test_the_two_commands_solve_a_conflict(pipeline):
    def change(path):
        (pipeline.folder / path).write_text("changed\n")
        pipeline.run("dvc", "repro")

    # Each side changes one input of the same stage: the inputs merge, the hashes of the output do not.
    branch_off(pipeline, lambda: change("two.a"), lambda: change("two.b"))
    for command in commands_in(pipeline.mend(status=1)):
        pipeline.run(*command)
    assert pipeline.mend() == ""
    assert (pipeline.folder / "two").read_text() == "changed\nchanged\n"
    assert runs(pipeline) == ["one", "two", "two", "two", "two"], "first, other, main, merged"
    assert "up to date" in pipeline.run("dvc", "status")
    pipeline.run("git", "commit", "--quiet", "--all", "--message=merged")
