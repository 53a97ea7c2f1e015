"""Short training of small networks, on images learnt in a second."""

from typing import Any

import keras

from cnn.network.build import build_cnn_model
from cnn.training.loop import train_cnn_model
from tests import tiny

IMAGES, LABELS = tiny.bars(150)
VALIDATION = tiny.bars(30, seed=2)
# What draws random numbers, or adds up in an order of its own: each group costs a compilation.
VARIANTS = {
    "batch norm and dropout": ({"batch_norm": True, "dropout": 0.3}, {}),
    "augmentation": ({}, {"augment": {"shift": 1, "rotate": 10, "zoom": 0.1, "shear": 0.15}}),
    "mirrored, other colours": ({}, {"augment": {"flip": True, "brightness": 0.2, "contrast": 0.3}}),
    "half of the images": ({}, {"epoch_share": 0.5}),
    "adam with weight decay": ({}, {"weight_decay": 0.1}),
    "sgd with weight decay": ({}, {"weight_decay": 0.1, "optimizer": "sgd"}),
    "sgd, one cycle, smoothing": ({}, {"optimizer": "sgd", "schedule": "one_cycle", "label_smoothing": 0.1}),
}


def network(seed: int = 1, **options: Any) -> keras.Sequential:
    """A network of `tiny.model_options` with the initial weights of a seed."""
    keras.utils.set_random_seed(seed)
    return build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options(**options))


def trained(
    model=None,
    data=(IMAGES, LABELS),
    seed: int = 1,
    validation=None,
    checkpoint=None,
    after=None,
    workers=None,
    **options,
):
    """A network after short training, and its history. model: options of `model`; options: of `train`."""
    built = network(**(model or {}))
    extra = {"after_epoch": after} if after else {}
    extra |= {"workers": workers} if workers else {}
    options = tiny.train_options(seed=seed, **options)
    return built, train_cnn_model(built, *data, options, validation, checkpoint, **extra)


def bits(result) -> str:
    """One hash of the weights of what `trained` gives."""
    return tiny.digest(result[0].get_weights())
