"""One trial: a run of the pipeline in a clone of the commit, stopped where it falls behind, kept as an experiment."""

import csv
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from optuna.trial import TrialState

from checks import local_data, revision, runs
from checks.clone import CannotRunError, clone_of, dvc, git
from checks.committed import is_gits
from checks.sweep.storage import HEARTBEAT
from checks.sweep.study import Study, Trial
from cnn.settings import params
from cnn.storage.paths import HISTORY

DIVERGED = "Training diverged"  # what train says where a loss or a weight is not finite
BY = ("-c", "user.name=sweep", "-c", "user.email=sweep@localhost", "-c", "commit.gpgsign=false")


class FellBehindError(Exception):
    """A trial's validation accuracy after an epoch is below the median of the others'."""

    def __init__(self, epoch: int, epochs: int, accuracy: float):
        super().__init__(f"after epoch {epoch} of {epochs}: validation accuracy {accuracy:.4f}")
        self.accuracy = accuracy


def run(study: Study, trial: Trial, commit: str) -> str:
    """Run a trial to its end, or go on with it. Returns what came of it. Raises RunFailedError, CannotRunError."""
    clone = _clone(trial.folder.path, commit)
    try:
        metrics, took = runs.run(clone, trial.values, _watch(study, trial, clone))
    except FellBehindError as behind:
        said, state, accuracy = f"stopped {behind}", TrialState.PRUNED, behind.accuracy
    except runs.RunFailedError as error:
        if DIVERGED not in str(error):
            raise
        said, state, accuracy = "stopped: training diverged", TrialState.PRUNED, None
    else:
        state, accuracy = TrialState.COMPLETE, metrics["validation.accuracy"]
        said = f"validation accuracy {accuracy:.4f}  {took}"
    _keep(clone, commit, name_of(study, trial.number), whole=state == TrialState.COMPLETE)
    study.finish(trial, state, accuracy)
    return said


def name_of(study: Study, number: int) -> str:
    """The name of a trial's experiment."""
    return f"{study.name}-{number + 1}"


def _clone(folder: Path, commit: str) -> Path:
    """The clone in a trial's folder, made where none is complete. Its history.csv is the trial's own."""
    clone, complete = folder / "clone", folder / "complete"
    if not complete.exists():
        shutil.rmtree(clone, ignore_errors=True)
        clone_of(commit, clone, shared_cache=True)
        if lines := local_data.lend(clone):
            raise CannotRunError("\n".join(lines))
        dvc(clone, "checkout", "--quiet", "--allow-missing")
        complete.touch()
    (clone / HISTORY).unlink(missing_ok=True)
    return clone


def _watch(study: Study, trial: Trial, clone: Path) -> Callable[[], None]:
    """A function to be called again and again: it renews the heartbeat, reports each epoch, stops the trial.

    Epochs are judged one by one, also where several have ended since: what becomes of a trial is no matter of timing.
    The last one ends none: the result is as good as there.
    """
    epochs = trial.values.get("train.epochs") or params.load_params().train.epochs
    reported, renewed = 0, time.monotonic()

    def watch() -> None:
        nonlocal reported, renewed
        if time.monotonic() - renewed > HEARTBEAT:
            study.alive(trial)
            renewed = time.monotonic()
        for epoch, accuracy in list(enumerate(_accuracies(clone), 1))[reported:]:
            reported = epoch
            if study.report(trial, epoch, accuracy) and epoch < epochs:
                raise FellBehindError(epoch, epochs, accuracy)

    return watch


def _accuracies(clone: Path) -> list[float]:
    """The validation accuracy after each epoch so far."""
    try:
        with open(clone / HISTORY, newline="") as file:
            return [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []


def _keep(clone: Path, commit: str, name: str, whole: bool) -> None:
    """Keep what is in the clone as a DVC experiment of the project: a commit on the one that it began from.

    whole: whether all stages ran. Else the results in the clone are the commit's still: they are left out.
    """
    if not whole:
        for stage in revision.stages(clone / "dvc.yaml").values():
            for path in revision.outputs(stage):
                if is_gits(path) and path != str(HISTORY):
                    (clone / path).unlink(missing_ok=True)
    git("-C", str(clone), "reset", "--quiet", "--soft", commit)
    git("-C", str(clone), "add", "--all")
    git("-C", str(clone), *BY, "commit", "--quiet", "--allow-empty", f"--message={name}")
    ref = f"refs/exps/{commit[:2]}/{commit[2:]}/{name}"
    git(
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--force",
        str(clone),
        f"HEAD:{ref}",
    )
