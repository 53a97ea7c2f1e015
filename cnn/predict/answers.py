"""Let a network answer pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn.datasets import parallel
from cnn.network import card, inference, saved
from cnn.predict import reading
from cnn.predict.reading import Reader
from cnn.storage import pieces

AT_ONCE = 960  # pictures that a process reads at a time, and in a batch, unless they are large
RANKS = 3  # classes named for a picture, the likeliest first


class Answer(NamedTuple):
    """What the network says of one picture.

    ranked: (class, probability) of the first three. familiar: whether it looks like what the network was trained on;
    inverted: whether it would, were dark and light swapped. problem: why it cannot be read; then there is no rank.
    """

    picture: str
    ranked: list[tuple[str, float]]
    familiar: bool
    inverted: bool
    problem: str


class Predictor:
    """A model that answers pictures."""

    def __init__(self, path: Path, invert: bool = False):
        """invert: swap dark and light first. Raises InputError where there is no model with a card."""
        about = card.read(path)
        self._classes = about.classes
        self._reader = Reader(about.image, about.fit, invert, about.familiar)
        # No fewer than are computed at a time: the others would be empty.
        self._at_once = min(AT_ONCE, max(inference.PART, pieces.rows((0, *about.image.shape))))
        self._predict = inference.predictor(saved.load_model(path))

    def __call__(self, names: Sequence[str]) -> Iterator[Answer]:
        """Answer each picture, in this order."""
        for chunk in parallel.in_chunks(self._reader.read, reading.items(names), self._at_once, "pictures"):
            probabilities = self._predict(np.stack([picture.image for picture in chunk]), self._at_once)
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, :RANKS]
            for row, picture in enumerate(chunk):
                ranked = [(self._classes[label], float(probabilities[row, label])) for label in order[row]]
                seen = picture.familiar, picture.inverted, picture.problem
                yield Answer(picture.name, [] if picture.problem else ranked, *seen)
