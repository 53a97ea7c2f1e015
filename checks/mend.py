"""Mend what a kill can leave half-written in DVC's own files: DVC would refuse to start on them, or misread them.

python -m checks.mend     exit code 0: DVC can start, 1: not before you have done what the line says
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from dvc import config, schema
from dvc.lock import LockError, make_lock
from dvc.utils import strictyaml

from cnn.comparison.git import said
from cnn.process.errors import InputError
from cnn.storage import files


class CannotMendError(Exception):
    """What only a person can mend, or what must wait. Says how to go on."""


def mend(root: Path = Path()) -> list[str]:
    """Mend the project at `root`. Returns a line for each thing mended. Raises CannotMendError."""
    if _note_is_whole(root) and lock_is_whole(root):
        return []
    # DVC may be writing just what looks half-written. Look again while it can write nothing.
    with _held(root, "lock"), _held(root, "rwlock.lock"):
        return [*_mend_note(root), *_mend_lock(root)]


@contextmanager
def _held(root: Path, name: str) -> Iterator[None]:
    """Hold a lock as DVC does, and wait for it as long as DVC does: 3 s."""
    path = root / ".dvc/tmp" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    hardlink = config.Config(str(root / ".dvc"))["core"].get("hardlink_lock", False)
    lock = make_lock(str(path), tmp_dir=str(path.parent), hardlink_lock=hardlink)
    try:
        lock.lock()
    except LockError:
        raise CannotMendError(
            "expected DVC to be idle: its files look half-written. Received: DVC at work here, process "
            f"{path.read_text().strip()}. To go on: wait for its end, or end it, then run again."
        ) from None
    try:
        yield
    finally:
        lock.unlock()


def _note_is_whole(root: Path) -> bool:
    """Whether DVC's note of who reads and writes what is JSON, or not there."""
    note = root / ".dvc/tmp/rwlock"
    try:
        json.loads(note.read_bytes() if note.exists() else b"{}")
    except ValueError:
        return False
    return True


def _mend_note(root: Path) -> Iterator[str]:
    if not _note_is_whole(root):
        (root / ".dvc/tmp/rwlock").unlink()
        yield ".dvc/tmp/rwlock was half-written: removed"


def lock_is_whole(root: Path) -> bool:
    """Whether DVC can start on the dvc.lock at `root`, also as there is none, and loses nothing."""
    lock = root / "dvc.lock"
    return not lock.exists() or is_whole(lock.read_bytes(), said("show", ":./dvc.lock", root=root))


def is_whole(content: bytes, committed: bytes = b"") -> bool:
    """Whether DVC can start on this dvc.lock and loses nothing. `committed`: the one that git holds.

    DVC writes the file from its beginning and ends it with a newline. Cut off at the end of a line it may be valid
    still. Where a stage lacks inputs, parameters or outputs, DVC sees that, and takes the outputs from the run cache.
    """
    if not content.endswith(b"\n"):
        return False
    # The run cache does not hold what came with `dvc pull`: git's entry for the last stage must not go on.
    last_stage = re.split(rb"(?=\n  \S)", content)[-1]
    if committed.partition(last_stage)[2].startswith(b"    "):
        return False
    try:
        document = strictyaml.parse_yaml(content.decode(), "dvc.lock")
        strictyaml.validate(document, schema.COMPILED_LOCKFILE_SCHEMA)
    except (strictyaml.YAMLFileCorruptedError, strictyaml.YAMLValidationError, ValueError):
        return False
    # DVC takes an output whose size is missing for unchanged, and the size would be missing from then on.
    stage = [{}, *document.get("stages", {}).values()][-1]
    last = (stage.get("outs") or stage.get("deps") or [{}])[-1]
    complete = {"size", "nfiles"} if str(last.get("md5")).endswith(".dir") else {"size"}
    return "md5" not in last or complete <= last.keys()


def _mend_lock(root: Path) -> Iterator[str]:
    """Move a half-written dvc.lock aside, and put the one that git holds in its place."""
    if lock_is_whole(root):
        return
    lock = root / "dvc.lock"
    marked = strictyaml.merge_conflict_marker.search(lock.read_text(errors="replace"))
    if marked or said("ls-files", "--unmerged", "dvc.lock", root=root):
        # Either side will do: DVC compares it with what is there.
        at_hand = is_whole(said("show", "HEAD:./dvc.lock", root=root))
        command = "git checkout HEAD -- dvc.lock" if at_hand else "rm dvc.lock"
        raise CannotMendError(
            "dvc.lock: expected no merge conflict. Received: one. To go on, solve those in files that you write, then "
            f"run `{command}` and `dvc repro`, which brings dvc.lock and all outputs up to date."
        )
    aside = next(path for number in count(1) if not (path := root / f"dvc.lock.half-written-{number}.tmp").exists())
    lock.rename(aside)
    line = f"dvc.lock was half-written: moved to {aside.name}, which git ignores"
    if is_whole(committed := said("show", ":./dvc.lock", root=root)):
        with files.whole(lock) as file:
            file.write(committed)
        line += "; git's is in its place"
    yield f"{line}; DVC takes what it has made since from its run cache"


def main() -> int:
    try:
        for line in mend():
            print(f"mend: {line}", file=sys.stderr)
    except (CannotMendError, InputError) as error:
        print(f"mend: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
