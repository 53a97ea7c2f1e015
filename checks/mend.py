"""Mend what a kill can leave half-written in DVC's own files: DVC would refuse to start on them."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import yaml


def mend(root: Path = Path()) -> list[str]:
    """Mend the project at `root`. Returns a line for each thing mended."""
    lines = []
    # DVC's note of who reads and writes what. DVC holds this guard while it writes it.
    note, guard = root / ".dvc/tmp/rwlock", root / ".dvc/tmp/rwlock.lock"
    if note.exists() and not _is_json(note):
        with open(guard, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if note.exists() and not _is_json(note):
                note.unlink()
                lines.append(f"{note} was half-written: removed")
    lock = root / "dvc.lock"
    if lock.exists() and not _is_lock(lock):
        committed = subprocess.run(["git", "show", "HEAD:./dvc.lock"], cwd=root, capture_output=True, check=False)
        if committed.returncode:
            lock.unlink()
            lines.append("dvc.lock was half-written: removed; what was made is taken from the run cache")
        else:
            lock.write_bytes(committed.stdout)
            lines.append("dvc.lock was half-written: taken from git's HEAD; what was made since, from the run cache")
    return lines


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _is_lock(path: Path) -> bool:
    try:
        document = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return False
    # Cut off in the middle it may well be YAML still, but then the last stage has no outputs.
    stages = document.get("stages") if isinstance(document, dict) else None
    return isinstance(stages, dict) and all(isinstance(stage, dict) and stage.get("outs") for stage in stages.values())


if __name__ == "__main__":
    for mended in mend():
        print(f"mend: {mended}", file=sys.stderr)
