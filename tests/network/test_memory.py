"""What cannot fit into memory is refused by name, and the estimates are right."""

import json
import re

import keras
import numpy as np
import pytest
import yaml

from cnn.network import free_memory, inference, memory
from cnn.network.build import build_cnn_model
from cnn.process import machine
from cnn.process.errors import InputError
from cnn.settings import schema
from cnn.training.loop import train_cnn_model
from tests import tiny
from tests.network.networks import RICH, build, noise

MEGA, GIGA = 10**6, 10**9
LESSON = tiny.LESSON["model"]


@pytest.fixture
def left(monkeypatch):
    """A function: from now on so many bytes are free."""
    return lambda count: monkeypatch.setattr(memory, "free_bytes", lambda: count)


@pytest.fixture
def make(tmp_path):
    """A function: write files, {path: content}, and return the folder."""

    def write(files):
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        return tmp_path

    return write


def group(path: str, limit: str, use: int, active: int = 0, inactive: int = 0, version: int = 2) -> dict[str, str]:
    """The files of a control group."""
    if version == 1:
        folder, limit_name, use_name, total = (
            f"sys/fs/cgroup/memory/{path}",
            "limit_in_bytes",
            "usage_in_bytes",
            "total_",
        )
    else:
        folder, limit_name, use_name, total = f"sys/fs/cgroup/{path}", "max", "current", ""
    stat = f"anon 7\n{total}active_file {active}\n{total}inactive_file {inactive}\n"
    return {
        f"{folder}/memory.{limit_name}": f"{limit}\n",
        f"{folder}/memory.{use_name}": f"{use}\n",
        f"{folder}/memory.stat": stat,
    }


MEMINFO = {"proc/meminfo": "MemTotal:  9000000 kB\nMemAvailable:    8000000 kB\nHugePages_Total:  0\n"}
V1 = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n"
GROUPS = {
    "no group": ({}, 8_192_000_000),
    "v2, no limit": ({"proc/self/cgroup": "0::/a\n", **group("a", "max", 5)}, 8_192_000_000),
    "v2": ({"proc/self/cgroup": "0::/a\n", **group("a", "3000", 1000)}, 2000),
    "v2, the cache gives way": ({"proc/self/cgroup": "0::/a\n", **group("a", "3000", 1000, 200, 30)}, 2230),
    "v2, the group around it is fuller": (
        {"proc/self/cgroup": "0::/a/b\n", **group("a/b", "3000", 1000), **group("a", "9000", 8500)},
        500,
    ),
    "v2, the group around it has no limit": (
        {"proc/self/cgroup": "0::/a/b\n", **group("a/b", "3000", 1000), **group("a", "max", 8500)},
        2000,
    ),
    "v2, more than the limit is in use": ({"proc/self/cgroup": "0::/a\n", **group("a", "3000", 3100)}, 0),
    "v2, larger than the machine": ({"proc/self/cgroup": "0::/a\n", **group("a", str(10**12), 1000)}, 8_192_000_000),
    "v2, in a container": ({"proc/self/cgroup": "0::/\n", **group("", "3000", 1000)}, 2000),
    "v2, a group outside the namespace": ({"proc/self/cgroup": "0::/../x\n", **group("", "3000", 1000)}, 2000),
    "v1": ({"proc/self/cgroup": V1, **group("a/b", "3000", 1000, 200, 30, version=1)}, 2230),
    "v1, no limit": ({"proc/self/cgroup": V1, **group("a/b", "9223372036854771712", 5, version=1)}, 8_192_000_000),
    "v1, the group around it": ({"proc/self/cgroup": V1, **group("a", "3000", 1000, version=1)}, 2000),
    "v1, in a container": ({"proc/self/cgroup": V1, **group("", "3000", 1000, version=1)}, 2000),
    "v1, another controller's": ({"proc/self/cgroup": "4:cpu:/a\n", **group("a", "3000", 0, version=1)}, 8_192_000_000),
}


@pytest.mark.parametrize(("files", "expected"), GROUPS.values(), ids=GROUPS)
def test_free_is_what_machine_and_control_groups_leave(make, files, expected):
    assert free_memory.free_bytes(make(MEMINFO | files)) == expected


def test_where_nothing_says_how_much_is_free_nothing_is_refused(make):
    assert free_memory.free_bytes(make({})) == float("inf")


def test_a_limit_on_the_address_space_counts(make, monkeypatch):
    monkeypatch.setattr(free_memory.resource, "getrlimit", lambda what: (5_000_000, 9_000_000))
    assert (
        free_memory.free_bytes(make(MEMINFO | {"proc/self/status": "Name:\tpython\nVmSize:\t 1000 kB\n"})) == 3_976_000
    )


def test_on_this_machine_some_memory_is_free():
    assert 10**7 < free_memory.free_bytes() < 10**15


