"""Pictures of single images: mistakes, samples, those that changed sides."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn.process.errors import InputError
from cnn.report import images
from cnn.report.comparison import Compared
from cnn.report.results import MEND, Results
from cnn.storage import arrays

MOST = 500  # mistakes
MOST_BYTES = 1_000_000  # of their pictures: colour images are larger than grey ones
MOST_SAMPLES = 20
MOST_CHANGES = 60


@dataclass(frozen=True)
class Picture:
    """An image of a split with its classes by number. confidence: the probability of the predicted class."""

    uri: str
    split: str
    index: int
    actual: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class Mistakes:
    """The pictures shown, the surest first, and {split: how many mistakes there are}."""

    shown: list[Picture]
    counts: dict[str, int]


def mistakes(results: Results) -> Mistakes:
    """The mistakes that the network was surest of, as many of each split as fit."""
    wrong = {split: _wrong(results.of(split)) for split in results.splits}
    counts = {split: len(table) for split, table in wrong.items()}
    pictures: list[Picture] = []
    for split, room in _shares(counts).items():
        chosen, used = opened(results, split), 0
        for row in wrong[split].head(room).to_dict("records"):
            picture = _picture(chosen, split, row)
            used += len(picture.uri)
            if used > MOST_BYTES * room // MOST:
                break
            pictures.append(picture)
    pictures.sort(key=lambda picture: -picture.confidence)
    return Mistakes(pictures, counts)


def samples(results: Results) -> list[Picture]:
    """The first test image of each class: nobody has chosen them."""
    table = results.of("test").drop_duplicates("actual").sort_values("actual").head(MOST_SAMPLES)
    test = opened(results, "test")
    return [_picture(test, "test", row) for row in table.to_dict("records")]


def changed_sides(results: Results, compared: Compared) -> list[tuple[dict[str, Any], str]]:
    """The first images that changed sides, each with its picture."""
    if not compared.changes:
        return []
    pictures = opened(results, compared.said.split)
    return [
        (change, images.data_uri(images.thumbnail(pictures[change["index"]])))
        for change in compared.changes[:MOST_CHANGES]
    ]


def opened(results: Results, split: str) -> NDArray[np.uint8]:
    """The images of a split. Raises InputError where the predictions are not those of as many images."""
    pictures, _ = arrays.open_split(split)
    if results.of(split)["index"].tolist() != list(range(len(pictures))):
        raise InputError(
            f"metrics/predictions.csv: expected a row for each of the {len(pictures)} {split} images, in order. "
            f"Received: {len(results.of(split))} rows. {MEND}"
        )
    return pictures


def _wrong(predictions: pd.DataFrame) -> pd.DataFrame:
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    return wrong.sort_values(["confidence", "index"], ascending=[False, True])


def _shares(counts: dict[str, int]) -> dict[str, int]:
    """How many of each split are shown: half of MOST each, and what one leaves goes to the others."""
    shares, left = {}, MOST
    for place, (split, count) in enumerate(sorted(counts.items(), key=lambda item: item[1])):
        shares[split] = min(count, left // (len(counts) - place))
        left -= shares[split]
    return shares


def _picture(pictures: NDArray[np.uint8], split: str, row: dict[Hashable, Any]) -> Picture:
    index = row["index"]
    uri = images.data_uri(images.thumbnail(pictures[index]))
    return Picture(uri, split, index, row["actual"], row["predicted"], row["confidence"])
