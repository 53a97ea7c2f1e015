"""The recipes: parameters that can be copied over params.yaml as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from cnn.network.build import build_cnn_model
from cnn.network.inference import predictor
from cnn.network.loss import loss_and_accuracy
from cnn.settings import params
from cnn.training.loop import train_cnn_model
from tests import tiny

RECIPES = sorted((tiny.ROOT / "recipes").glob("*.yaml"))
DATA = [((28, 28, 1), 10), ((32, 32, 3), 10)]  # those of the catalogue, and small colour photographs
EPOCHS = {"accurate": 24, "fashion": 24, "fast": 24}  # the others learn in fewer

every_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    """As runtime.prepare does: the same bits run after run."""
    tf.config.experimental.enable_op_determinism()


def images_of(count, seed):
    """Bars in the middle of images as large as MNIST's."""
    images, labels = tiny.bars(count, seed)
    return np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0))), labels


def test_the_recipes_are_there():
    assert {path.stem for path in RECIPES} == {"tutorial", "fast", "accurate", "fashion", "photos"}


@every_recipe
def test_a_recipe_is_valid(path):
    assert params.load_params(path).model_dump() == yaml.safe_load(path.read_text())


def test_recipes_have_the_same_keys_in_the_same_order():
    """So that `diff` shows what a recipe is about."""
    documents = [yaml.safe_load(path.read_text()) for path in RECIPES]
    forms = [[(section, list(values)) for section, values in document.items()] for document in documents]
    assert all(form == forms[0] for form in forms)


def test_the_tutorial_recipe_is_the_lesson():
    options = params.load_params(tiny.TUTORIAL)
    blocks = [tuple(block.model_dump().values()) for block in options.model.blocks.values()]
    assert blocks == [(32, 3, 1, 2), (64, 3, 1, 2), (64, 3, 1, 1)]
    assert (options.model.dense_units, options.model.activation, options.model.padding) == (64, "relu", "valid")
    assert (options.model.batch_norm, options.model.dropout, options.model.head) == (False, 0, "flatten")
    assert (options.train.epochs, options.train.batch_size) == (5, 64)
    assert (options.train.optimizer, options.train.learning_rate, options.train.schedule) == ("adam", 0.001, "constant")


@every_recipe
@pytest.mark.parametrize(("shape", "classes"), DATA)
def test_a_recipe_fits_every_data_set(path, shape, classes):
    model = build_cnn_model(shape, classes, params.load_params(path).model)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, classes)


@pytest.mark.slow
@every_recipe
def test_a_recipe_learns(path):
    options = params.load_params(path)
    images, labels = images_of(1024, seed=1)
    keras.utils.set_random_seed(1)
    model = build_cnn_model(images.shape[1:], tiny.CLASSES, options.model)
    short = options.train.model_copy(update={"epochs": EPOCHS.get(path.stem, 4), "seed": 1})
    train_cnn_model(model, images, labels, short)
    images, labels = images_of(300, seed=2)
    measured = loss_and_accuracy(predictor(model)(images, 100), labels)
    assert measured["accuracy"] > 0.8, "a third is chance"