@pytest.mark.parametrize(
    "options",
    [
        LESSON,
        tiny.model_options(**RICH).model_dump(),
        LESSON | {"head": "average", "padding": "same", "batch_norm": True},
        LESSON | {"dense_units": 0, "blocks": tiny.blocks([3, 5], kernel_size=2, stride=2, pool_size=2)},
    ],
    ids=["lesson", "rich", "average", "no dense layer"],
)
def test_parameters_are_those_that_keras_counts(options):
    shape, options = (28, 30, 3), schema.Model.model_validate(options)
    model = build_cnn_model(shape, 7, options)
    assert sum(memory.parameters(shape, 7, options).values()) == model.count_params()


EXTREMES = {
    "dense_units": ({"dense_units": MEGA}, "587,055,754 parameters, 577,000,000 of them in dense_units, .* 7.0 GB"),
    "filters": ({"blocks": tiny.blocks([MEGA, MEGA])}, "of them in conv2, "),
    "filters of the first": ({"blocks": tiny.blocks([MEGA, 64], pool_size=2)}, "576,000,064 of them in conv2, "),
    "filters of the last": ({"blocks": tiny.blocks([64, MEGA])}, "36,864,000,064 of them in dense_units, "),
    "without a dense layer": (
        {"blocks": tiny.blocks([64, MEGA]), "dense_units": 0},
        "5,760,000,010 of them in logits, ",
    ),
}


@pytest.mark.parametrize(("options", "says"), EXTREMES.values(), ids=EXTREMES)
def test_a_network_too_large_is_refused_before_keras_builds_it(left, monkeypatch, options, says):
    left(4 * GIGA)
    monkeypatch.setattr(keras, "Sequential", lambda *_: pytest.fail("Keras builds it"))
    with pytest.raises(InputError, match=says) as refused:
        build_cnn_model((28, 28, 1), 10, schema.Model.model_validate(LESSON | options))
    assert re.fullmatch(
        r"model: expected a network that fits into the 4\.0 GB of memory that are free\. Received: one of [\d,]+ "
        r"parameters, [\d,]+ of them in \w+, which needs about [\d.]+ GB to be built\. "
        r"Lower model\.dense_units, or the filters in model\.blocks\.",
        str(refused.value),
    )


def test_a_network_that_can_be_built_and_not_trained_is_refused(left):
    model = build(dense_units=100_000)
    left(5 * model.count_params() * memory.FLOAT)
    with pytest.raises(InputError) as refused:
        train(model, 32)
    assert re.fullmatch(
        r"model: expected a network that fits into the 0\.2 GB of memory that are free\. Received: one of 7,600,083 "
        r"parameters, which needs about 0\.3 GB to be trained\. "
        r"Lower model\.dense_units, or the filters in model\.blocks\.",
        str(refused.value),
    )


def train(model, batch_size, count=64, validation=None):
    """Train for an epoch on `count` images, which take no memory."""
    images, labels = (np.broadcast_to(np.uint8(0), shape) for shape in ((count, *model.input_shape[1:]), count))
    return train_cnn_model(model, images, labels, tiny.train_options(batch_size=batch_size, epochs=1), validation)


@pytest.mark.parametrize("batch_size", [4096, MEGA])
def test_a_batch_that_does_not_fit_is_refused_before_the_first_step(left, batch_size):
    left(1.5 * GIGA)
    with pytest.raises(InputError) as refused:
        train(build(shape=(28, 28, 1), classes=10, **LESSON | {"blocks": tiny.blocks([128, 64])}), batch_size, 2 * MEGA)
    assert re.fullmatch(
        r"train\.batch_size: expected a batch that fits into the 1\.5 GB of memory that are free\. Received: "
        rf"{batch_size}, which needs about [\d.]+ GB\. Lower it, or the filters in model\.blocks\.",
        str(refused.value),
    )


def test_validation_must_fit_too_with_few_images_at_a_time(left):
    model = build(blocks=tiny.blocks([256]))
    left(memory.prediction_bytes(model, 96) - 1)
    assert len(train(model, 32, validation=tiny.bars(300))) == 1
    left(memory.prediction_bytes(model, 24) - 1)
    with pytest.raises(InputError, match="^model: expected a network that fits"):
        train(model, 32, validation=tiny.bars(300))


@pytest.mark.parametrize("images", [192, MEGA])
def test_what_evaluate_cannot_predict_is_refused(left, images):
    model = build()
    left(memory.prediction_bytes(model, 192) + 1)
    for batch_size in (1, 192, *([MEGA] if images == 192 else [])):  # a batch has no more images than there are
        memory.require_prediction(model, batch_size, images, 0, False)
    more = [(193, 0, False)] if images > 192 else [(192, 1, False), (192, 0, True)]
    for batch_size, shift, flip in more:
        with pytest.raises(InputError) as refused:
            memory.require_prediction(model, batch_size, images, shift, flip)
        assert re.fullmatch(
            r"evaluate\.batch_size: expected a batch that fits into the 0\.\d GB of memory that are free\. Received: "
            r"19[23], which needs about 0\.\d GB\. Lower it, set evaluate\.shift to 0 and evaluate\.flip to false, "
            r"or lower the filters in model\.blocks\.",
            str(refused.value),
        )


