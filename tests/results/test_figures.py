"""Pictures: of a sensible size, the same bytes whatever the user's matplotlib settings, and fit for odd input."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import image as png

from cnn.results import confusion, figures, sheet

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
    "confusion": lambda path: confusion.draw_confusion({"validation": MATRIX, "test": 2 * MATRIX}, CLASSES, path),
    "history": lambda path: figures.draw_history(HISTORY, path),
    "mistakes": lambda path: figures.draw_mistakes(GREY, PREDICTIONS, CLASSES, path),
    "feature maps": lambda path: figures.draw_feature_maps(GREY[0], FEATURES, path),
}
SCRIPTS = ["猫", "قطة صغيرة", "हिन्दी", "cat 🐱", "two\nlines", "$x^$ a_b", "", "\u202eabc", "W" * 255, "日本語 cat"]
MANY = RANDOM.poisson(0.2, (200, 200)) + np.diag(RANDOM.integers(30, 20_000_000, 200))
LONG = [f"{number:03}.Black_footed_Albatross_{'x' * (number % 40)}" for number in range(200)]


def images(height, width, channels):
    return RANDOM.integers(0, 256, (30, height, width, channels), np.uint8)


def mistakes(height, width, channels, names=CLASSES):
    return lambda path: figures.draw_mistakes(images(height, width, channels), PREDICTIONS, names, path)


def feature_maps(height, width, channels, layers, maps=5):
    features = {f"relu{number}": RANDOM.normal(size=(height, width, maps)) for number in range(layers)}
    return lambda path: figures.draw_feature_maps(images(height, width, channels)[0], features, path)


ODD = {
    "classes with long names": lambda path: confusion.draw_confusion(
        {"test": MATRIX}, [f"a class whose name is rather long, {number}" for number in range(3)], path
    ),
    "two classes": lambda path: confusion.draw_confusion({"test": MATRIX[:2, :2]}, ["cat", "dog"], path),
    "200 classes": lambda path: confusion.draw_confusion({"validation": MANY, "test": 3 * MANY}, LONG, path),
    "20 classes": lambda path: confusion.draw_confusion(
        {"validation": MANY[:20, :20], "test": MANY[:20, :20]}, [*map(str, range(20))], path
    ),
    "200 classes and no mistakes": lambda path: confusion.draw_confusion({"test": np.eye(200, dtype=int)}, LONG, path),
    "classes of any script": lambda path: confusion.draw_confusion({"test": MANY[:10, :10]}, SCRIPTS, path),
    "mistakes in colour": lambda path: figures.draw_mistakes(COLOUR, PREDICTIONS, CLASSES, path),
    "no mistakes": lambda path: figures.draw_mistakes(GREY, PREDICTIONS[::3], CLASSES, path),
    "no validation": lambda path: figures.draw_history(HISTORY.assign(val_loss=np.nan, val_accuracy=np.nan), path),
    "one epoch": lambda path: figures.draw_history(HISTORY[:1], path),
    "a loss of millions": lambda path: figures.draw_history(HISTORY.assign(loss=[3e9, 2e9, 1e6]), path),
    "mistakes with long names": mistakes(12, 10, 1, LONG),
    "mistakes of any script": mistakes(12, 10, 1, SCRIPTS[7:]),
    "mistakes in images of one pixel": mistakes(1, 1, 1),
    "mistakes in small photographs": mistakes(32, 32, 3),
    "mistakes in large photographs": mistakes(600, 800, 3),
    "mistakes in strips": mistakes(1, 200, 1),
    "mistakes in poles": mistakes(200, 1, 3),
    "feature maps in colour": lambda path: figures.draw_feature_maps(COLOUR[0], FEATURES, path),
    "feature maps of zero": lambda path: figures.draw_feature_maps(GREY[0], {"relu1": np.zeros((1, 1, 1))}, path),
    "feature maps of 12 blocks": feature_maps(128, 96, 3, 24),
    "feature maps of 100 blocks": feature_maps(5, 5, 1, 200),
    "feature maps of poles": feature_maps(200, 1, 1, 200),
    "feature maps of strips": feature_maps(1, 200, 3, 24, maps=1),
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


def test_matrix_of_many_classes_has_the_most_confused_ones():
    matrix = np.diag(np.full(100, 50))
    matrix[np.arange(99), np.arange(1, 100)] = 1
    dense = np.arange(40, 60)
    matrix[np.ix_(dense, dense)] += 2
    matrix[7, 90] = 30  # many mistakes, but fewer than between any of the others and the rest
    assert confusion.most_confused(matrix) == dense.tolist()
    assert confusion.most_confused(matrix[:20, :20]) == list(range(20))
    assert confusion.most_confused(np.eye(30, dtype=int)) == list(range(20))


def test_caption_says_which_share_of_the_mistakes_is_drawn():
    matrix = np.array([[90, 3, 0], [12, 1080, 0], [0, 5, 10]])
    assert confusion.caption("test", matrix, [0, 1, 2]) == "test: 20 of 1,200 wrong (1.67%)"
    share = "the 2 most confused of 3 classes: 15 of these mistakes (75%)"
    assert confusion.caption("test", matrix, [0, 1]).split("\n") == ["test: 20 of 1,200 wrong (1.67%)", share]


def test_names_are_drawn_as_far_as_the_font_goes():
    names = [*SCRIPTS, "Ankle boot", "Ankle\tboot"]
    drawn = sheet.drawable(names, range(len(names)), 120)
    assert drawn[0] == "#0"
    assert drawn[1] == "قطة صغيرة"
    assert drawn[3] == "cat 🐱"
    assert drawn[4] == "#4 two lines"
    assert drawn[5] == "$x^$ a_b"
    assert drawn[9] == "#9 cat"
    assert drawn[10] == "Ankle boot"
    assert drawn[11] == "#11 Ankle boot"
    assert all(sheet.width_of(name) <= 120 for name in drawn.values())


def test_long_names_keep_both_ends_and_stay_different():
    names = ["n02085620-Chihuahua of the second kind", "n02085620-Chi and so on of the second kind", "cat"]
    drawn = sheet.drawable(names, [2, 1, 0], 130)
    assert drawn[2] == "cat"
    assert drawn[0].startswith("#0 n02")
    assert drawn[1].startswith("#1 n02")
    assert drawn[0].endswith("kind")
    assert all(100 < sheet.width_of(drawn[number]) <= 130 for number in (0, 1))


def test_an_image_is_drawn_upright_in_its_own_colours(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0], image[0, 1], image[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    path = tmp_path / "maps.png"
    figures.draw_feature_maps(image, {"relu1": np.array([[[0.0], [1.0]], [[2.0], [3.0]]])}, path)
    picture = (255 * png.imread(path)).round().astype(int)
    red = np.argwhere((picture[:, :, :3] == (255, 0, 0)).all(axis=2))
    top, left = red.min(axis=0)
    side = len(set(red[:, 0]))
    assert side == 29
    assert len(red) == side**2
    assert picture[top, left + side].tolist() == [0, 255, 0, 255]
    assert picture[top + side, left].tolist() == [0, 0, 255, 255]
    assert picture[top + side, left + side].tolist() == [0, 0, 0, 255]
