"""What DVC's remote storage lacks of what dvc.lock names: a team can have only what it holds."""

import json
import re
import subprocess
from pathlib import PurePath

from dvc.config import Config, ConfigError

from checks import revision
from checks.clone import CannotRunError, environment

PUSH = "To go on: `make push`"


def name() -> str:
    """The remote that `dvc push` takes; "" where none is configured. Raises CannotRunError for bad settings of DVC."""
    try:
        return Config(".dvc")["core"].get("remote", "")
    except ConfigError as error:
        raise CannotRunError(f"DVC's settings: {error}") from None


def not_pushed(locked: revision.Stages, seconds: float = 60) -> list[str]:
    """A line for each output that the remote lacks. Raises CannotRunError where it could not be asked (see `ask`)."""
    folders = {str(out.get("md5")): out["path"] for stage in locked.values() for out in stage.get("outs", [])}
    lacking = {folders.get(path, path): state for path, state in ask(seconds).items()}
    lines = []
    for path, state in sorted(lacking.items()):
        if not any(str(parent) in lacking for parent in PurePath(path).parents):  # a folder stands for what is in it
            here = f"is not on the remote {name()}: nobody else can have it. {PUSH}."
            gone = f"is neither here nor on the remote {name()}. {PUSH} where it was made, or `make run push` here."
            lines.append(f"{path} {here if state == 'new' else gone}")
    return lines


def ask(seconds: float = 60) -> dict[str, str]:
    """Ask the remote for what it lacks: {path: "new", which is here, or "missing", which is not here either}.

    A folder that is missing goes by its md5. Raises CannotRunError where the remote refuses, or gives no answer in
    so many seconds: DVC itself tries again for many minutes.
    """
    command = ["dvc", "status", "--cloud", "--json"]
    try:
        asked = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise CannotRunError(_unanswered(f"no answer in {seconds:.0f} seconds")) from None
    if asked.returncode:
        said = re.findall(r"^ERROR: (?:unexpected error - )?(.*)", asked.stderr, re.MULTILINE)
        raise CannotRunError(_unanswered("; ".join(said) or asked.stderr.strip()))
    lacking = {path: state for path, state in json.loads(asked.stdout).items() if state in ("new", "missing")}
    # Of a folder that is nowhere, DVC only warns.
    return lacking | dict.fromkeys(re.findall(r"md5: (\w+\.dir)", asked.stderr), "missing")


def _unanswered(reason: str) -> str:
    return f"the remote {name()} could not be asked: {reason}. docs/sharing.md says what it needs."
