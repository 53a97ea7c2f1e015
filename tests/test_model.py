"""The network: its layers, its inference, and the file that it is saved to."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest

from stages import model as network
from stages.errors import InputError
from tests import tiny

LESSON_LAYERS = "rescale conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 flatten dense1 logits probabilities"
RICH = {"batch_norm": True, "dropout": 0.3, "dense_units": [16], "activation": "elu", "strides": 2, "pool_sizes": 1}


def build(seed=7, **options):
    keras.utils.set_random_seed(seed)
    return network.build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options(**options))


def inference(model, images):
    return np.asarray(model(images.astype(np.float32), training=False))


@pytest.fixture(scope="module")
def rich():
    """A network with batch normalisation and dropout, whose statistics are no longer the initial ones."""
    model = build(**RICH)
    images, _ = tiny.bars(64)
    for _ in range(3):
        model(images.astype(np.float32), training=True)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory, rich):
    """The rich network's file."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    network.save_model(rich, path)
    return path


def test_lesson_network_has_its_layers_and_parameters():
    model = network.build_cnn_model((28, 28, 1), 10, tiny.model_options(**tiny.LESSON))
    assert [layer.name for layer in model.layers] == LESSON_LAYERS.split()
    assert model.count_params() == 93_322
    assert model.output_shape == (None, 10)


def test_names_do_not_depend_on_what_was_built_before():
    first, second = build(**RICH), build(**RICH)
    for names in (
        lambda model: [model.name, *(layer.name for layer in model.layers)],
        lambda model: [variable.path for variable in model.trainable_variables],
    ):
        assert names(first) == names(second)


def test_same_seed_gives_same_initial_weights():
    first, second, other = (tiny.digest(build(seed).get_weights()) for seed in (1, 1, 2))
    assert first == second != other


def test_pixels_are_rescaled_inside_the_network():
    with_rescaling, without = build(normalize=True), build(normalize=False)
    without.set_weights(with_rescaling.get_weights())
    images, _ = tiny.bars(6)
    np.testing.assert_allclose(inference(with_rescaling, images), inference(without, images / 255), atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 14, 1)])
def test_any_image_shape_gives_probabilities(shape):
    model = network.build_cnn_model(shape, 5, tiny.model_options())
    probabilities = inference(model, np.random.default_rng(0).integers(0, 256, (4, *shape)))
    assert probabilities.shape == (4, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_network_too_deep_for_its_images_is_refused():
    with pytest.raises(InputError, match=r"^model: block 3: expected a feature map of at least 3 x 3"):
        build(filters=[4, 4, 4], pool_sizes=2, padding="valid")


def test_batch_normalization_agrees_with_keras():
    random = np.random.default_rng(0)
    ours, theirs = network.BatchNormalization(), keras.layers.BatchNormalization(epsilon=1e-3)
    for layer in (ours, theirs):
        layer.build((None, 5, 6, 4))
    start = [random.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4)]  # gamma, beta, mean, variance
    for layer in (ours, theirs):
        layer.set_weights(start)
    batch = random.normal(3, 2, (16, 5, 6, 4)).astype(np.float32)
    np.testing.assert_allclose(ours(batch, training=False), theirs(batch, training=False), atol=1e-5)
    np.testing.assert_allclose(ours(batch, training=True), theirs(batch, training=True), atol=1e-5)
    *_, mean, variance = ours.get_weights()
    np.testing.assert_allclose(mean, 0.9 * start[2] + 0.1 * batch.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(variance, 0.9 * start[3] + 0.1 * batch.var((0, 1, 2), ddof=1), atol=1e-5)


def test_predictions_do_not_depend_on_the_batch_size(rich):
    images, _ = tiny.bars(25)
    predict = network.predictor(rich)
    for batch_size in (1, 3, 7, 25, 1000):
        np.testing.assert_allclose(predict(images, batch_size), inference(rich, images), atol=1e-6)


def test_shifted_views_are_averaged(rich):
    images, _ = tiny.bars(9)
    framed = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    views = [framed[:, top : top + 12, left : left + 12] for top, left in ((2, 2), (0, 2), (4, 2), (2, 0), (2, 4))]
    expected = np.mean([inference(rich, view) for view in views], axis=0)
    np.testing.assert_allclose(network.predictor(rich, shift=2)(images, 9), expected, atol=1e-6)


def test_no_images_give_no_predictions(rich):
    probabilities = network.predictor(rich)(np.empty((0, *tiny.SHAPE), np.uint8), 10)
    assert probabilities.shape == (0, tiny.CLASSES)
    assert probabilities.dtype == np.float32


def test_loss_and_accuracy_of_an_example_by_hand():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.5, 0.25, 0.25]], np.float32)
    measured = network.loss_and_accuracy(probabilities, np.array([0, 1, 2], np.uint8))
    assert measured["loss"] == pytest.approx(-np.log(0.5 * 0.75 * 0.25) / 3, abs=1e-6)
    assert measured["accuracy"] == pytest.approx(2 / 3)


def test_loss_and_accuracy_agree_with_keras():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(10), 500).astype(np.float32)
    labels = random.integers(0, 10, 500, np.uint8)
    measured = network.loss_and_accuracy(probabilities, labels)
    assert measured["loss"] == pytest.approx(
        float(np.mean(keras.losses.sparse_categorical_crossentropy(labels, probabilities))), rel=1e-5
    )
    assert measured["accuracy"] == pytest.approx(
        float(np.mean(keras.metrics.sparse_categorical_accuracy(labels, probabilities)))
    )


