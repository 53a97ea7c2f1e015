"""The file that a network is saved to, and what is refused as one."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest

from cnn.network import saved as storage
from cnn.process.errors import REMAKE, InputError
from tests import tiny
from tests.network.networks import RICH, build, outputs


@pytest.fixture(scope="module")
def saved(tmp_path_factory, rich):
    """The rich network's file."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    storage.save_model(rich, path)
    return path


def test_saving_writes_the_file_and_nothing_else(saved):
    assert [path.name for path in saved.parent.iterdir()] == ["model.keras"]


def test_saving_twice_gives_identical_bytes(tmp_path, rich, saved):
    storage.save_model(rich, tmp_path / "again.keras")
    assert (tmp_path / "again.keras").read_bytes() == saved.read_bytes()


@pytest.mark.slow
def test_saved_model_needs_only_keras_and_its_bytes_depend_only_on_the_network(tmp_path, rich, saved):
    """In one new process: plain Keras loads the file; then the same network is built and saved there."""
    images, _ = tiny.bars(12)
    np.save(tmp_path / "images.npy", images)
    storage.save_model(build(**RICH), tmp_path / "here.keras")
    code = """
import os, sys
from pathlib import Path
import keras, numpy as np
folder, saved = map(Path, sys.argv[1:])
model = keras.models.load_model(saved, safe_mode=True)
np.save(folder / "probabilities.npy", model.predict(np.load(folder / "images.npy"), verbose=0))
assert not [name for name in sys.modules if name.split(".")[0] in ("cnn", "stages")]
os.umask(0o077)
from cnn.network import saved
from tests.network.networks import RICH, build
saved.save_model(build(**RICH), folder / "there.keras")
"""
    surroundings = {"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    ended = tiny.fresh_python(code, str(tmp_path), str(saved), **surroundings)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "there.keras").read_bytes() == (tmp_path / "here.keras").read_bytes()
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), outputs(rich, images), atol=1e-5)


def test_saved_model_holds_no_date_no_address_and_no_layer_of_ours(saved):
    with zipfile.ZipFile(saved) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        texts = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".json"))
    for word in (b"date", b"shared_object_id", b"cnn.", b"cnn>", b"BatchNorm", b"optimizer"):
        assert word not in texts


def test_optimizer_is_not_saved(tmp_path):
    model = build()
    storage.save_model(model, tmp_path / "bare.keras")
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    storage.save_model(model, tmp_path / "compiled.keras")
    assert (tmp_path / "bare.keras").read_bytes() == (tmp_path / "compiled.keras").read_bytes()


def test_loaded_model_gives_the_same_probabilities(rich, saved):
    images, _ = tiny.bars(12)
    loaded = storage.load_model(saved)
    kinds = {type(layer).__name__ for layer in loaded.layers}
    assert kinds.isdisjoint({"BatchNormalization", "Dropout"})
    np.testing.assert_allclose(outputs(loaded, images), outputs(rich, images), atol=1e-5)


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
        storage.load_model(path)
    text = str(refused.value)
    assert text.startswith(f"{path}: expected a model")
    assert text.endswith(REMAKE)
    assert "not found" not in text, "the file is there"


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.keras.*`dvc repro`"):
        storage.load_model(tmp_path / "none.keras")


def test_code_in_a_saved_model_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1), keras.layers.Softmax()])
    keras.saving.save_model(model, tmp_path / "code.keras")
    with pytest.raises(InputError, match="Lambda"):
        storage.load_model(tmp_path / "code.keras")
