"""The picture of confusion matrices, of any number of classes."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from cnn.results.sheet import BLUE, BORDER, GAP, GREY, Sheet, drawable, width_of

MOST_CLASSES = 20  # of more, those that are confused most
PANEL, NAME, CELL = 960, 170, 46  # pixels, at most: the width of a matrix, of a class's name, of a cell


def draw_confusion(matrices: Mapping[str, NDArray[np.int64]], classes: list[str], path: Path) -> None:
    """Draw confusion matrices (classes, classes) of counts side by side, by the name of their split.

    Of more than MOST_CLASSES classes those are drawn that are confused most with each other, in all matrices together.
    """
    chosen = most_confused(np.sum(list(matrices.values()), axis=0))
    names = list(drawable(classes, chosen, NAME).values())
    widest = max(map(width_of, names))
    cell = min(CELL, int(PANEL - widest - 60) // len(chosen))
    margin, below = int(widest) + 34, int(widest) + 34 if widest > cell - 4 else 40
    titles = {split: _title(split, matrix, chosen) for split, matrix in matrices.items()}
    side, top = cell * len(chosen), BORDER + 18 * (1 + ("\n" in next(iter(titles.values())))) + GAP
    panel = (
        max(margin + side, *(int(width_of(line)) for title in titles.values() for line in title.split("\n"))) + BORDER
    )
    sheet = Sheet(BORDER + panel * len(matrices), top + side + below + BORDER)
    for place, (split, matrix) in enumerate(matrices.items()):
        left = BORDER + place * panel
        sheet.write(titles[split], left, top - GAP, va="bottom", linespacing=1.3)
        sheet.write("actual", left, top + side / 2, rotation=90, va="center", color=GREY)
        sheet.write("predicted", left + margin + side / 2, top + side + below, ha="center", va="bottom", color=GREY)
        _names(sheet, names, left + margin, top, cell)
        _cells(sheet, matrix[np.ix_(chosen, chosen)], left + margin, top, cell)
    sheet.save(path)


def _names(sheet: Sheet, names: list[str], left: int, top: int, cell: int) -> None:
    """The names of the classes beside the rows and below the columns, upright where one is wider than a cell."""
    rotation = 90 if max(map(width_of, names)) > cell - 4 else 0
    for number, name in enumerate(names):
        centre = (number + 0.5) * cell
        sheet.write(name, left - GAP, top + centre, ha="right", va="center_baseline")
        sheet.write(name, left + centre, top + len(names) * cell + GAP, ha="center", va="top", rotation=rotation)


def most_confused(matrix: NDArray[np.int64]) -> list[int]:
    """At most MOST_CLASSES classes, in their order: again and again the one goes that has the fewest mistakes left."""
    errors = matrix + matrix.T
    np.fill_diagonal(errors, 0)
    chosen = list(range(len(errors)))
    while len(chosen) > MOST_CLASSES:
        left = errors[np.ix_(chosen, chosen)].sum(axis=0)
        del chosen[len(chosen) - 1 - int(left[::-1].argmin())]  # of equal ones the last
    return chosen


def _title(split: str, matrix: NDArray[np.int64], chosen: list[int]) -> str:
    total, wrong = int(matrix.sum()), int(matrix.sum() - np.trace(matrix))
    title = f"{split}: {wrong:,} of {total:,} wrong ({wrong / total:.2%})"
    if len(chosen) == len(matrix):
        return title
    part = matrix[np.ix_(chosen, chosen)]
    held = int(part.sum() - np.trace(part))
    share = f"{held:,} of these mistakes ({held / max(wrong, 1):.0%})"
    return f"{title}\nthe {len(chosen)} most confused of {len(matrix)} classes: {share}"


def _cells(sheet: Sheet, matrix: NDArray[np.int64], left: int, top: int, cell: int) -> None:
    """The counts in their cells; colour shows the errors only, since they are few."""
    errors = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    colours = mpl.colormaps["Oranges"](errors / (max(errors.max(), 1) * 1.3), bytes=True)[:, :, :3]
    pixels = colours.repeat(cell, axis=0).repeat(cell, axis=1)
    pixels[cell - 1 :: cell], pixels[:, cell - 1 :: cell] = 255, 255
    sheet.put(pixels, left, top)
    texts = {place: _count(matrix[place]) for place in map(tuple, np.argwhere(matrix).tolist())}
    size = min(8, 8 * (cell - 6) / max((1.15 * width_of(text, 8) for text in texts.values()), default=1))
    for (row, column), text in texts.items():
        colour, weight = (BLUE, "bold") if row == column else ("black", "normal")
        place = left + (column + 0.5) * cell, top + (row + 0.5) * cell
        sheet.write(text, *place, ha="center", va="center_baseline", color=colour, weight=weight, size=size)


def _count(count: int) -> str:
    """A count of a few characters."""
    return f"{count:,}" if count < 10_000 else f"{count / 1e3:.0f}k" if count < 999_500 else f"{count / 1e6:.1f}M"
