"""The card in a .keras file: whole, the same bytes, no hindrance for Keras; without it one clear line."""

import zipfile

import keras
import numpy as np
import pytest

from cnn.network import card, saved
from cnn.network.familiar import Familiar
from cnn.process.errors import InputError
from cnn.settings import schema
from tests.network import networks

REFERENCE = np.arange(64, dtype=np.float32).reshape(2, 32)


def of(limit=0.25):
    image = schema.Image(height=28, width=20, channels=1)
    return card.Card("pets", ["cat", "dög", "<b>"], image, "crop", Familiar(REFERENCE, limit))


@pytest.mark.parametrize("limit", [0.25, float("inf")])
def test_a_card_comes_back_as_it_was_and_keras_passes_over_it(tmp_path, limit):
    path = tmp_path / "model.keras"
    model = networks.build()
    saved.save_model(model, path, card.entries(of(limit)))
    read = card.read(path)
    assert read[:4] == of(limit)[:4]
    assert read.familiar.limit == limit
    np.testing.assert_array_equal(read.familiar.reference, REFERENCE)
    weights = keras.models.load_model(path, safe_mode=True).get_weights()
    for one, other in zip(weights, saved.load_model(path).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_card_has_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        saved.save_model(networks.build(), tmp_path / name, card.entries(of()))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_model_without_a_card_is_refused_in_one_line(tmp_path):
    saved.save_model(networks.build(), tmp_path / "bare.keras")
    for name, content in {"text": b"hello", "empty": b"", "cut": (tmp_path / "bare.keras").read_bytes()[:500]}.items():
        (tmp_path / f"{name}.keras").write_bytes(content)
    for name in ("bare", "text", "empty", "cut"):
        with pytest.raises(InputError, match="expected a model with its card"):
            card.read(tmp_path / f"{name}.keras")
    with pytest.raises(InputError, match="there is none"):
        card.read(tmp_path / "nothing.keras")


@pytest.mark.parametrize(
    "text", ["{}", "[", "[1]", '{"classes": 5, "image": {}, "fit": 1, "dataset": 2, "familiar": 3}']
)
def test_a_damaged_card_is_refused(tmp_path, text):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (card.entries(of()) | {card.CARD: text.encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="expected a model with its card"):
        card.read(path)
