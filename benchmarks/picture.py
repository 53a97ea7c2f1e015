"""Accuracy over time as a picture: a point a recipe, plain Keras beside it, a panel for each data set."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.contenders import CONTENDERS
from cnn.storage import files

OURS, YARDSTICK = "#1f5fa8", "#d9722e"


def draw(results: pd.DataFrame) -> Figure:
    """Mean test accuracy and its standard deviation over the median work time, on a logarithmic axis."""
    names = [name for name in CONTENDERS if name in set(results["contender"])]
    panels = list(dict.fromkeys(CONTENDERS[name].data for name in names))
    figure = Figure(figsize=(4.6 * len(panels), 3.6), dpi=110, layout="constrained")
    for axes, data in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, results, [name for name in names if CONTENDERS[name].data == data])
        axes.set_title(data, loc="left", fontsize=10)
    return figure


def _draw_panel(axes: Axes, results: pd.DataFrame, names: list[str]) -> None:
    times = []
    for name in names:
        runs = results[results["contender"] == name]
        yardstick = CONTENDERS[name].options is None
        colour = YARDSTICK if yardstick else OURS
        x, y, deviation = runs["work_s"].median(), 100 * runs["accuracy"].mean(), 100 * runs["accuracy"].std()
        times.append(x)
        axes.errorbar(x, y, deviation, fmt="o", color=colour, capsize=3)
        # To the left below a bar, to the right beside that of plain Keras: those that are as accurate stay apart.
        beside = name == CONTENDERS[name].base
        end, place, side = (y, (7, 4), "left") if beside else (y - deviation, (-4, -3), "right")
        label = name.removesuffix(f", {CONTENDERS[name].data}")  # which the panel's title says
        axes.annotate(label, (x, end), place, textcoords="offset points", ha=side, va="top", color=colour)
    axes.set(xscale="log", xlabel="work time, s", ylabel="test accuracy, %", xlim=(min(times) / 2.5, max(times) * 2.5))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.margins(y=0.15)
    axes.grid(alpha=0.25)


def save(results: pd.DataFrame, path: Path) -> None:
    """Write the picture. The user's own matplotlibrc must not change the bytes."""
    with mpl.rc_context({**mpl.rcParamsDefault, "axes.spines.top": False, "axes.spines.right": False}):
        figure = draw(results)
        with files.whole(path) as out:
            figure.savefig(out, format="png", metadata={"Software": None})
