"""A clone of a commit, or of the work tree, in which DVC runs undisturbed by the caller's settings of git and DVC."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cnn.comparison.git import NO_GIT


class CannotRunError(Exception):
    """The result could not be derived again, so nothing can be said about it."""


def environment() -> dict[str, str]:
    """This process's environment, less what would bend git, DVC or Python (a git hook sets GIT_DIR).

    PATH begins with this Python's own commands, and a relative DATA_MIRROR is made absolute.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "PYTHON"))}
    kept["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    mirror = os.environ.get("DATA_MIRROR", "")
    if mirror and "://" not in mirror:
        kept["DATA_MIRROR"] = str(Path(mirror).resolve())
    return kept


def git(*arguments: str) -> str:
    """Run git, without hooks, and with files as they were committed. Raises CannotRunError with what it says."""
    settings = {"core.hooksPath": "/dev/null", "core.attributesFile": "/dev/null", "core.autocrlf": "false"}
    command = ["git", *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")), *arguments]
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, errors="surrogateescape", check=False)
    except FileNotFoundError:
        raise CannotRunError(NO_GIT) from None
    if done.returncode:
        verb = next(word for word in arguments if not word.startswith(("-", "/")))
        raise CannotRunError(f"git {verb}: {done.stderr.strip() or 'no such revision'}")
    return done.stdout


def clone_of(commit: str, folder: Path, shared_cache: bool = False) -> Path:
    """Clone a commit into a folder, with a DVC cache of its own: nothing made earlier can stand in for a result.

    shared_cache: with this project's cache, so that what was made is not made again.
    """
    git("clone", "--quiet", "--no-checkout", ".", str(folder))
    git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
    _set_cache(folder, _cache() if shared_cache else str(folder / ".dvc/cache"))
    return folder


def clone_of_work_tree(folder: Path) -> Path:
    """Copy the work tree, less what git ignores, into a git repository in a folder, with this project's DVC cache."""
    git("init", "--quiet", str(folder))
    for name in filter(None, git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")):
        if os.path.isfile(name):  # not one that is deleted and still in git
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, folder / name)
    _set_cache(folder, _cache())
    return folder


def _cache() -> str:
    """Where this project's DVC cache is."""
    asked = subprocess.run(["dvc", "cache", "dir"], env=environment(), capture_output=True, text=True, check=False)
    if asked.returncode:
        raise CannotRunError(f"`dvc cache dir`: {asked.stderr.strip()}")
    return asked.stdout.strip()


def _set_cache(clone: Path, folder: str) -> None:
    dvc(clone, "config", "--local", "cache.dir", folder)


def dvc_environment(clone: Path) -> dict[str, str]:
    """The environment for DVC in a clone: its user's and its system's settings are empty folders beside the clone."""
    settings = dict.fromkeys(("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"), f"{clone}-dvc")
    return environment() | settings


def dvc(clone: Path, *arguments: str) -> None:
    """Run DVC in a clone, its output on standard error. Raises CannotRunError where it fails."""
    done = subprocess.run(["dvc", *arguments], cwd=clone, env=dvc_environment(clone), stdout=sys.stderr, check=False)
    if done.returncode:
        raise CannotRunError(f"`dvc {arguments[0]}` ended with exit code {done.returncode} in the clone; see above.")


def md5(path: Path) -> str:
    """The md5 of a file, as DVC takes it; "missing" where there is none."""
    return hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else "missing"
