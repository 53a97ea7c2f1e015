"""A sheet of pixels with texts on it, drawn by matplotlib to the same bytes every time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unicodedata import category

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image

from cnn.storage import files

BLUE, ORANGE, GREY = "#1f5fa8", "#c05a12", "#555555"
BORDER, GAP = 14, 6  # pixels: around all, between things
DPI = 110
TEXT = 9  # points
THINNEST = 12  # pixels that the shorter side of a tile has at least: of an image 1 pixel high there is something to see


@contextmanager
def figure_of(path: Path, width: int, height: int) -> Iterator[Figure]:
    """A figure of the size given in pixels, saved to `path`."""
    # The user's own matplotlibrc must not change the bytes.
    with mpl.rc_context({**mpl.rcParamsDefault, "font.size": TEXT}):
        figure = Figure((width / DPI, height / DPI), dpi=DPI)
        yield figure
        with files.whole(path) as out:
            figure.savefig(out, format="png", metadata={"Software": None})


class _Pixels(Artist):
    """Pixels (height, width, 3) that fill a figure, as they are: matplotlib's own images are resampled, slowly."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__()
        self._pixels = np.dstack([pixels, np.full_like(pixels[:, :, :1], 255)])

    def draw(self, renderer: Any) -> None:
        renderer.draw_image(renderer.new_gc(), 0, 0, self._pixels)


class Sheet:
    """A white sheet. Places are in pixels, from its left and its top."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._pixels = np.full((height, width, 3), 255, np.uint8)
        self._texts: list[tuple[float, float, str, dict[str, Any]]] = []

    def put(self, tile: NDArray[np.uint8], left: int, top: int) -> None:
        """tile: (height, width, 3)."""
        self._pixels[top : top + tile.shape[0], left : left + tile.shape[1]] = tile

    def write(self, text: str, x: float, y: float, **style: Any) -> None:
        """style: as matplotlib's Text takes it."""
        self._texts.append((x, y, text, style))

    def save(self, path: Path) -> None:
        """Write it as PNG."""
        with figure_of(path, self.width, self.height) as figure:
            figure.add_artist(_Pixels(self._pixels))
            for x, y, text, style in self._texts:
                figure.text(x / self.width, 1 - y / self.height, text, parse_math=False, **style)


def tile_size(height: int, width: int, box: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) of an image's shape in a box (height, width); no side under THINNEST pixels."""
    scale = min(box[0] / height, box[1] / width)
    return max(round(height * scale), THINNEST), max(round(width * scale), THINNEST)


def resized(tile: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A tile (height, width, 3) of another size: a pixel is the mean of those below it, or the nearest one."""
    return np.asarray(Image.fromarray(tile).resize(size[::-1], Image.Resampling.BOX))


def drawable(classes: Sequence[str], numbers: Iterable[int], width: float, size: float = TEXT) -> dict[int, str]:
    """The names of some classes as they can be drawn in letters of `size` points, at most `width` pixels wide.

    Where the font lacks a character, the name is drawn without it and behind the number of its class: matplotlib
    would warn and draw a box. Fonts that a machine has besides are not asked: each would give other bytes. Where two
    names become the same, their numbers tell them apart.
    """
    font = _font(size)
    drawn, numbered = {}, {}
    for number in numbers:
        known = "".join(character if _has(font, character) else " " for character in classes[number])
        numbered[number] = _fitted(" ".join([f"#{number}", *known.split()]), width, size)
        drawn[number] = _fitted(known, width, size) if known == classes[number] else numbered[number]
    times = Counter(drawn.values())
    return {number: name if times[name] == 1 else numbered[number] for number, name in drawn.items()}


def width_of(text: str, size: float = TEXT) -> float:
    """The width in pixels of one line in letters of `size` points."""
    font = _font(size)
    font.set_text(text)
    return font.get_width_height()[0] / 64


def _fitted(text: str, width: float, size: float) -> str:
    """A text with as much of its middle left out as is too much: both ends tell similar names apart."""
    whole = width_of(text, size)
    if whole <= width:
        return text
    kept, short = int(len(text) * width / whole) + 3, ""
    while not short or (kept > 2 and width_of(short, size) > width):
        kept -= 1
        short = f"{text[: kept - kept // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
    return short


def _font(size: float) -> FT2Font:
    """matplotlib's own copy of the font that it draws with."""
    font = get_font(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")
    font.set_size(size, DPI)
    return font


def _has(font: FT2Font, character: str) -> bool:
    """Whether the font has a character, and it stays within its line."""
    return font.get_char_index(ord(character)) != 0 and category(character) not in ("Cc", "Zl", "Zp")
