"""The lesson's steps in a notebook: light to import, in any order, repeatable, clear where something is wrong."""

import functools
import inspect
import json

import keras
import numpy as np
import pytest
import yaml

from cnn import lesson
from cnn.network import runtime
from cnn.network.inference import predictor
from cnn.network.loss import loss_and_accuracy
from cnn.process.errors import InputError
from tests import tiny

NAMES = "build_cnn_model, evaluate_cnn_model, load_split, set_global_seed, train_cnn_model"
SMALL = {"blocks": tiny.blocks([8], pool_size=3), "dense_units": 0}
IMAGES, LABELS = tiny.bars(60)
SCALED = IMAGES / np.float32(255)
# A notebook: seed, network, training, measuring, in a process of its own. The seed is its argument.
NOTEBOOK = f"""
import sys
from cnn.lesson import {NAMES}
assert not {{"numpy", "tensorflow", "keras"}} & set(sys.modules)
set_global_seed(int(sys.argv[1]))
import json, os
import numpy as np
import tensorflow as tf
from cnn.network import runtime
from tests import tiny
assert not (runtime.PORTABLE | runtime.REPEATABLE).items() - os.environ.items()
assert tf.config.threading.get_intra_op_parallelism_threads() == 1
images, labels = tiny.bars(60)
images = images / np.float32(255)
model = build_cnn_model(tiny.SHAPE, tiny.CLASSES, blocks=tiny.blocks([8], pool_size=3), dropout=0.2)
history = train_cnn_model(model, images, labels, epochs=2, batch_size=6, validation_data=(images[:9], labels[:9]))
measured = evaluate_cnn_model(model, images, labels)
print(json.dumps([tiny.digest(model.get_weights()), history, measured]))
"""


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    keras.utils.set_random_seed(1)


def small(seed=1, **options):
    keras.utils.set_random_seed(seed)
    return lesson.build_cnn_model(tiny.SHAPE, tiny.CLASSES, **SMALL | options)


def short(model, images=SCALED, labels=LABELS, **options):
    return lesson.train_cnn_model(model, images, labels, **{"epochs": 1, "batch_size": 6} | options)


@pytest.fixture(scope="module")
def notebook():
    """A function: what a notebook prints, run by run."""

    @functools.cache
    def ended(seed, run):
        done = tiny.fresh_python(NOTEBOOK, str(seed))
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return ended


def test_importing_is_light_silent_and_changes_nothing(tmp_path):
    code = f"""
import os, sys
before = dict(os.environ)
from cnn.lesson import {NAMES}
assert dict(os.environ) == before
print(*{{"numpy", "tensorflow", "keras", "pandas", "matplotlib"}} & set(sys.modules))
"""
    done = tiny.fresh_python(code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_in_two_notebooks(notebook):
    assert notebook(1, run=1)[-1] == notebook(1, run=2)[-1]


@pytest.mark.slow
def test_another_seed_gives_other_bits(notebook):
    assert notebook(1, run=1)[-1] != notebook(2, run=1)[-1]


def test_a_notebook_shows_an_epoch_a_line_and_values_an_epoch(notebook):
    *lines, last = notebook(1, run=1)
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]
    _, history, measured = json.loads(last)
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert {len(values) for values in history.values()} == {2}
    assert list(measured) == ["loss", "accuracy"]


FIRST = {
    "build_cnn_model": "build_cnn_model()",
    "load_split": "load_split('test')",
    "evaluate_cnn_model": "evaluate_cnn_model(model(), np.zeros((3, 4, 4, 1)), [0, 1, 0])",
    "train_cnn_model": "train_cnn_model(model(), np.zeros((6, 4, 4, 1)), [0, 1] * 3, 1, 6)",
}


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST)
def test_any_step_may_be_the_first(tmp_path, first):
    """With a network of the notebook's own where one is needed: TensorFlow is imported by then."""
    (tmp_path / "data/processed").mkdir(parents=True)
    images, labels = tiny.bars(5)
    np.save(tmp_path / "data/processed/test_images.npy", images)
    np.save(tmp_path / "data/processed/test_labels.npy", labels)
    code = f"""
import numpy as np
from cnn.lesson import *
def model():
    import keras
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2), keras.layers.Softmax()]
    return keras.Sequential(layers)
{FIRST[first]}
set_global_seed(1)
assert build_cnn_model().count_params() == 93_322
assert len(load_split("test")[1]) == 5
"""
    done = tiny.fresh_python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [((28, 28, 1), 10), ()], ids=["named", "default"])
