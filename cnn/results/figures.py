"""Pictures, drawn by matplotlib to the same bytes every time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from cnn.storage import files

BLUE, ORANGE = "#1f5fa8", "#d9722e"
MISTAKES, ACROSS = 24, 8  # mistakes drawn, and how many side by side
CHANNELS = 12  # of each layer, in the picture of feature maps


@contextmanager
def _drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of the size given in inches, saved to `path`."""
    # The user's own matplotlibrc must not change the bytes.
    with mpl.rc_context({**mpl.rcParamsDefault, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure((width, height), dpi=110, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        yield figure
        with files.whole(path) as out:
            figure.savefig(out, format="png", metadata={"Software": None})


def draw_confusion(matrices: Mapping[str, NDArray[np.int64]], classes: list[str], path: Path) -> None:
    """Draw confusion matrices (classes, classes) of counts side by side, by the name of their split."""
    longest = max(map(len, classes))
    side = max(3.1, 0.8 + 0.42 * len(classes)) + 0.06 * longest
    with _drawing(path, len(matrices) * side, side + 0.3) as figure:
        grid = figure.subplots(1, len(matrices), squeeze=False)
        for axes, (split, matrix) in zip(grid[0], matrices.items(), strict=True):
            _confusion(axes, matrix)
            axes.set_xticks(range(len(classes)), classes, parse_math=False, rotation=90 if longest > 3 else 0)
            axes.set_yticks(range(len(classes)), classes, parse_math=False)
            axes.set(xlabel="predicted", ylabel="actual")
            total, right = matrix.sum(), np.trace(matrix)
            axes.set_title(f"{split}: {total - right:,} of {total:,} wrong ({1 - right / total:.2%})", fontsize=9)


def _confusion(axes: Axes, matrix: NDArray[np.int64]) -> None:
    """The counts in their cells; colour shows the errors only, since they are few."""
    right = np.eye(len(matrix), dtype=bool)
    errors = np.where(right, 0, matrix)
    axes.imshow(errors, cmap="Oranges", vmin=0, vmax=max(errors.max(), 1) * 1.3)
    for row, column in np.argwhere(matrix):
        colour, weight = (BLUE, "bold") if row == column else ("black", "normal")
        text = f"{matrix[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=colour, weight=weight, fontsize=8)


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
    """Draw the 24 mistakes of a split that the network was surest of; fewer if it made fewer.

    predictions: the split's rows of predictions.csv, at least one; images: its images, by the rows' index.
    """
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    worst = wrong.sort_values(["confidence", "index"], ascending=[False, True]).head(MISTAKES)
    tiles = [_tile(images[index]) for index in worst["index"]]
    height, width = _tile(images[0]).shape[:2]
    rows = max(-(-len(tiles) // ACROSS), 1)
    with _drawing(path, 8.6, 0.6 + rows * (1.05 * height / width + 0.62)) as figure:
        split = predictions["split"].iloc[0]
        figure.suptitle(f"{split}: the surest of {len(wrong):,} mistakes, and how sure", x=0.02, ha="left")
        axes = figure.add_subplot()
        axes.axis("off")
        pitch = (height * 1.62, width * 1.18)
        axes.set(xlim=(-0.2 * width, ACROSS * pitch[1]), ylim=(rows * pitch[0] - 0.05 * height, -0.05 * height))
        axes.set_aspect("equal")
        for number, (tile, row) in enumerate(zip(tiles, worst.to_dict("records"), strict=True)):
            top, left = number // ACROSS * pitch[0], number % ACROSS * pitch[1]
            axes.imshow(tile, extent=(left, left + width, top + height, top))
            actual, predicted = (_short(classes[row[name]]) for name in ("actual", "predicted"))
            text = f"{actual} taken\nfor {predicted}\n{row['confidence']:.1%}"
            place = (left + width / 2, top + height * 1.06)
            axes.text(*place, text, ha="center", va="top", fontsize=7, parse_math=False, linespacing=1.15)


def draw_feature_maps(image: NDArray[np.uint8], features: dict[str, NDArray[np.float32]], path: Path) -> None:
    """Draw what each layer makes of one image. features: layer name to (height, width, channels)."""
    pixels, gap = 56, 6
    with _drawing(path, 8.6, 0.5 + 0.58 * len(features)) as figure:
        figure.suptitle("What the layers make of one image: the most active feature maps of each", x=0.02, ha="left")
        axes = figure.add_subplot()
        axes.axis("off")
        sheet = np.ones((len(features) * (pixels + gap), (CHANNELS + 1) * (pixels + gap) + gap, 3))
        sheet[:pixels, :pixels] = _enlarged(_tile(image), pixels)
        for row, maps in enumerate(features.values()):
            order = np.argsort(-maps.sum(axis=(0, 1)), kind="stable")[:CHANNELS]
            for column, channel in enumerate(order, 1):
                top, left = row * (pixels + gap), column * (pixels + gap) + gap
                sheet[top : top + pixels, left : left + pixels] = _enlarged(_coloured(maps[:, :, channel]), pixels)
        axes.imshow(sheet, interpolation="nearest")
        for row, (name, maps) in enumerate(features.items()):
            label = f"{name}\n{maps.shape[0]} x {maps.shape[1]} x {maps.shape[2]}"
            place = (sheet.shape[1] + gap, row * (pixels + gap) + pixels / 2)
            axes.text(*place, label, va="center", fontsize=8)


def _tile(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """An image (height, width, 3) of shares: grey ones dark on white."""
    shares = image / 255
    return 1 - np.repeat(shares, 3, axis=2) if image.shape[2] == 1 else shares


def _coloured(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """A feature map (height, width) in colours from its lowest to its highest value."""
    spread = float(np.ptp(values)) or 1.0
    return mpl.colormaps["viridis"]((values - values.min()) / spread)[:, :, :3]


def _enlarged(tile: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
    """A tile of pixels x pixels, each pixel the nearest one of the image."""
    rows, columns = (np.arange(pixels) * side // pixels for side in tile.shape[:2])
    return tile[rows][:, columns]


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"
