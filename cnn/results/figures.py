"""Pictures of the training, of mistakes and of feature maps.

None is larger than 2000 x 2000 pixels, whatever the images and the network.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.results.sheet import BLUE, BORDER, GAP, ORANGE, Sheet, drawable, figure_of, resized, tile_size, width_of

MISTAKES, ACROSS = 24, 8  # mistakes drawn, and how many side by side
LAYERS, CHANNELS = 24, 12  # in the picture of feature maps, at most
IMAGE, MAP = 112, 58  # pixels: the sides of a square one
HIGHEST = 1900  # pixels, of all layers
TITLE, SMALL = 10.5, 8  # points


def draw_history(history: pd.DataFrame, path: Path) -> None:
    """Draw loss and accuracy over the epochs, of training and validation."""
    with figure_of(path, 770, 310) as figure:
        for left, name in ((0.075, "loss"), (0.575, "accuracy")):
            axes = figure.add_axes((left, 0.15, 0.41, 0.745))
            for column, colour, label in ((name, BLUE, "training"), (f"val_{name}", ORANGE, "validation")):
                if history[column].notna().any():
                    axes.plot(history["epoch"], history[column], "o-", color=colour, label=label, markersize=4)
            axes.set(xlabel="epoch", title=name)
            axes.spines[["top", "right"]].set_visible(False)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            axes.legend(frameon=False)


def draw_mistakes(images: NDArray[np.uint8], predictions: pd.DataFrame, classes: list[str], path: Path) -> None:
    """Draw the 24 mistakes of a split that the network was surest of; fewer if it made fewer.

    predictions: the split's rows of predictions.csv, at least one; images: its images, by the rows' index.
    """
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    worst = wrong.sort_values(["confidence", "index"], ascending=[False, True]).head(MISTAKES)
    room, tile = _frame(images.shape[1], images.shape[2], IMAGE)
    across, pitch, top = ACROSS * (IMAGE + GAP) // room, tile[0] + 62, BORDER + 32
    sheet = Sheet(2 * BORDER + across * room, top + max(-(-len(worst) // across) * pitch, 40))
    split = predictions["split"].iloc[0]
    title = f"{split}: the surest of {len(wrong):,} mistakes" if len(wrong) else f"{split}: no mistakes"
    sheet.write(title, BORDER, BORDER, va="top", size=TITLE)
    parts = ("actual class", BLUE), ("predicted class", ORANGE), ("confidence", "black")
    x = sheet.width - BORDER - sum(width_of(text) + 12 for text, _ in parts)
    for text, colour in parts:
        sheet.write(text, x, BORDER, va="top", color=colour)
        x += width_of(text) + 12
    names = drawable(classes, sorted({*worst["actual"], *worst["predicted"]}), room - GAP, SMALL)
    for number, row in enumerate(worst.to_dict("records")):
        y, x = top + number // across * pitch, BORDER + number % across * room
        sheet.put(resized(_pixels(images[row["index"]]), tile), x + (room - tile[1]) // 2, y)
        lines = (names[row["actual"]], BLUE), (names[row["predicted"]], ORANGE), (f"{row['confidence']:.1%}", "black")
        for line, (text, colour) in enumerate(lines):
            place = x + room / 2, y + tile[0] + 12 + 15 * line
            sheet.write(text, *place, ha="center", va="center_baseline", size=SMALL, color=colour)
    sheet.save(path)


def draw_feature_maps(image: NDArray[np.uint8], features: dict[str, NDArray[np.float32]], path: Path) -> None:
    """Draw what each layer makes of one image. features: layer name to (height, width, channels)."""
    room, tile = _frame(image.shape[0], image.shape[1], MAP)
    pitch, top = max(tile[0], 30) + GAP, BORDER + 32
    shown = _spread(list(features), min(LAYERS, HIGHEST // pitch))
    across = min(CHANNELS * (MAP + GAP) // room, max(features[name].shape[2] for name in shown))
    title = "What the layers make of one image: the most active feature maps of each"
    title += f", {len(shown)} of {len(features)} layers" if len(shown) < len(features) else ""
    sizes = {name: " x ".join(map(str, features[name].shape)) for name in shown}
    beside = BORDER + room * (across + 1) + GAP  # of the image and its maps: the labels
    widest = max(width_of(text, SMALL) for label in sizes.items() for text in label)
    width = max(beside + int(widest), BORDER + int(width_of(title, TITLE))) + BORDER
    sheet = Sheet(width, top + len(shown) * pitch + BORDER)
    sheet.write(title, BORDER, BORDER, va="top", size=TITLE)
    sheet.put(resized(_pixels(image), tile), BORDER, top)
    for row, name in enumerate(shown):
        maps, y = features[name], top + row * pitch
        order = np.argsort(-maps.sum(axis=(0, 1)), kind="stable")[:across]
        for column, channel in enumerate(order, 1):
            sheet.put(resized(_coloured(maps[:, :, channel]), tile), BORDER + column * room, y)
        sheet.write(f"{name}\n{sizes[name]}", beside, y + tile[0] / 2, va="center", size=SMALL)
    sheet.save(path)


def _frame(height: int, width: int, side: int) -> tuple[int, tuple[int, int]]:
    """The width of a column of images of this shape, and their size in it: a square one has `side` pixels.

    Wide ones take the place of two or four, high ones are up to twice as high.
    """
    columns = 4 if width >= 4 * height else 2 if width >= 2 * height else 1
    room = columns * (side + GAP)
    return room, tile_size(height, width, (2 * side if height >= 2 * width else side, room - GAP))


def _spread(names: list[str], most: int) -> list[str]:
    """At most so many of the names, evenly spaced, the first and the last among them."""
    if len(names) <= most:
        return names
    return [names[number * (len(names) - 1) // (most - 1)] for number in range(most)]


def _pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (height, width, 3) as the network sees it, grey or in colour."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def _coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A feature map (height, width) in colours (height, width, 3) from its lowest to its highest value."""
    spread = float(np.ptp(values)) or 1.0
    return mpl.colormaps["viridis"]((values - values.min()) / spread, bytes=True)[:, :, :3]
