"""Where everything in the page's charts lies: learning curves, confusion matrix, calibration, intervals."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cnn.results.intervals import wilson_interval
from cnn.results.metrics import BINS, bin_of, confusion_matrix

WIDTH, HEIGHT = 440, 230  # of a curve, in the units of its drawing
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 34
MOST_NUMBERED = 20  # classes: of more, the cells are too small for numbers


@dataclass(frozen=True)
class Curve:
    """A metric over the epochs. lines: {series: points (x, y)}; bands: (x, width, what happened there)."""

    metric: str
    ticks_x: list[tuple[float, str]]
    ticks_y: list[tuple[float, str]]
    lines: dict[str, list[tuple[float, float]]]
    bands: list[tuple[float, float, str]]


def curve(history: pd.DataFrame, metric: str) -> Curve:
    """`metric` ("loss" or "accuracy") of training and validation over the epochs."""
    series = {"training": history[metric], "validation": history[f"val_{metric}"]}
    series = {name: values for name, values in series.items() if values.notna().any()}
    every = pd.concat(list(series.values())).dropna()
    bottom, top = (0.0, float(every.max())) if metric == "loss" else (float(every.min()), 1.0)
    ticks = nice_ticks(bottom, top)
    first, last = int(history["epoch"].min()), int(history["epoch"].max())
    step = (WIDTH - LEFT - RIGHT) / max(last - first, 1)

    def x(epoch: float) -> float:
        return round(LEFT + (epoch - first) * step if last > first else (LEFT + WIDTH - RIGHT) / 2, 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - ticks[0]) / (ticks[-1] - ticks[0]) * (HEIGHT - TOP - BOTTOM), 1)

    ends = LEFT, WIDTH - RIGHT
    bands = []
    for epoch, *values in zip(history["epoch"], *series.values(), strict=True):
        left, right = max(x(epoch) - step / 2, ends[0]), min(x(epoch) + step / 2, ends[1])
        bands.append((left, right - left, "\n".join([f"epoch {epoch}", *map(_labelled, series, values)])))
    return Curve(
        metric,
        [(x(epoch), f"{epoch:g}") for epoch in nice_ticks(first, last, 8) if first <= epoch <= last and epoch % 1 == 0],
        [(y(value), f"{value:g}") for value in ticks],
        {
            name: [
                (x(epoch), y(value)) for epoch, value in zip(history["epoch"], values, strict=True) if value == value
            ]
            for name, values in series.items()
        },
        bands,
    )


def _labelled(name: str, value: float) -> str:
    return f"{name} {value:.4f}"


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers, evenly spaced, at most about `most` of them, the first and the last around low and high."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if span / (factor * power) <= most)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(start, max(end, start + 1) + 1)]


@dataclass(frozen=True)
class Cell:
    """Images of the class `row` that were taken for the class `column`. strength: 0 to 1, of its colour."""

    row: int
    column: int
    count: int
    share: float  # of the images of its row
    strength: float


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix: its cells that are not empty; the sizes of a cell and of the space for names."""

    split: str
    cells: list[Cell]
    wrong: int
    total: int
    size: float
    margin: float
    numbered: bool

    @property
    def pairs(self) -> list[Cell]:
        """The most frequent confusions."""
        errors = [cell for cell in self.cells if cell.row != cell.column]
        return sorted(errors, key=lambda cell: (-cell.count, -cell.share, cell.row, cell.column))[:10]


def confusion(predictions: pd.DataFrame, split: str, classes: list[str]) -> Confusion:
    """The confusion matrix of the predictions of one split."""
    matrix = confusion_matrix(predictions["actual"].to_numpy(), predictions["predicted"].to_numpy(), len(classes))
    errors = np.where(np.eye(len(classes), dtype=bool), 0, matrix)
    most, rows = max(int(errors.max()), 1), np.maximum(matrix.sum(axis=1), 1)
    cells = []
    for row, column in zip(*map(np.ndarray.tolist, np.nonzero(matrix)), strict=True):
        count, share = int(matrix[row, column]), float(matrix[row, column] / rows[row])
        cells.append(Cell(row, column, count, share, share if row == column else count / most))
    numbered = len(classes) <= MOST_NUMBERED
    size = 32.0 if numbered else max(640 / len(classes), 3)
    longest = min(max(map(len, classes)), 12) if len(classes) <= 2 * MOST_NUMBERED else 0
    margin = 26 + 7.0 * longest
    return Confusion(split, cells, int(errors.sum()), len(predictions), size, margin, numbered)


@dataclass(frozen=True)
class Bin:
    """The images whose confidence is from `start` to `end`. low, high: 95 % Wilson interval of the accuracy."""

    start: float
    end: float
    count: int
    confidence: float  # mean
    accuracy: float
    low: float
    high: float


def reliability(predictions: pd.DataFrame) -> list[Bin]:
    """Accuracy by confidence, in BINS equally wide bins, those without images left out (arXiv:1706.04599)."""
    right = (predictions["actual"] == predictions["predicted"]).to_numpy()
    confidence = predictions["confidence"].to_numpy()
    places = bin_of(confidence)
    bins = []
    for place in range(BINS):
        chosen = places == place
        if count := int(chosen.sum()):
            low, high = wilson_interval(int(right[chosen].sum()), count)
            mean, accuracy = float(confidence[chosen].mean()), float(right[chosen].mean())
            bins.append(Bin(place / BINS, (place + 1) / BINS, count, mean, accuracy, low, high))
    return bins
