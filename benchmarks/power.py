"""What difference can a test set show at all? And are the verdicts and intervals as sure as they say?

python -m benchmarks.power simulates it with the project's own code, and writes docs/power.csv and docs/power.png.
"""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cnn.comparison import ranking
from cnn.comparison.paired import LEVEL, POWER, Paired
from cnn.results import intervals, metrics
from cnn.results.metrics import Answers
from cnn.storage import files

TABLE, PICTURE = Path("docs/power.csv"), Path("docs/power.png")
SIZES = (400, 1000, 10_000)  # images: the default's validation and test images, MNIST's test images
DISAGREEMENTS = (0.01, 0.02, 0.05)  # share of images on which only one of the two is right
DRAWN = 0.03  # the disagreement in the picture
DIFFERENCES = np.arange(31) / 1000
EQUALS = (2, 5, 10)
DRAWS, RANKINGS, BOOTSTRAPS = 20_000, 2000, 400
COLOURS = dict(zip(SIZES, ("#d9722e", "#1f5fa8", "#3b3b3b"), strict=True))


def simulate() -> pd.DataFrame:
    """All rates: what, n, disagreement, difference, rate, draws."""
    return pd.DataFrame(_rows(), columns=["what", "n", "disagreement", "difference", "rate", "draws"])


def _rows() -> Iterator[tuple]:
    for n in SIZES:
        for disagreement in DISAGREEMENTS:
            yield "false alarm", n, disagreement, 0.0, false_alarms(n, disagreement), DRAWS
            for difference in (0.0, disagreement / 2):
                yield "coverage", n, disagreement, difference, coverage(n, disagreement, difference), DRAWS
    for n in SIZES[:2]:
        for count in EQUALS:
            yield f"false alarm in a ranking of {count}", n, DRAWN, 0.0, ranked(count, n), RANKINGS
    for kind, overconfident in {"calibrated": 0.0, "overconfident": 0.5}.items():
        for metric, rate in bootstrapped(SIZES[1], overconfident).items():
            yield f"coverage of {metric}, {kind}", SIZES[1], None, None, rate, BOOTSTRAPS
    for n in SIZES:
        for difference in DIFFERENCES.tolist():
            yield "power", n, DRAWN, difference, power(n, DRAWN, difference), DRAWS


def drawn(n: int, disagreement: float, difference: float) -> list[tuple[Paired, int]]:
    """What n images may show of two classifiers, the second better by `difference`, and how many of DRAWS show it."""
    gained, lost = (disagreement + difference) / 2, (disagreement - difference) / 2
    draws = np.random.default_rng(0).multinomial(n, [gained, lost, 1 - disagreement], DRAWS)[:, :2]
    pairs, counts = np.unique(draws, axis=0, return_counts=True)
    return [(Paired(n, *pair), count) for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)]


def false_alarms(n: int, disagreement: float) -> float:
    """How often one of two equals is called better."""
    return sum(count for pair, count in drawn(n, disagreement, 0.0) if pair.p_value() < LEVEL) / DRAWS


def power(n: int, disagreement: float, difference: float) -> float:
    """How often the second is called better."""
    cases = [(pair, count) for pair, count in drawn(n, disagreement, difference) if pair.gained > pair.lost]
    return sum(count for pair, count in cases if pair.p_value() < LEVEL) / DRAWS


def coverage(n: int, disagreement: float, difference: float) -> float:
    """How often the interval holds the true difference."""
    cases = [(*pair.interval(), count) for pair, count in drawn(n, disagreement, difference)]
    return sum(count for low, high, count in cases if low <= difference <= high) / DRAWS


def ranked(count: int, n: int) -> float:
    """How often a ranking of equals calls one worse. Each is wrong on images of its own; any two disagree on DRAWN."""
    random = np.random.default_rng(0)
    wrong = (1 - np.sqrt(1 - 2 * DRAWN)) / 2  # 2 wrong (1 - wrong) = DRAWN
    alarms = 0
    for _ in range(RANKINGS):
        right = sorted(random.random((count, n)) >= wrong, key=lambda one: -one.sum())
        alarms += ranking.WORSE in [place for place, _ in ranking.places(right)]
    return alarms / RANKINGS


def sample(random: np.random.Generator, n: int, overconfident: float) -> Answers:
    """Answers to n images, ten classes: right as often as the confidence says, or less where it is overconfident."""
    confidence = 1 - 0.6 * random.beta(0.2, 2, n)
    right = random.random(n) < confidence - overconfident * (1 - confidence)
    actual = random.integers(0, 10, n)
    predicted = np.where(right, actual, (actual + random.integers(1, 10, n)) % 10)
    return Answers(actual, predicted, confidence, np.where(right, confidence, (1 - confidence) / 9), 10)


def bootstrapped(n: int, overconfident: float) -> dict[str, float]:
    """How often each interval by resampling holds the truth, which a million images tell."""
    random = np.random.default_rng(0)
    truth = metrics.measure(sample(random, 1_000_000, overconfident))
    held = dict.fromkeys(("loss", "macro_f1", "calibration_error"), 0)
    for _ in range(BOOTSTRAPS):
        limits = intervals.intervals(sample(random, n, overconfident))
        for metric in held:
            held[metric] += limits[metric].low <= truth[metric] <= limits[metric].high
    return {metric: count / BOOTSTRAPS for metric, count in held.items()}


def shown(table: pd.DataFrame, n: int) -> float:
    """The smallest true difference that n images show 8 times in 10, between two simulated ones."""
    rows = table[(table["what"] == "power") & (table["n"] == n)]
    return float(np.interp(POWER, rows["rate"], rows["difference"]))


def draw(table: pd.DataFrame) -> Figure:
    """Power over the true difference, a curve for each size."""
    figure = Figure(figsize=(8, 4.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.axhline(100 * POWER, color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    axes.text(3.0, 100 * POWER + 1.5, "8 times in 10", ha="right", color="#777777")
    for n, colour in COLOURS.items():
        rows = table[(table["what"] == "power") & (table["n"] == n)]
        axes.plot(100 * rows["difference"], 100 * rows["rate"], color=colour, linewidth=2.2)
        place = 100 * shown(table, n)
        axes.plot(place, 100 * POWER, "o", color=colour, markersize=6)
        label = f"{n:,} images:\n{place:.1f} points"
        axes.text(place + 0.04, 100 * POWER - 2, label, va="top", color=colour)
    about = f"Two networks, of which only one is right on {DRAWN:.0%} of the images"
    axes.set_title(f"What difference can a test set show?\n{about}", loc="left", fontsize=10)
    axes.set(xlabel="true lead in accuracy, percentage points", ylabel="how often it is called better, %")
    axes.set(xlim=(0, 3.02), ylim=(0, 102))
    axes.grid(alpha=0.25)
    return figure


def main() -> None:
    table = simulate()
    with files.whole(TABLE, "w") as out:
        table.to_csv(out, index=False, float_format="%.6g", lineterminator="\n")
    # The user's own matplotlibrc must not change the bytes.
    with mpl.rc_context({**mpl.rcParamsDefault, "axes.spines.top": False, "axes.spines.right": False}):
        figure = draw(table)
        with files.whole(PICTURE) as out:
            figure.savefig(out, format="png", metadata={"Software": None})


if __name__ == "__main__":
    main()