def test_the_network_is_the_lessons(arguments):
    """As the lesson writes it: three convolutions, two pools, a hidden layer, and nothing that scales pixels."""
    layers = keras.layers
    by_hand = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model = lesson.build_cnn_model(*arguments)
    assert model.count_params() == by_hand.count_params() == 93_322
    kinds = ["Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Conv2D", "Flatten", "Dense", "Dense"]
    # Ours has the functions of the values as layers of their own.
    own = [type(layer).__name__ for layer in model.layers]
    assert [kind for kind in own if kind not in ("Activation", "Softmax")] == kinds
    by_hand.set_weights(model.get_weights())
    images = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
    np.testing.assert_allclose(
        np.asarray(model(images, training=False)), np.asarray(by_hand(images, training=False)), atol=1e-6
    )


def test_with_normalize_the_network_takes_pixels():
    plain, scaling = small(), small(normalize=True)
    np.testing.assert_allclose(predictor(scaling)(IMAGES, 9), predictor(plain)(SCALED, 9), atol=1e-6)


def test_the_defaults_are_the_tutorial_recipes():
    recipe = yaml.safe_load(tiny.TUTORIAL.read_text())
    defaults = {name: one.default for name, one in inspect.signature(lesson.train_cnn_model).parameters.items()}
    assert {name: defaults[name] for name in ("epochs", "batch_size")} == {
        name: recipe["train"][name] for name in ("epochs", "batch_size")
    }
    defaults = inspect.signature(lesson.evaluate_cnn_model).parameters
    assert defaults["batch_size"].default == recipe["evaluate"]["batch_size"]


def test_training_gives_a_history_of_one_value_an_epoch_in_both_spellings():
    history = short(small(), validation_data=(SCALED[:9], LABELS[:9]), epochs=3)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert history[name] == history.history[name]
        assert len(history[name]) == 3
        assert all(isinstance(value, float) for value in history[name])
    assert history["loss"][-1] < history["loss"][0]


def test_without_validation_data_there_are_no_values_of_it():
    assert set(short(small())) == {"loss", "accuracy", "learning_rate"}


def test_options_of_params_are_taken_by_name():
    one, other = small(), small()
    assert short(one, learning_rate=0.02, seed=1)["learning_rate"] == [float(np.float32(0.02))]
    short(other, learning_rate=0.02, seed=2)
    assert tiny.digest(one.get_weights()) != tiny.digest(other.get_weights())


def test_some_changes_of_images_may_be_named_alone():
    plain, mirrored = small(), small()
    short(plain), short(mirrored, augment={"flip": True})
    assert tiny.digest(plain.get_weights()) != tiny.digest(mirrored.get_weights())
    with pytest.raises(InputError, match=r"^train\.augment\.flop: unknown key\. Did you mean 'flip'\?$"):
        short(small(), augment={"flop": True})


@pytest.mark.parametrize("name", ["portable", "machine"])
def test_only_the_arithmetic_that_was_set_up_may_be_named(monkeypatch, name):
    monkeypatch.setattr(runtime, "prepared_for", name)
    assert len(short(small(), determinism=name)["loss"]) == 1
    other = {"portable": "machine", "machine": "portable"}[name]
    with pytest.raises(InputError) as refused:
        short(small(), determinism=other)
    assert str(refused.value) == (
        f"train.determinism: expected {name}, as TensorFlow was set up. Received: {other}. "
        f"In a new notebook, call cnn.network.runtime.prepare('{other}') first."
    )
    with pytest.raises(InputError, match=rf"expected '{name}', .* Received: '{other}'\. Start a new process"):
        runtime.prepare(other)


def test_arithmetic_that_was_not_set_up_may_not_be_named(monkeypatch):
    monkeypatch.setattr(runtime, "prepared_for", None)
    with pytest.raises(InputError, match=r"expected none, .* Received: portable\."):
        short(small(), determinism="portable")


def test_labels_of_any_whole_numbers_give_the_same_bits():
    def result(labels):
        model = small()
        history = short(model, labels=labels, validation_data=(SCALED[:9], labels[:9]))
        return tiny.digest(model.get_weights()), history, lesson.evaluate_cnn_model(model, SCALED, labels)

    assert result(LABELS) == result(LABELS.astype(np.int64)) == result(LABELS.tolist())


def test_measuring_is_what_the_pipeline_measures():
    model = small()
    measured = lesson.evaluate_cnn_model(model, SCALED, LABELS, batch_size=7)
    assert measured == loss_and_accuracy(predictor(model)(SCALED, 1000), LABELS)
    assert set(measured) == {"loss", "accuracy"}


def test_the_global_seed_decides_the_initial_weights():
    def weights(seed):
        lesson.set_global_seed(seed)
        return tiny.digest(lesson.build_cnn_model(tiny.SHAPE, tiny.CLASSES, **SMALL).get_weights())

    assert weights(1) == weights(1) != weights(2)


