"""Whether the committed result holds together: dvc.lock in itself, metrics/ with dvc.lock, both with git's index."""

from pathlib import Path, PurePath

from checks import revision
from checks.clone import git, md5
from checks.mend import lock_is_whole
from cnn.storage.paths import METRICS

LOCK = Path("dvc.lock")
REPRO = "To go on: `dvc repro`, and commit what it makes."


def is_gits(path: str) -> bool:
    """Whether an output belongs to git; the others are DVC's."""
    return PurePath(path).is_relative_to(METRICS.parent)


def lock_faults() -> list[str]:
    """A line where DVC could not read dvc.lock."""
    if not LOCK.exists():
        return ["there is none: nothing was run, or it was deleted. To go on: `make run`, and commit what it makes."]
    if not lock_is_whole(Path()):
        return ["it is half-written, or in a merge conflict. To go on: `make run`, which mends it or says how."]
    return []


def contradictions(locked: revision.Stages) -> list[str]:
    """A line for each file of which dvc.lock says two things: where a stage made it, and where another read it."""
    made = {out["path"]: (name, out.get("md5")) for name, stage in locked.items() for out in stage.get("outs", [])}
    lines = []
    for reader, stage in locked.items():
        for dep in stage.get("deps", []):
            maker, digest = made.get(dep["path"], ("", dep.get("md5")))
            if digest != dep.get("md5"):
                lines.append(
                    f"{dep['path']} has the md5 {str(digest)[:12]} where {maker} made it, {str(dep.get('md5'))[:12]} "
                    f"where {reader} read it: one was edited, or {reader} has not run since. {REPRO}"
                )
    return lines


def other_metrics(locked: revision.Stages) -> list[str]:
    """A line for each file under metrics/ that is not what dvc.lock says was made."""
    return [
        f"{out['path']}: not what dvc.lock says was made. To go on: `dvc repro` makes it again."
        for stage in locked.values()
        for out in stage.get("outs", [])
        if is_gits(out["path"]) and md5(Path(out["path"])) != out.get("md5")
    ]


def not_in_git(locked: revision.Stages) -> list[str]:
    """A line for each output under metrics/, and dvc.lock, that is here and that git does not have."""
    made = [path for stage in locked.values() for path in revision.outputs(stage) if is_gits(path)]
    places = ["--", str(LOCK), str(METRICS.parent)]
    tracked = set(git("ls-files", "-z", *places).split("\0"))
    ignored = set(git("ls-files", "-z", "--others", "--ignored", "--exclude-standard", *places).split("\0"))
    lines = []
    for path in [str(LOCK), *made]:
        if path in ignored:
            lines.append(
                f"{path}: git ignores it. `git check-ignore -v {path}` names the rule: take it out, then add it."
            )
        elif path not in tracked and Path(path).is_file():
            lines.append(f"{path}: git does not have it. To go on: `git add {path}`, and commit it.")
    return lines
