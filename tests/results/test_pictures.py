"""All pictures of a network: those that dvc.yaml names, of any network that can be built."""

import numpy as np
import pandas as pd
import pytest
import yaml

from cnn.network import inference
from cnn.network.batch_norm import fold_batch_norm
from cnn.network.build import build_cnn_model
from cnn.results import confusion, figures, metrics, pictures, tables
from cnn.storage import paths
from cnn.training import history
from tests import tiny

ROW = {"epoch": 1, "loss": 1.2, "accuracy": 0.5, "val_loss": None, "val_accuracy": None, "learning_rate": 1e-3}
CLASSES = ["lying", "standing", "leaning"]
NETWORKS = {
    "small": {},
    "one layer to draw": {"blocks": tiny.blocks([4])},
    "folded, average, many blocks": {
        "blocks": tiny.blocks([5, 40, 3], kernel_size=2),
        "batch_norm": True,
        "head": "average",
        "padding": "same",
    },
}


def write_split(name, images, labels):
    paths.PROCESSED.mkdir(parents=True, exist_ok=True)
    np.save(paths.PROCESSED / f"{name}_images.npy", images)
    np.save(paths.PROCESSED / f"{name}_labels.npy", labels.astype(np.uint8))


@pytest.mark.parametrize(
    "network", ["folded, average, many blocks", "one layer to draw", pytest.param("small", marks=pytest.mark.slow)]
)
def test_all_pictures_that_dvc_expects_are_drawn(tmp_path, monkeypatch, network):
    monkeypatch.chdir(tmp_path)
    images, labels = tiny.bars(20)
    model = fold_batch_norm(build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options(**NETWORKS[network])))
    history.write([ROW])
    answers = {"test": metrics.answers_of(np.full((20, 3), 1 / 3, np.float32), labels)}
    predictions = tables.write_predictions(answers, {"test": images})
    write_split("test", images, labels)
    pictures.draw_all(CLASSES, predictions, inference.feature_maps(model, images[0]))
    stages = yaml.safe_load((tiny.ROOT / "dvc.yaml").read_text())["stages"]
    named = [next(iter(plot)) for plot in stages["evaluate"]["plots"]]
    drawn = {str(path) for path in paths.FIGURES.iterdir()}
    assert drawn == {name for name in named if name.endswith(".png")}


def test_feature_maps_are_those_of_each_activation_and_pool():
    blocks = tiny.blocks([5, 4], pool_size=2)
    model = build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options(blocks=blocks, padding="same"))
    images, _ = tiny.bars(2)
    maps = inference.feature_maps(model, images[1])
    shapes = {"relu1": (12, 12, 5), "pool1": (6, 6, 5), "relu2": (6, 6, 4), "pool2": (3, 3, 4)}
    assert {name: values.shape for name, values in maps.items()} == shapes
    pooled = maps["relu1"].reshape(6, 2, 6, 2, 5).max(axis=(1, 3))
    np.testing.assert_array_equal(maps["pool1"], pooled)
    kernel, bias = model.get_layer("conv1").get_weights()
    patch = images[1, 3:6, 3:6, 0] / 255  # around row 4, column 4
    expected = np.maximum(np.einsum("ij,ijc->c", patch, kernel[:, :, 0]) + bias, 0)
    np.testing.assert_allclose(maps["relu1"][4, 4], expected, atol=1e-5)


def test_each_split_has_its_matrix_and_mistakes_are_those_of_validation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, labels = tiny.bars(20)
    history.write([ROW])
    write_split("validation", images, labels)
    write_split("test", images[::-1], labels)
    right = pd.DataFrame({"split": "test", "index": range(20), "actual": labels, "predicted": labels, "confidence": 1})
    wrong = right.assign(split="validation", predicted=(labels + 1) % 3)
    drawn = {}
    for module, name in ((confusion, "draw_confusion"), (figures, "draw_mistakes")):
        monkeypatch.setattr(module, name, lambda *arguments, name=name: drawn.update({name: arguments}))
    pictures.draw_all(CLASSES, pd.concat([wrong, right]), {"relu1": np.zeros((4, 4, 1), np.float32)})
    matrices = drawn["draw_confusion"][0]
    assert list(matrices) == ["validation", "test"]
    np.testing.assert_array_equal(matrices["validation"], [[0, 7, 0], [0, 0, 7], [6, 0, 0]])
    np.testing.assert_array_equal(matrices["test"], np.diag([7, 7, 6]))
    shown, table = drawn["draw_mistakes"][:2]
    assert set(table["split"]) == {"validation"}
    np.testing.assert_array_equal(shown, images)
