"""The recipes: parameters that can be copied over params.yaml as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from stages import catalogue, evaluate, params, train
from stages import model as network
from tests import tiny

RECIPES = sorted((tiny.ROOT / "recipes").glob("*.yaml"))
# The data sets' shapes and numbers of classes, and those of small colour photographs.
DATA = {((32, 32, 3), 10)} | {(tuple(s.shape), len(s.classes)) for s in catalogue.load_catalogue().values()}
EPOCHS = {"accurate": 8}  # the others learn in fewer

every_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    """As runtime.prepare does: the same bits run after run."""
    tf.config.experimental.enable_op_determinism()


def images_of(count, seed):
    """Bars in the middle of images as large as MNIST's."""
    images, labels = tiny.bars(count, seed)
    return np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0))), labels


def test_the_three_recipes_are_there():
    assert {"tutorial", "fast", "accurate"} <= {path.stem for path in RECIPES}


@every_recipe
def test_a_recipe_is_valid(path):
    assert params.load_params(path).model_dump() == yaml.safe_load(path.read_text())


def test_the_tutorial_recipe_is_the_lesson(params_text):
    assert yaml.safe_load((tiny.ROOT / "recipes/tutorial.yaml").read_text()) == yaml.safe_load(params_text)


@every_recipe
@pytest.mark.parametrize(("shape", "classes"), sorted(DATA))
def test_a_recipe_fits_every_data_set(path, shape, classes):
    model = network.build_cnn_model(shape, classes, params.load_params(path).model)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, classes)


@pytest.mark.slow
@every_recipe
def test_a_recipe_learns(path):
    options = params.load_params(path)
    images, labels = images_of(768, seed=1)
    keras.utils.set_random_seed(1)
    model = network.build_cnn_model(images.shape[1:], tiny.CLASSES, options.model)
    short = options.train.model_copy(update={"epochs": EPOCHS.get(path.stem, 4)})
    train.train_cnn_model(model, images, labels, short, seed=1)
    measured = evaluate.evaluate_cnn_model(model, *images_of(300, seed=2))
    assert measured["accuracy"] > 0.8, "a third is chance"
