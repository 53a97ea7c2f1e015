"""The lesson's steps, for a notebook: `from cnn.lesson import build_cnn_model, train_cnn_model, …`, in any order.

Defaults are the lesson's, and every option of `model` and `train` in params.yaml can be given by its name. Importing
does nothing. The first function that needs TensorFlow sets it up for the same bits on every CPU, unless it is imported
already.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from cnn.arguments import images_and_labels, pair, three, whole_number
from cnn.process.errors import InputError
from cnn.settings import faults, schema

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

LESSON = Path(__file__).resolve().parents[1] / "recipes/tutorial.yaml"


class History(dict):
    """Metric to its value after each epoch; `history.history` as well, as Keras' own has it."""

    @property
    def history(self) -> dict[str, list[float]]:
        return self


def set_global_seed(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow: initial weights, and all else that is drawn from here on."""
    _prepare()
    from cnn.network import runtime

    runtime.set_global_seed(seed)


def load_split(name: str, normalize: bool = True) -> "tuple[NDArray, NDArray]":
    """Load "train", "validation" or "test", as `dvc repro` left it in data/processed.

    Returns images (n, height, width, channels), float32 in [0, 1] or, without `normalize`, uint8 in [0, 255], and
    labels (n,) uint8. Raises InputError where there is none.
    """
    _prepare()
    from cnn.storage import arrays

    return arrays.load_split(name, normalize)


def build_cnn_model(
    input_shape: Sequence[int] = (28, 28, 1), num_classes: int = 10, normalize: bool = False, **options: Any
) -> "keras.Sequential":
    """Build the lesson's network, or another one.

    input_shape: (height, width, channels). normalize: scale pixels to [0, 1] inside the model, for images that
    `load_split` gave without. options: the others of `model` in params.yaml, e.g. dropout=0.2. The model gives
    probabilities (n, num_classes). Raises InputError.
    """
    _prepare()
    from cnn.network import build

    shape = [whole_number("input_shape", size, 1) for size in three(input_shape)]
    chosen = _options("model", schema.Model, normalize=normalize, **options)
    return build.build_cnn_model(shape, whole_number("num_classes", num_classes, 2), chosen)


def train_cnn_model(
    model: "keras.Sequential",
    images: "NDArray",
    labels: "NDArray",
    epochs: int = 5,
    batch_size: int = 64,
    validation_data: "tuple[NDArray, NDArray] | None" = None,
    **options: Any,
) -> History:
    """Train a model of `build_cnn_model` in place, on images (n, height, width, channels) and labels (n,), from 0.

    validation_data: images and labels to be measured on after each epoch. options: the others of `train` in
    params.yaml, e.g. learning_rate=0.01, seed=1. Returns loss, accuracy, val_loss, val_accuracy and
    learning_rate, a value an epoch (the val_ ones with validation_data only). Raises InputError.
    """
    from cnn.network import runtime
    from cnn.training import loop

    images, labels = images_and_labels("images", model, images, labels)
    validation = (
        None if validation_data is None else images_and_labels("validation_data", model, *pair(validation_data))
    )
    numbers = {
        "epochs": whole_number("epochs", epochs, 1),
        "batch_size": whole_number("batch_size", batch_size, 1),
    }
    chosen = _options("train", schema.Train, **numbers, **options)
    if "determinism" in options and chosen.determinism != runtime.prepared_for:
        raise InputError(
            f"train.determinism: expected {runtime.prepared_for or 'none'}, as TensorFlow was set up. Received: "
            f"{chosen.determinism}. In a new notebook, call cnn.network.runtime.prepare('{chosen.determinism}') first."
        )
    rows = loop.train_cnn_model(model, images, labels, chosen, validation)
    return History({key: [row[key] for row in rows] for key in rows[0] if key != "epoch" and rows[0][key] is not None})


def evaluate_cnn_model(
    model: "keras.Sequential", images: "NDArray", labels: "NDArray", batch_size: int = 1000
) -> dict[str, float]:
    """Measure a model on images (n, height, width, channels) and labels (n,): {"loss": …, "accuracy": …}.

    Raises InputError.
    """
    import numpy as np

    from cnn.network import inference
    from cnn.network.loss import loss_and_accuracy

    images, labels = images_and_labels("images", model, images, labels)
    if not len(images):
        raise InputError("images: expected at least one. Received: none.")
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise InputError("model: expected finite weights. Received: some that are not: its training diverged.")
    probabilities = inference.predictor(model)(images, whole_number("batch_size", batch_size, 1))
    return loss_and_accuracy(probabilities, labels)


def _prepare() -> None:
    if "tensorflow" not in sys.modules:
        from cnn.network import runtime

        runtime.prepare("portable")


def _options(section: str, model: type[BaseModel], **changes: Any) -> Any:
    """The lesson's options of a section of params.yaml, with some of them changed, also some of `augment`.

    Raises InputError.
    """
    document = yaml.safe_load(LESSON.read_text(encoding="utf-8"))
    if isinstance(changes.get("augment"), dict):
        changes["augment"] = document[section]["augment"] | changes["augment"]
    document[section] |= changes
    try:
        return model.model_validate(document[section])
    except ValidationError as error:
        raise InputError("; ".join(faults.describe(error, document, model, (section,)))) from None
