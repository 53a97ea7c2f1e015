"""What a sweep found: its trials ranked, with intervals and the seed's noise."""

import json

from optuna.trial import FrozenTrial, TrialState

from checks import compare_text, ranked
from checks.sweep.study import Study
from checks.sweep.trial import name_of
from cnn.comparison import git, revisions
from cnn.comparison.revisions import Result


def results(study: Study, commit: str) -> dict[int, Result]:
    """The results of the finished trials that this repository holds, by the trials' numbers."""
    held = git.experiments()
    names = {one.number: name_of(study, one.number) for one in study.trials() if one.state == TrialState.COMPLETE}
    return {
        number: revisions.read(name, held[commit, name]) for number, name in names.items() if (commit, name) in held
    }


def text(study: Study, commit: str) -> str:
    """The ranking of HEAD and the trials by their validation images, and what is known of the others."""
    found = results(study, commit)
    head, notes = ranked.read_all({"HEAD": commit})
    several = [*head, *found.values()]
    parts = [compare_text.text(ranked.several(several, ["validation"]), markdown=False)] if several else []
    rows, elsewhere = [], []
    for one in study.trials():
        name = name_of(study, one.number)
        if one.state == TrialState.PRUNED:
            rows.append(
                [name, *_last(one), ", ".join(f"{key}={json.dumps(value)}" for key, value in one.params.items())]
            )
        elif one.number not in found:
            elsewhere.append(f"{name} ({one.value:.4f})")
    if rows:
        header = ["", "epochs", "accuracy then", "its parameters"]
        parts.append(compare_text.plain(compare_text.Table("Stopped early, on validation", header, rows)))
    if elsewhere:
        parts.append(
            f"Not in this repository, with their validation accuracy: {', '.join(elsewhere)}. On the machine that ran "
            "them, `dvc exp push` sends them to a git remote, from which `dvc exp pull` fetches them here."
        )
    return "\n\n".join([*parts, *notes])


def _last(trial: FrozenTrial) -> list[str]:
    """The epochs that a trial has, and its accuracy after the last one."""
    if not trial.intermediate_values:
        return ["0", "diverged"]
    epoch, accuracy = max(trial.intermediate_values.items())
    return [str(epoch), f"{accuracy:.4f}" if trial.value is not None else "diverged"]
