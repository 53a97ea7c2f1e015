"""Pictures: of a sensible size, the same bytes whatever the user's matplotlib settings, and fit for odd input."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import image as png

from cnn.results import figures

CLASSES = ["T-shirt/top", "Trouser", "Ankle boot"]
RANDOM = np.random.default_rng(0)
GREY, COLOUR = (RANDOM.integers(0, 256, (30, 12, 10, channels), np.uint8) for channels in (1, 3))
MATRIX = np.array([[90, 3, 0], [12, 1080, 0], [0, 0, 0]])
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "loss": [1.0, 0.5, 0.2],
        "accuracy": [0.6, 0.8, 0.9],
        "val_loss": [1.1, 0.6, 0.4],
        "val_accuracy": [0.5, 0.7, 0.8],
    }
)
PREDICTIONS = pd.DataFrame(
    {
        "split": "validation",
        "index": range(30),
        "actual": [0, 1, 2] * 10,
        "predicted": [0, 2, 1] * 10,
        "confidence": RANDOM.uniform(0.3, 1, 30),
    }
)
FEATURES = {"conv1": RANDOM.normal(size=(10, 8, 20)), "pool1": RANDOM.normal(size=(5, 4, 3))}
PICTURES = {
    "confusion": lambda path: figures.draw_confusion({"validation": MATRIX, "test": 2 * MATRIX}, CLASSES, path),
    "history": lambda path: figures.draw_history(HISTORY, path),
    "mistakes": lambda path: figures.draw_mistakes(GREY, PREDICTIONS, CLASSES, path),
    "feature maps": lambda path: figures.draw_feature_maps(GREY[0], FEATURES, path),
}
ODD = {
    "classes with long names": lambda path: figures.draw_confusion(
        {"test": MATRIX}, [f"a class whose name is rather long, {number}" for number in range(3)], path
    ),
    "two classes": lambda path: figures.draw_confusion({"test": MATRIX[:2, :2]}, ["cat", "dog"], path),
    "names with signs of mathematics": lambda path: figures.draw_confusion(
        {"test": MATRIX}, ["$x^$", "a_b", "$5 & $6"], path
    ),
    "mistakes in colour": lambda path: figures.draw_mistakes(COLOUR, PREDICTIONS, CLASSES, path),
    "no mistakes": lambda path: figures.draw_mistakes(GREY, PREDICTIONS[::3], CLASSES, path),
    "no validation": lambda path: figures.draw_history(HISTORY.assign(val_loss=np.nan, val_accuracy=np.nan), path),
    "one epoch": lambda path: figures.draw_history(HISTORY[:1], path),
    "mistakes with long names": lambda path: figures.draw_mistakes(
        GREY, PREDICTIONS, [f"a class whose name is rather long, {number}" for number in range(3)], path
    ),
    "mistakes in flat images": lambda path: figures.draw_mistakes(GREY[:, :4], PREDICTIONS, CLASSES, path),
    "mistakes in tall images": lambda path: figures.draw_mistakes(GREY[:, :, :4], PREDICTIONS, CLASSES, path),
    "feature maps in colour": lambda path: figures.draw_feature_maps(COLOUR[0], FEATURES, path),
    "feature maps of zero": lambda path: figures.draw_feature_maps(GREY[0], {"relu1": np.zeros((1, 1, 1))}, path),
}
# What a matplotlibrc may say.
SETTINGS = {
    "font.family": "monospace",
    "font.size": 20,
    "savefig.dpi": 300,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "figure.facecolor": "black",
    "image.cmap": "hot",
    "image.interpolation": "bilinear",
    "axes.grid": True,
    "lines.linewidth": 9,
    "text.antialiased": False,
}


def check(path):
    """Of a sensible size, more than a blank sheet, and nothing is cut off at its border."""
    picture = png.imread(path)
    height, width, _ = picture.shape
    assert 80 <= height <= 2000
    assert 200 <= width <= 2000
    colours = picture.reshape(height, width, -1)
    assert (colours != colours[0, 0]).any()
    for border in (colours[:3], colours[-3:], colours[:, :3], colours[:, -3:]):
        assert (border == 1).all()


@pytest.mark.parametrize("name", PICTURES)
def test_picture_has_the_same_bytes_under_any_settings(tmp_path, name):
    first, second = tmp_path / "new" / "first.png", tmp_path / "second.png"
    PICTURES[name](first)
    with mpl.rc_context(SETTINGS):
        PICTURES[name](second)
    assert first.read_bytes() == second.read_bytes()
    check(first)


@pytest.mark.parametrize("name", ODD)
def test_odd_input_is_drawn_whole(tmp_path, name):
    ODD[name](tmp_path / "picture.png")
    check(tmp_path / "picture.png")
