"""What git holds: commits by name, DVC's experiments, the content of a file."""

import os
import re
import subprocess
from pathlib import Path

from cnn.process.errors import InputError

NO_GIT = "expected git on PATH. Received: none. Install it (in Debian: apt install git)."
EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(.+)")  # DVC: a ref an experiment, by its baseline


def commit_of(name: str) -> str:
    """The commit of a branch, a tag, a (short) hash or a DVC experiment. Raises InputError."""
    found = said("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
    if found:
        return found
    named = {baseline: commit for (baseline, one), commit in experiments().items() if one == name}
    head = said("rev-parse", "--verify", "--quiet", "HEAD").decode().strip()
    if len(named) > 1 and head not in named:
        raise InputError(
            f"{name}: expected one experiment of this name. Received: {len(named)}, of other commits: "
            f"{', '.join(baseline[:7] for baseline in named)}. Check out one of these, or give the experiment's hash."
        )
    if not named and not said("rev-parse", "--git-dir"):
        raise InputError(
            f"{Path.cwd()}: expected a repository that git reads. Received: none, or another user's. `git status` "
            "says why."
        )
    if not named:
        raise InputError(
            f"{name}: expected a commit, branch, tag or DVC experiment. Received: none of that name. `dvc exp list "
            "--all-commits` and `git log --oneline` show what there is; a shallow clone needs `git fetch --unshallow`."
        )
    return named.get(head) or next(iter(named.values()))


def experiments() -> dict[tuple[str, str], str]:
    """All of DVC's experiments: (the commit that it began from, its name) to its own commit."""
    lines = said("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").decode().splitlines()
    refs = [(line.partition(" ")[0], EXPERIMENT.fullmatch(line.partition(" ")[2])) for line in lines]
    return {(ref[1] + ref[2], ref[3]): commit for commit, ref in refs if ref}


def content(commit: str, path: Path, label: str) -> bytes:
    """The content of a file in a commit, or in the work tree where `commit` is empty. Raises InputError."""
    if commit:
        if held := said("cat-file", "blob", f"{commit}:./{path}"):
            return held
    elif path.is_file():
        return path.read_bytes()
    raise InputError(
        f"{label}: expected the file {path}. Received: none. It is made by `make run` and committed with its result; "
        "results that older versions of this project made lack some files."
    )


def said(*arguments: str, root: Path = Path()) -> bytes:
    """What git says in the folder `root`; nothing where it refuses. A hook's GIT_DIR and the like do not count.

    Raises InputError where there is no git.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(["git", *arguments], cwd=root, env=kept, capture_output=True, check=False).stdout
    except FileNotFoundError:
        raise InputError(NO_GIT) from None