WRONG = {
    "a misspelt option of train": (
        lambda: short(small(), learnin_rate=3),
        "train.learnin_rate: unknown key. Did you mean 'learning_rate'?",
    ),
    "a misspelt option of model": (lambda: small(droput=0.3), "model.droput: unknown key. Did you mean 'dropout'?"),
    "no epochs": (lambda: short(small(), epochs=0), "epochs: expected a whole number of at least 1. Received: 0."),
    "an input shape without channels": (
        lambda: lesson.build_cnn_model((28, 28)),
        "input_shape: expected (height, width, channels). Received: (28, 28).",
    ),
    "one class": (
        lambda: lesson.build_cnn_model(num_classes=1),
        "num_classes: expected a whole number of at least 2. Received: 1.",
    ),
    "a batch of nothing": (
        lambda: lesson.evaluate_cnn_model(small(), SCALED, LABELS, batch_size=0),
        "batch_size: expected a whole number of at least 1. Received: 0.",
    ),
    "validation images without labels": (
        lambda: short(small(), validation_data=SCALED),
        "validation_data: expected (images, labels). Received: ndarray.",
    ),
    "a pixel that is no number": (
        lambda: lesson.evaluate_cnn_model(small(), np.where(SCALED > 0.9, np.nan, SCALED), LABELS),
        "images: expected finite pixels. Received: some that are not.",
    ),
    "raw pixels for a model that takes 0 to 1": (
        lambda: short(small(), images=(SCALED * 255).astype(np.uint8)),
        "images: expected pixels from 0 to 1. Received: up to 255. Load them with normalize=True, or build the model "
        "with normalize=True.",
    ),
    "a value out of range": (lambda: small(dropout=2), "model.dropout: expected less than 1. Received: 2."),
    "a label too many": (
        lambda: short(small(), labels=LABELS + 1),
        "images: expected labels from 0 to 2. Received: 1 to 3.",
    ),
    "a negative label": (
        lambda: lesson.evaluate_cnn_model(small(), SCALED[:2], [-1, 1]),
        "images: expected labels from 0 to 2. Received: -1 to 1.",
    ),
    "a label too many in validation": (
        lambda: short(small(), validation_data=(SCALED, LABELS + 1)),
        "validation_data: expected labels from 0 to 2. Received: 1 to 3.",
    ),
    "fewer labels than images": (
        lambda: short(small(), labels=LABELS[:-1]),
        "images: expected a label for each of 60 images, whole numbers. Received: uint8 (59,). "
        "Of one-hot labels, take labels.argmax(1).",
    ),
    "labels as columns of 0 and 1": (
        lambda: short(small(), labels=np.eye(3)[LABELS]),
        "images: expected a label for each of 60 images, whole numbers. Received: float64 (60, 3). "
        "Of one-hot labels, take labels.argmax(1).",
    ),
    "images without channels": (
        lambda: short(small(), images=SCALED[..., 0]),
        "images: expected numbers (n, 12, 12, 1). Received: float32 (60, 12, 12).",
    ),
    "fewer images than a batch": (
        lambda: short(small(), images=SCALED[:5], labels=LABELS[:5]),
        "train.batch_size: expected at most the 5 training images of an epoch. Received: 6.",
    ),
    "nothing to measure": (
        lambda: lesson.evaluate_cnn_model(small(), SCALED[:0], LABELS[:0]),
        "images: expected at least one. Received: none.",
    ),
    "no such split": (
        lambda: lesson.load_split("tran"),
        "expected a split of train, validation, test. Received: 'tran'.",
    ),
    "images smaller than a kernel": (
        lambda: lesson.build_cnn_model((2, 2, 1), 10),
        "model.blocks.conv1.kernel_size: expected at most 2: its feature map is 2 x 2. Received: 3. "
        "Use fewer blocks, or smaller kernels, strides or pools before it.",
    ),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_in_one_line(call, message):
    with pytest.raises(InputError) as refused:
        call()
    assert str(refused.value) == message


def test_numpys_own_integers_are_whole_numbers():
    shape, blocks = tuple(np.array([12, 12, 1])), tiny.blocks([4])
    model = lesson.build_cnn_model(shape, num_classes=LABELS.max() + 1, blocks=blocks)
    history = lesson.train_cnn_model(model, SCALED, LABELS, epochs=np.int64(1), batch_size=np.uint8(20))
    assert len(history["loss"]) == 1


def test_a_model_whose_training_diverged_is_not_measured():
    model = small()
    model.layers[0].set_weights([np.full_like(weights, np.nan) for weights in model.layers[0].get_weights()])
    with pytest.raises(InputError, match="model: expected finite weights"):
        lesson.evaluate_cnn_model(model, SCALED, LABELS)
