"""Try parameters out of the space in sweep.yaml, and say which are best and which cannot be told apart.

python -m checks.sweep [--trials N]     exit code 0: N trials are done, 1: a run failed, 2: could not run

STORAGE=… in the environment: the URL of a database that several machines share; else a file in sweeps/.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import optuna

from checks import runs, signals
from checks.clone import CannotRunError, git
from checks.mend import CannotMendError
from checks.sweep import picture, space, storage, table, trial
from checks.sweep.study import Study
from cnn.process.errors import InputError
from cnn.settings import strict_yaml

FOLDER = Path("sweeps")  # git ignores it
PAUSE = 2  # seconds between two looks for a trial to run


def sweep(wanted: int, url: str) -> None:
    """Run trials until as many as wanted are done, here or elsewhere; then print the table."""
    searched = space.load()
    commit = _commit()
    content = json.dumps([commit, strict_yaml.load_yaml(space.SPACE)[0]], sort_keys=True)
    name = f"sweep-{hashlib.blake2b(content.encode(), digest_size=4).hexdigest()}"
    FOLDER.mkdir(exist_ok=True)
    study = Study(storage.open_storage(url), name, searched, FOLDER / name)
    print(f"sweep: {name}, {len(study.trials())} of {wanted} trials so far", flush=True)
    while (found := study.next(wanted)) or study.running():
        if found:
            _run(study, found, commit)
        else:
            time.sleep(PAUSE)  # for those that other processes run, or leave
    if (count := len(study.trials())) < wanted:
        print(f"sweep: {space.SPACE} seems to hold no more than these {count} trials")
    drawn = picture.draw(study, FOLDER / f"{name}.png", table.results(study, commit))
    print(f"\n{table.text(study, commit)}\n\nWhat mattered: {drawn}")


def _run(study: Study, found: trial.Trial, commit: str) -> None:
    values = ", ".join(f"{name}={json.dumps(value)}" for name, value in found.values.items())
    try:
        said = trial.run(study, found, commit)
    except optuna.exceptions.UpdateFinishedTrialError:
        said = "taken for dead by another machine, which runs it again"
        found.folder.remove()
    print(f"{trial.name_of(study, found.number)}: {values}  {said}", flush=True)


def _commit() -> str:
    """The commit that the trials begin from: HEAD. Raises InputError where the work tree has other files than that."""
    changed = [
        line[3:]
        for line in git("status", "--porcelain", "--untracked-files=no").splitlines()
        if line[3:] != str(space.SPACE)
    ]
    if changed:
        raise InputError(
            f"expected the files of HEAD, from which each trial begins. Received other ones: {', '.join(changed)}. "
            "Commit the change, or `git stash` it."
        )
    return git("rev-parse", "HEAD").strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.sweep", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--trials", default="20", metavar="N", help="how many trials there are in the end (default: 20)"
    )
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = os.environ.get("STORAGE") or f"sqlite:///{FOLDER}/trials.db"
    try:
        sweep(runs.count(options.trials, "TRIALS", 1, "make sweep TRIALS=20"), url)
    except runs.RunFailedError as error:
        print(f"{error}\nsweep: a trial failed, see above. Run it again to go on with it.", file=sys.stderr)
        return 1
    except (InputError, CannotRunError, CannotMendError) as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    except storage.FAULTS as error:
        print(f"sweep: {storage.unusable(url, error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    signals.end_on_signals("sweep")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # where the reader has gone (sweep | head), end quietly
    sys.exit(main())
