"""Find pictures, and read them as for training. Free of TensorFlow: other processes do the reading."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn.datasets import folders, pictures
from cnn.network.familiar import Familiar
from cnn.process.errors import InputError
from cnn.settings import schema

STDIN = "-"
Item = tuple[str, bytes | None]  # a picture's name, and its content where that is no file


class Picture(NamedTuple):
    """A picture that was read: (height, width, channels) uint8; black where there is a problem.

    familiar: it looks like what the network was trained on; inverted: it would, were dark and light swapped.
    """

    name: str
    image: NDArray[np.uint8]
    familiar: bool
    inverted: bool
    problem: str


class Reader(NamedTuple):
    """How pictures are read: to which size, dark and light swapped or not, and what looks familiar."""

    image: schema.Image
    fit: str
    invert: bool
    familiar: Familiar

    def read(self, items: Sequence[Item]) -> list[Picture]:
        """Read pictures."""
        return [self._read(*item) for item in items]

    def _read(self, name: str, content: bytes | None) -> Picture:
        def pixels(invert: bool) -> NDArray[np.uint8]:
            return pictures.read(name if content is None else io.BytesIO(content), self, invert)

        try:
            image = pixels(self.invert)
            known = bool(self.familiar.knows(image[np.newaxis])[0])
            inverted = not known and bool(self.familiar.knows(pixels(not self.invert)[np.newaxis])[0])
            return Picture(name, image, known, inverted, "")
        except pictures.UnreadableError as error:
            return Picture(name, np.zeros(self.image.shape, np.uint8), False, False, str(error))


def find(names: list[str]) -> list[str]:
    """The pictures named, and those in folders named, as in a data set: nothing hidden. In the order of their paths.

    Raises InputError without any.
    """
    found: list[str] = []
    if STDIN in names and sys.stdin is None:
        raise InputError(f"{STDIN}: expected a picture on standard input. Received: standard input that is closed.")
    for name in names:
        if os.path.isdir(name):
            inside = sorted(str(Path(name, path)) for path, entry in folders.walk(name) if not folders.unwanted(entry))
            if not inside:
                raise InputError(
                    f"{name}: expected pictures ({', '.join(folders.ENDINGS)}). Received: a folder of none."
                )
            found += inside
        elif name != STDIN and not os.path.isfile(name):
            raise InputError(
                f"{name}: expected a picture, a folder of them, or - for standard input. Received: no file."
            )
        else:
            found.append(name)
    return found


def items(names: Sequence[str]) -> list[Item]:
    """The pictures to be read; that on standard input is taken in here."""
    return [(name, sys.stdin.buffer.read() if name == STDIN else None) for name in names]