def test_loss_of_a_sure_mistake_is_finite():
    measured = network.loss_and_accuracy(np.array([[1, 0]], np.float32), np.array([1], np.uint8))
    assert measured == {"loss": pytest.approx(-np.log(1e-7), rel=1e-5), "accuracy": 0.0}


def test_logits_are_what_softmax_takes(rich):
    images, _ = tiny.bars(6)
    logits = inference(network.logits_of(rich), images)
    np.testing.assert_allclose(keras.ops.softmax(logits), inference(rich, images), atol=1e-6)
    with pytest.raises(ValueError, match="whose last layer is a Softmax"):
        network.logits_of(network.logits_of(rich))


def test_saving_writes_the_file_and_nothing_else(saved):
    assert [path.name for path in saved.parent.iterdir()] == ["model.keras"]


def test_saving_twice_gives_identical_bytes(tmp_path, rich, saved):
    network.save_model(rich, tmp_path / "again.keras")
    assert (tmp_path / "again.keras").read_bytes() == saved.read_bytes()


def test_saved_model_needs_only_keras_and_its_bytes_depend_only_on_the_network(tmp_path, rich, saved):
    """In one new process: plain Keras loads the file; then the same network is built and saved there."""
    images, _ = tiny.bars(12)
    np.save(tmp_path / "images.npy", images)
    network.save_model(build(**RICH), tmp_path / "here.keras")
    code = """
import os, sys
from pathlib import Path
import keras, numpy as np
folder, saved = map(Path, sys.argv[1:])
model = keras.models.load_model(saved, safe_mode=True)
np.save(folder / "probabilities.npy", model.predict(np.load(folder / "images.npy"), verbose=0))
assert not [name for name in sys.modules if name.startswith("stages")]
os.umask(0o077)
from tests.test_model import RICH, build, network
network.save_model(build(**RICH), folder / "there.keras")
"""
    surroundings = {"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    ended = tiny.fresh_python(code, str(tmp_path), str(saved), **surroundings)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "there.keras").read_bytes() == (tmp_path / "here.keras").read_bytes()
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), inference(rich, images), atol=1e-5)


def test_saved_model_holds_no_date_no_address_and_no_layer_of_ours(saved):
    with zipfile.ZipFile(saved) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        texts = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".json"))
    for word in (b"date", b"shared_object_id", b"stages", b"optimizer"):
        assert word not in texts


def test_optimizer_is_not_saved(tmp_path):
    model = build()
    network.save_model(model, tmp_path / "bare.keras")
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    network.save_model(model, tmp_path / "compiled.keras")
    assert (tmp_path / "bare.keras").read_bytes() == (tmp_path / "compiled.keras").read_bytes()


def test_loaded_model_gives_the_same_probabilities(rich, saved):
    images, _ = tiny.bars(12)
    loaded = network.load_model(saved)
    kinds = {type(layer).__name__ for layer in loaded.layers}
    assert kinds.isdisjoint({"BatchNormalization", "Dropout"})
    np.testing.assert_allclose(inference(loaded, images), inference(rich, images), atol=1e-5)


def archive(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, value in content.items():
            file.writestr(name, value)
    return out.getvalue()


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


LONE_LAYER = json.dumps(
    {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3, "name": "lone"}, "registered_name": None}
)
# Each takes the file's bytes and its entries, and gives the bytes of another.
FAULTS = {
    "empty": lambda data, entries: b"",
    "text": lambda data, entries: b"not a model\n",
    "half": lambda data, entries: data[: len(data) // 2],
    "one bit flipped": lambda data, entries: flipped(data),
    "another archive": lambda data, entries: archive({"readme.txt": "hello"}),
    "no weights": lambda data, entries: archive({key: entries[key] for key in entries if key.endswith(".json")}),
    "truncated weights": lambda data, entries: archive(
        entries | {"model.weights.h5": entries["model.weights.h5"][:3000]}
    ),
    "broken weights": lambda data, entries: archive(
        entries | {"model.weights.h5": entries["model.weights.h5"].replace(b"TREE", b"BUSH")}
    ),
    "broken config": lambda data, entries: archive(entries | {"config.json": b"{"}),
    "unknown layer": lambda data, entries: archive(
        entries | {"config.json": entries["config.json"].replace(b'"Conv2D"', b'"Conv4D"')}
    ),
    "no network": lambda data, entries: archive(entries | {"config.json": LONE_LAYER}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_or_foreign_file_is_named_and_refused(tmp_path, saved, fault):
    with zipfile.ZipFile(saved) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    path = tmp_path / "model.keras"
    path.write_bytes(FAULTS[fault](saved.read_bytes(), entries))
    with pytest.raises(InputError) as refused:
        network.load_model(path)
    text = str(refused.value)
    assert text.startswith(f"{path}: expected a model")
    assert "`dvc repro`" in text
    assert "not found" not in text, "the file is there"


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.keras.*`dvc repro`"):
        network.load_model(tmp_path / "none.keras")


def test_code_in_a_saved_model_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1), keras.layers.Softmax()])
    keras.saving.save_model(model, tmp_path / "code.keras")
    with pytest.raises(InputError, match="Lambda"):
        network.load_model(tmp_path / "code.keras")
