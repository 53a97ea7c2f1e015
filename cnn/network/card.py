"""The card of a saved model: its classes, the pictures that it takes, and what looks familiar to it.

It lies inside the .keras file, so that a model that was moved still has it. Free of TensorFlow.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn.network.familiar import Familiar
from cnn.process.errors import InputError
from cnn.settings import schema
from cnn.storage.paths import MODEL

CARD, REFERENCE = "card.json", "familiar.npy"


class Card(NamedTuple):
    """classes: their names; image: the size that the model takes; fit: how other pictures are made so."""

    dataset: str
    classes: list[str]
    image: schema.Image
    fit: str
    familiar: Familiar


def entries(card: Card) -> dict[str, bytes]:
    """The card as files, by the names that they have in the archive; the same card, the same bytes."""
    limit = None if card.familiar.limit == float("inf") else card.familiar.limit
    text = card._asdict() | {"image": card.image.model_dump(), "familiar": limit}
    np.save(reference := io.BytesIO(), card.familiar.reference, allow_pickle=False)
    return {CARD: (json.dumps(text, indent=2) + "\n").encode(), REFERENCE: reference.getvalue()}


def read(path: Path = MODEL) -> Card:
    """Read the card of a model. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = json.loads(archive.read(CARD))
            reference = np.load(io.BytesIO(archive.read(REFERENCE)), allow_pickle=False)
        limit = float("inf") if text["familiar"] is None else float(text["familiar"])
        image = schema.Image.model_validate(text["image"])
        return Card(text["dataset"], list(text["classes"]), image, text["fit"], Familiar(reference, limit))
    except FileNotFoundError:
        raise InputError(f"expected the model {path}, and there is none. `make run` trains it.") from None
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError):
        raise InputError(
            f"{path}: expected a model with its card, as this project saves it. Received: another file. Train it again "
            "with `make run`."
        ) from None
