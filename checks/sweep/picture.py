"""What mattered: a panel a parameter, the one first that explains most of the accuracy."""

import math
from pathlib import Path

import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from checks.sweep.study import Study
from cnn.comparison.revisions import Result
from cnn.results.sheet import BLUE, GREY, figure_of

COLUMNS, WIDTH, HEIGHT = 3, 340, 260  # panels a row; pixels of one


def draw(study: Study, path: Path, results: dict[int, Result]) -> Path:
    """Draw the validation accuracy over each parameter; with the 95 % intervals of the results, by trial number.

    Alone on this machine: processes that share the work end at the same moment.
    """
    trials = [trial for trial in study.trials() if trial.value is not None]
    shares = importances(study)
    columns, rows = min(COLUMNS, len(shares)), -(-len(shares) // COLUMNS)
    with study.alone(), figure_of(path, columns * WIDTH, rows * HEIGHT + 40) as figure:
        for place, (name, share) in enumerate(shares.items(), 1):
            axes = figure.add_subplot(rows, columns, place)
            axes.set_title(name if share is None else f"{name}: {share:.0%}", fontsize="medium")
            _panel(axes, name, study.space[name], trials, results)
            if place % columns == 1 or columns == 1:
                axes.set_ylabel("validation accuracy")
        figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=2, frameon=False)
        figure.tight_layout(rect=(0, 28 / (rows * HEIGHT + 40), 1, 1))
    return path


def importances(study: Study) -> dict[str, float | None]:
    """How much of the differences between the finished trials each parameter explains, the largest first.

    Optuna's PED-ANOVA (S. Watanabe, A. Bansal, F. Hutter, IJCAI 2023); shares of 1. None: too few trials to say.
    """
    finished = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    if len({trial.value for trial in finished}) < 2:
        return dict.fromkeys(study.space)
    return dict(optuna.importance.get_param_importances(study.optuna))


def _panel(
    axes: Axes, name: str, distribution: BaseDistribution, trials: list[FrozenTrial], results: dict[int, Result]
) -> None:
    """Finished trials with their intervals, and those that were stopped, over one parameter."""
    places = {}
    if isinstance(distribution, CategoricalDistribution):
        places = {repr(choice): place for place, choice in enumerate(distribution.choices)}
        axes.set_xticks(range(len(places)), [str(choice) for choice in distribution.choices])
        axes.set_xlim(-0.5, len(places) - 0.5)
    elif isinstance(distribution, IntDistribution | FloatDistribution) and distribution.log:
        axes.set_xscale("log")
        axes.set_xlim(distribution.low / 1.2, distribution.high * 1.2)
        ends = (distribution.low, math.sqrt(distribution.low * distribution.high), distribution.high)
        axes.set_xticks(ends, [f"{end:.2g}" for end in ends])
        axes.xaxis.set_minor_formatter(NullFormatter())
    for trial in trials:
        at = (places.get(repr(trial.params[name]), trial.params[name]), trial.value or 0.0)
        if trial.state == TrialState.PRUNED:
            axes.plot(*at, "v", color=GREY, fillstyle="none")
            continue
        axes.plot(*at, "o", color=BLUE)
        if result := results.get(trial.number):
            row = result.details["validation", "accuracy"]
            axes.vlines(at[0], row["low"], row["high"], color=BLUE, alpha=0.5)
    axes.plot([], [], "o", color=BLUE, label="finished, with its 95 % interval")
    axes.plot([], [], "v", color=GREY, fillstyle="none", label="stopped early, where it was then")