def test_what_just_fits_is_let_through(left):
    model = build()
    needed = memory.training_bytes(model, 1000, 5000)
    left(needed)
    memory.require_training(model, 1000, 5000, 32)
    left(needed - 1)
    with pytest.raises(InputError, match="^train.batch_size: "):
        memory.require_training(model, 1000, 5000, 32)


def test_where_many_images_do_not_fit_few_are_predicted_at_a_time(left):
    model = build(shape=(128, 128, 3))
    left(memory.prediction_bytes(model, 500))
    assert memory.images_at_once(model, 500) == 500
    left(memory.prediction_bytes(model, 500) - 1)
    assert memory.images_at_once(model, 500) == 24
    assert memory.prediction_bytes(model, 24) < memory.prediction_bytes(model, 500) / 2


def test_validation_of_large_images_needs_no_more_memory_than_training(left):
    """Neither refuses nor changes it where 500 validation images do not fit."""
    images, labels = noise(600, (96, 96, 3)), np.arange(600) % tiny.CLASSES
    histories = []
    for reserve in (1.0, 10.0):
        model = build(shape=(96, 96, 3), blocks=tiny.blocks([8]))
        left(reserve * memory.training_bytes(model, 24, 5 * 24 * images[0].nbytes))
        options = tiny.train_options(epochs=1, batch_size=24)
        histories.append(train_cnn_model(model, images[:100], labels[:100], options, (images[100:], labels[100:])))
    assert histories[0] == histories[1]


def test_the_largest_kernel_works():
    model = build(shape=(28, 28, 1), blocks=tiny.blocks([4], kernel_size=28))
    assert len(train(model, 32)) == 1


def test_the_largest_evaluate_batch_works():
    assert inference.predictor(build(), 1)(noise(5, tiny.SHAPE), MEGA).shape == (5, tiny.CLASSES)


PEAK = """
import json, re, sys
from cnn.process import machine
machine.threads = lambda: 4
from cnn.network import runtime
runtime.prepare("portable")
import numpy as np
from cnn.network import build, inference
from cnn.settings import schema
from cnn.training import loop
model, train, shape, batch, times, kind = json.loads(sys.argv[1])
network = build.build_cnn_model(shape, 10, schema.Model.model_validate(model))
images = np.random.default_rng(0).integers(0, 256, (2 * batch, *shape), np.uint8)
if kind == "training":
    options = schema.Train.model_validate(train | {"batch_size": batch, "epochs": times})
    loop.train_cnn_model(network, images, np.arange(2 * batch) % 10, options)
else:
    predict = inference.predictor(network, 1)
    for _ in range(times):
        predict(images, batch)
print("PEAK", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def peak(recipe: dict, batch: int, times: int, kind: str) -> int:
    """The peak of the memory of a fresh process, in bytes."""
    ended = tiny.fresh_python(PEAK, json.dumps([recipe["model"], recipe["train"], (28, 28, 1), batch, times, kind]))
    assert ended.returncode == 0, ended.stderr
    return 1024 * int(ended.stdout.split("PEAK ")[1])


def ratio_of_estimate(recipe, few, batch, kind):
    """The estimate for a batch beyond that for a few images, over what is measured."""
    model = build_cnn_model((28, 28, 1), 10, schema.Model.model_validate(recipe["model"]))

    def estimate(count):
        if kind == "training":
            return memory.training_bytes(model, count, 2 * count * 784)
        return memory.prediction_bytes(model, count, 5)

    measured = peak(recipe, batch, 4, kind) - peak(recipe, few, 1, kind)
    ratio = (estimate(batch) - estimate(few)) / measured
    print(f"{kind} {batch}: measured {measured / 1e6:.0f} MB, ratio {ratio:.2f}")
    return ratio


@pytest.fixture
def four_threads(monkeypatch):
    """With fewer it is by chance which shards are alive at once."""
    monkeypatch.setattr(machine, "threads", lambda: 4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch"), [("tutorial", 2016), ("accurate", 576)])
def test_estimate_of_training_is_within_30_percent_of_the_measured_peak(four_threads, name, batch):
    recipe = yaml.safe_load((tiny.ROOT / f"recipes/{name}.yaml").read_text())
    assert 0.7 < ratio_of_estimate(recipe, 4, batch, "training") < 1.3


@pytest.mark.slow
@pytest.mark.parametrize("filters", [(512, 16), (64, 512)])
def test_estimate_of_prediction_is_at_most_twice_the_measured_peak(four_threads, filters):
    """And hardly less. Parts start one after the other: fewer than four may be at their peak at once."""
    recipe = tiny.LESSON | {"model": LESSON | {"blocks": tiny.blocks(filters), "dense_units": 0}}
    assert 0.7 < ratio_of_estimate(recipe, 24, 96, "prediction") < 2
