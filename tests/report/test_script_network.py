"""The network that runs in the page gives what TensorFlow gives: every layer, every option, every image."""

from typing import get_args

import keras
import numpy as np
import pytest

from cnn.network import saved
from cnn.report import network
from cnn.settings import schema
from tests import tiny
from tests.network import networks

pytestmark = pytest.mark.slow  # they need a browser

SCRIPT = tiny.ROOT / "cnn/report/report.js"
ACTIVATIONS = get_args(schema.Model.model_fields["activation"].annotation)
# Each activation with both paddings; the other options change from row to row, each at its own pace.
NETWORKS = [
    {
        "activation": activation,
        "padding": padding,
        "blocks": {
            "conv1": {
                "filters": 5,
                "kernel_size": 2 + number % 3,
                "stride": 1 + number % 2,
                "pool_size": 1 + number % 3 % 2,
            },
            "conv2": {"filters": 7, "kernel_size": 1 + number % 2, "stride": 1 + number // 2 % 3, "pool_size": 1},
        },
        "batch_norm": number % 3 > 0,
        "head": ("flatten", "average")[number // 2 % 2],
        "dense_units": (0, 6)[number // 3 % 2],
        "dropout": (0.0, 0.3)[number % 2],
        "normalize": number % 5 > 0,
        "shape": ((13, 11, 1), (12, 14, 3))[number // 4 % 2],
    }
    for number, (activation, padding) in enumerate((name, kind) for name in ACTIVATIONS for kind in ("valid", "same"))
]


@pytest.fixture(scope="module")
def in_page(chromium):
    """A function: what the script makes of images (n, height, width, channels): each layer's, or the last's values."""
    page = chromium.new_page()
    page.goto("about:blank")
    page.add_script_tag(content=SCRIPT.read_text())

    def run(packed, images, first=0):
        return page.evaluate(
            """([packed, images, first]) => {
              const network = unpackNetwork(packed);
              const values = (output) => [output.shape, [...output.data]];
              return images.map((pixels) => runNetwork(network, pixels).slice(first).map(values));
            }""",
            [packed, images.reshape(len(images), -1).tolist(), first],
        )

    yield run
    page.close()


def everything(model, images):
    """What TensorFlow gives: each layer's outputs."""
    return keras.Model(model.inputs[0], [layer.output for layer in model.layers])(
        images.astype(np.float32), training=False
    )


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: f"{options['activation']}-{options['padding']}")
def test_every_layer_is_what_tensorflow_computes(tmp_path, in_page, options):
    images = networks.noise(4, options["shape"], seed=3)
    path = tmp_path / "model.keras"
    saved.save_model(networks.settled(networks.build(classes=4, **options)), path)
    read, model = network.read_network(path), saved.load_model(path)
    packed = {**read.for_script(), "shape": list(read.shape)}
    outputs = in_page(packed, images)
    assert {layer.kind for layer in read.layers} >= {"Conv2D", "Activation", "Dense", "Softmax"}
    for number, values in enumerate(everything(model, images)):
        for image, expected in enumerate(values.numpy()):
            shape, ours = outputs[image][number]
            assert tuple(shape) == expected.shape
            scale = max(np.abs(expected).max(), 1)
            np.testing.assert_allclose(np.reshape(ours, shape), expected, rtol=0, atol=1e-5 * scale)


def test_the_rows_have_every_kind_of_layer_and_option():
    assert {row["activation"] for row in NETWORKS} == set(ACTIVATIONS)
    for key, count in {"padding": 2, "batch_norm": 2, "head": 2, "dense_units": 2, "normalize": 2, "shape": 2}.items():
        assert len({str(row[key]) for row in NETWORKS}) == count
    for block, key, count in (("conv1", "stride", 2), ("conv2", "stride", 3), ("conv1", "pool_size", 2)):
        assert len({row["blocks"][block][key] for row in NETWORKS}) == count


def test_a_hundred_test_images_get_the_probabilities_of_tensorflow(digits, in_page):
    model = saved.load_model(digits / "data/model/model.keras")
    images = np.load(digits / "data/processed/test_images.npy")[:100]
    packed = network.read_network(digits / "data/model/model.keras").for_script()
    ours = np.array([outputs[-1][1] for outputs in in_page(packed, images, first=-1)])
    np.testing.assert_allclose(ours, networks.outputs(model, images), rtol=0, atol=1e-4)
    assert len(set(ours.argmax(axis=1))) == 10


def test_values_far_from_zero_are_finite(in_page):
    """exp would overflow in a softplus or softmax written as in a book."""
    layers = [{"kind": "Activation", "activation": name, "shape": [1, 1, 4], "weights": []} for name in ACTIVATIONS]
    layers.append({"kind": "Softmax", "shape": [1, 1, 4], "weights": []})
    pixels = np.array([-1000, -1, 1, 1000]).reshape(1, 1, 1, 4)
    for layer in layers:
        packed = {"shape": [1, 1, 4], "layers": [layer], "weights": ""}
        (((_, ours),),) = in_page(packed, pixels)
        name = layer.get("activation", "softmax")
        expected = getattr(keras.activations, name)(keras.ops.convert_to_tensor(pixels[0, 0].astype(np.float32)))
        np.testing.assert_allclose(ours, np.ravel(expected), rtol=1e-6, atol=1e-6)
