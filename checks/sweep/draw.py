"""Which values the next trial has."""

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from checks.sweep import space

DRAWS = 200  # in a row of which each is known or impossible: then the space is taken to hold nothing else


def draw(trials: list[FrozenTrial], searched: space.Space) -> dict[str, Any] | None:
    """Values that no trial has and that params.yaml can have, by dotted name. None where the space holds no others.

    Those that a dead machine left come first. Else Optuna draws, out of a copy: a draw that is not used leaves no
    trace. Its seed is the number of trials, so that one process draws the same again, however often it is killed.
    """
    known = [trial.params for trial in trials if trial.state != TrialState.FAIL]
    for trial in trials:
        if trial.params not in known:
            return trial.params
    copy = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=len(trials)))
    copy.add_trials(trials)
    for _ in range(DRAWS):
        drawn = copy.ask(searched)
        values = {name: space.rounded(value, searched[name]) for name, value in drawn.params.items()}
        if values not in known and not space.impossible(values):
            return values
        copy.tell(drawn, state=TrialState.FAIL)
    return None
