"""Pictures, drawn by matplotlib to the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from cnn.storage import files

BLUE, ORANGE = "#1f5fa8", "#d9722e"


@contextmanager
def _drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of the size given in inches, saved to `path`."""
    # The user's own matplotlibrc must not change the bytes.
    with mpl.rc_context({**mpl.rcParamsDefault, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure((width, height), dpi=110, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        yield figure
        with files.whole(path) as out:
            figure.savefig(out, format="png", metadata={"Software": None})


def draw_confusion(matrix: NDArray[np.int64], classes: list[str], path: Path) -> None:
    """Draw a confusion matrix (classes, classes) of counts; colour shows the errors only, since they are few."""
    count = len(classes)
    longest = max(map(len, classes))
    with _drawing(path, max(3.3, 1.6 + 0.45 * count) + 0.07 * longest, 1.3 + 0.42 * count + 0.05 * longest) as figure:
        axes = figure.subplots()
        errors = np.where(np.eye(count, dtype=bool), 0, matrix)
        axes.imshow(errors, cmap="Oranges", vmin=0, vmax=max(errors.max(), 1) * 1.3)
        for row, column in np.ndindex(matrix.shape):
            value = matrix[row, column]
            right = row == column
            if value:
                axes.text(
                    column,
                    row,
                    f"{value:,}",
                    ha="center",
                    va="center",
                    color=BLUE if right else "black",
                    weight="bold" if right else "normal",
                    fontsize=8,
                )
        axes.set_xticks(range(count), classes, parse_math=False, rotation=90 if longest > 3 else 0)
        axes.set_yticks(range(count), classes, parse_math=False)
        axes.set(xlabel="predicted", ylabel="actual")
        total, wrong = matrix.sum(), errors.sum()
        figure.suptitle(f"{wrong:,} of {total:,} test images wrong ({wrong / total:.2%})", x=0.02, ha="left")


def draw_history(history: pd.DataFrame, path: Path) -> None:
    """Draw loss and accuracy over the epochs, of training and validation."""
    with _drawing(path, 7, 2.8) as figure:
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for column, colour, label in ((name, BLUE, "training"), (f"val_{name}", ORANGE, "validation")):
                if history[column].notna().any():
                    axes.plot(history["epoch"], history[column], "o-", color=colour, label=label, markersize=4)
            axes.set(xlabel="epoch", title=name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            axes.legend(frameon=False)


def draw_mistakes(images: NDArray[np.uint8], predictions: pd.DataFrame, classes: list[str], path: Path) -> None:
    """Draw the 24 mistakes that the network was surest of; fewer if it made fewer."""
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    worst = wrong.sort_values(["confidence", "index"], ascending=[False, True]).head(24)
    with _drawing(path, 8, 4.8) as figure:
        figure.suptitle(
            f"The surest of {len(wrong)} mistakes: what it was, what it was taken for, how surely", x=0.02, ha="left"
        )
        for axes in figure.subplots(3, 8).flat:
            axes.axis("off")
        columns = (worst[name] for name in ("index", "actual", "predicted", "confidence"))
        for axes, index, actual, predicted, confidence in zip(figure.axes, *columns, strict=False):
            _show(axes, images[index])
            names = [
                classes[label] if len(classes[label]) <= 16 else f"{classes[label][:15]}…"
                for label in (actual, predicted)
            ]
            axes.set_title(
                "{}\nnot {}\n".format(*names) + f"{confidence:.1%}", fontsize=7, color=ORANGE, parse_math=False
            )


def draw_filters(kernels: NDArray[np.float32], path: Path) -> None:
    """Draw the filters of the first layer: kernels (height, width, channels, filters), mean over channels."""
    filters = kernels.mean(axis=2)
    columns = 16
    rows = -(-filters.shape[2] // columns)
    limit = np.abs(filters).max()
    with _drawing(path, 8, 0.55 + 0.55 * rows) as figure:
        figure.suptitle("First layer: its filters (blue negative, red positive)", x=0.02, ha="left")
        for number, axes in enumerate(np.atleast_1d(figure.subplots(rows, columns)).flat):
            axes.axis("off")
            if number < filters.shape[2]:
                axes.imshow(filters[:, :, number], cmap="RdBu_r", vmin=-limit, vmax=limit)


def draw_feature_maps(image: NDArray[np.uint8], features: dict[str, NDArray[np.float32]], path: Path) -> None:
    """Draw what each layer makes of one image. features: layer name to (height, width, channels)."""
    columns = 14
    with _drawing(path, 8, 0.75 * len(features) + 0.4) as figure:
        figure.suptitle("One image through the network: from strokes and edges to parts", x=0.02, ha="left")
        grid = figure.subplots(len(features), columns + 1, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        _show(grid[0, 0], image)
        for row, (name, maps) in zip(grid, features.items(), strict=True):
            # The most active channels: a good part of the others is dark for any one image.
            order = np.argsort(-maps.sum(axis=(0, 1)), kind="stable")[:columns]
            row[1].set_title(f"{name}: {maps.shape[0]} x {maps.shape[1]} x {maps.shape[2]}", fontsize=8, loc="left")
            for axes, channel in zip(row[1:], order, strict=False):
                axes.imshow(maps[:, :, channel], cmap="viridis")


def _show(axes: mpl.axes.Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image[:, :, 0] if image.shape[2] == 1 else image, cmap="gray_r", vmin=0, vmax=255)
