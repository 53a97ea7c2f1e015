"""What a notebook hands to the lesson's steps, checked."""

import operator
from typing import TYPE_CHECKING, Any

from cnn.process.errors import InputError

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray


def whole_number(name: str, value: Any, least: int) -> int:
    """The value as an int, NumPy's own included. Raises InputError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise InputError(f"{name}: expected a whole number of at least {least}. Received: {value!r}.")
    return number


def three(shape: Any) -> tuple:
    """The (height, width, channels) of images. Raises InputError."""
    if not isinstance(shape, (tuple, list)) or len(shape) != 3:
        raise InputError(f"input_shape: expected (height, width, channels). Received: {shape!r}.")
    return tuple(shape)


def pair(data: Any) -> tuple:
    """Images and labels. Raises InputError."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise InputError(f"validation_data: expected (images, labels). Received: {type(data).__name__}.")
    return tuple(data)


def images_and_labels(name: str, model: "keras.Sequential", images: Any, labels: Any) -> "tuple[NDArray, NDArray]":
    """Images and labels as arrays. Raises InputError where they fit neither each other nor the model."""
    import numpy as np  # here: the runtime is prepared before it

    images, labels = np.asanyarray(images), np.asanyarray(labels)
    shape, classes = model.input_shape[1:], model.output_shape[-1]
    if images.shape[1:] != shape or images.dtype.kind not in "buif":
        raise InputError(
            f"{name}: expected numbers (n, {', '.join(map(str, shape))}). Received: {images.dtype} {images.shape}."
        )
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise InputError(f"{name}: expected finite pixels. Received: some that are not.")
    if images.size and images.max() > 50 and model.layers[0].name != "rescale":
        raise InputError(
            f"{name}: expected pixels from 0 to 1. Received: up to {images.max()}. Load them with normalize=True, or "
            "build the model with normalize=True."
        )
    if labels.shape != (len(images),) or (labels.size and labels.dtype.kind not in "ui"):
        raise InputError(
            f"{name}: expected a label for each of {len(images)} images, whole numbers. Received: {labels.dtype} "
            f"{labels.shape}. Of one-hot labels, take labels.argmax(1)."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(
            f"{name}: expected labels from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}."
        )
    return images, labels
