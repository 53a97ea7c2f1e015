"""The trials of a sweep: which there are, and which is this process's next. Optuna keeps them, in a database.

A trial that runs has a folder in which it does, and its process holds that. So a trial whose folder is here, held by
nobody, was left by a killed process: the next process goes on with it. Of one that runs on another machine the
heartbeat says whether it is alive.
"""

import uuid
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from checks.sweep import folders, space, storage
from checks.sweep.draw import draw

STARTUP, WARMUP = 5, 2  # finished trials before any is stopped; the first epoch after which one is


class Trial(NamedTuple):
    """A trial that this process runs, in a folder that it holds. values: by the parameters' dotted names."""

    id: int
    number: int
    values: dict[str, Any]
    folder: folders.Folder


class Study:
    """The trials of one search space on one commit, in the storage, and the folders in which they run."""

    def __init__(self, database: RDBStorage, name: str, searched: space.Space, parent: Path):
        """Create it, or go on with it. parent: where the folders of its trials are."""
        self.name, self._storage, self.space, self._parent = name, database, searched, parent
        self._pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARMUP)
        self.optuna = optuna.create_study(
            storage=database, study_name=name, direction="maximize", load_if_exists=True, pruner=self._pruner
        )
        self._id = database.get_study_id_from_name(name)
        parent.mkdir(parents=True, exist_ok=True)

    def trials(self) -> list[FrozenTrial]:
        """All that count: those that a dead machine left, and those taken back, do not."""
        return [trial for trial in self._all() if trial.state != TrialState.FAIL]

    def running(self) -> int:
        """How many trials run, in whatever process, or were left by one."""
        return sum(trial.state == TrialState.RUNNING for trial in self._all())

    def next(self, wanted: int) -> Trial | None:
        """The next trial to run: one that was left, or a new one while there are fewer than wanted. None: no such one.

        Alone on this machine. Another machine may begin one too many, or the same one, at this moment: the one with
        the larger number is taken back.
        """
        with self.alone():
            if left := self._left():
                return left
            while len(self.trials()) < wanted and (values := draw(self._all(), self.space)):
                trial = self._begin(values)
                before = [one.params for one in self.trials() if one.number < trial.number]
                if len(before) < wanted and values not in before:
                    return trial
                self.finish(trial, TrialState.FAIL)
            with storage.quiet():
                optuna.storages.fail_stale_trials(self.optuna)
        return None

    def alone(self) -> AbstractContextManager[None]:
        """Hold the study's lock on this machine, and wait for it."""
        return folders.alone(self._parent.with_suffix(".lock"))

    def alive(self, trial: Trial) -> None:
        """Renew the heartbeat of a trial."""
        self._storage.record_heartbeat(trial.id)

    def report(self, trial: Trial, epoch: int, accuracy: float) -> bool:
        """Note the validation accuracy after an epoch. Returns whether it is below the median of the others'.

        Raises optuna.exceptions.UpdateFinishedTrialError where another machine took this one for dead; so does finish.
        """
        self._storage.set_trial_intermediate_value(trial.id, epoch, accuracy)
        return self._pruner.prune(self.optuna, self._storage.get_trial(trial.id))

    def finish(self, trial: Trial, state: TrialState, accuracy: float | None = None) -> None:
        """Note the end of a trial, and remove its folder."""
        self._storage.set_trial_state_values(trial.id, state, None if accuracy is None else [accuracy])
        trial.folder.remove()

    def _all(self) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False)

    def _left(self) -> Trial | None:
        """A trial that a killed process of this machine left. What is left of finished ones is removed."""
        for folder in folders.left(self._parent):
            # Asked after the folder was taken: from now on no other process changes its trial.
            for trial in self._all():
                if trial.user_attrs["folder"] == folder.path.name and trial.state == TrialState.RUNNING:
                    id = self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
                    return self._held(id, folder)
            folder.remove()
        return None

    def _begin(self, values: dict[str, Any]) -> Trial:
        """Enter a trial with these values. It has a folder from its first moment on: so a kill loses none."""
        folder = folders.new(self._parent / uuid.uuid4().hex[:12])
        begun = optuna.create_trial(
            state=TrialState.RUNNING,
            params=values,
            distributions=self.space,
            user_attrs={"folder": folder.path.name},
        )
        return self._held(self._storage.create_new_trial(self._id, begun), folder)

    def _held(self, id: int, folder: folders.Folder) -> Trial:
        self._storage.record_heartbeat(id)
        trial = self._storage.get_trial(id)
        return Trial(id, trial.number, trial.params, folder)
