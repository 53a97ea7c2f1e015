"""What makes runs repeatable: neither threads nor the user's environment change a bit, and nothing is noisy."""

import functools
import json
import os
import platform
import sys
from typing import get_args

import pytest

from cnn.network import runtime
from cnn.process import machine
from cnn.process.errors import InputError
from cnn.settings import schema
from tests import tiny

# Trains a network that draws, adds and normalises, with the inter-op threads of the first argument.
SCRIPT = """
import json, sys, tempfile
from pathlib import Path
from cnn.network import runtime
runtime.prepare("portable")
import keras, tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))
from cnn.network import build, inference, saved
from cnn.training import loop
from tests import tiny
runtime.set_global_seed(1)
images, labels = tiny.bars(160)
weights, files, probabilities, losses = [], [], [], []
for architecture, changes in (
    ({"batch_norm": True, "dropout": 0.3, "dense_units": 16}, {"shift": 1, "rotate": 10, "zoom": 0.1, "shear": 0.15}),
    ({"blocks": tiny.three_blocks()}, {"shift": 1.5}),
):
    model = build.build_cnn_model(tiny.SHAPE, 3, tiny.model_options(**architecture))
    options = tiny.train_options(augment=changes, schedule="one_cycle", seed=1)
    history = loop.train_cnn_model(model, images, labels, options)
    with tempfile.TemporaryDirectory() as folder:
        saved.save_model(model, Path(folder) / "model.keras")
        files.append(bytearray((Path(folder) / "model.keras").read_bytes()))
    weights += model.get_weights()
    probabilities.append(inference.predictor(model)(images, 64))
    losses.append(history[-1]["loss"])
print(json.dumps({
    "weights": tiny.digest(weights),
    "file": tiny.digest(files),
    "probabilities": tiny.digest(probabilities),
    "loss": losses,
}))
assert tf.config.threading.get_inter_op_parallelism_threads() == int(sys.argv[1])
assert tf.config.threading.get_intra_op_parallelism_threads() == 1
"""
# Each of these is known to change bits, kernels or messages where it is let through.
HOSTILE = {
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": "1",
    "TF_DETERMINISTIC_OPS": "0",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OMP_NUM_THREADS": "1",
    "KERAS_BACKEND": "jax",
    "PYTHONHASHSEED": "99",
    "TZ": "Asia/Tokyo",
    "LC_ALL": "C",
}
RUNS = {"one thread": ("1", {}), "two threads, hostile": ("2", HOSTILE), "four threads": ("4", {})}
FOUR = pytest.param("four threads", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function: how a run ended."""
    keras_home = tmp_path_factory.mktemp("keras")
    settings = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1, "backend": "jax"}
    (keras_home / "keras.json").write_text(json.dumps(settings))

    @functools.cache
    def ended(name):
        threads, variables = RUNS[name]
        return tiny.fresh_python(SCRIPT, threads, **variables, **({"KERAS_HOME": str(keras_home)} if variables else {}))

    return ended


def results(process):
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["two threads, hostile", FOUR])
def test_neither_threads_nor_environment_change_a_bit(run, name):
    assert results(run(name)) == results(run("one thread"))


@pytest.mark.parametrize("name", ["one thread", "two threads, hostile", FOUR])
def test_training_prints_its_epochs_and_nothing_else(run, name):
    assert run(name).stderr == ""
    assert [line.split()[:2] for line in run(name).stdout.splitlines()[:-1]] == [["epoch", "1/2"], ["epoch", "2/2"]] * 2


PREPARED = """
import json, os, sys
from cnn.network import runtime
from cnn.process import machine
runtime.prepare(sys.argv[1])
import tensorflow as tf
assert tf.config.threading.get_inter_op_parallelism_threads() == machine.threads()
prefixes = ("TF_D", "TF_E", "TF_M", "TF_O", "TF_X", "XLA_", "ONEDNN_", "DNNL_", "NPY_", "OPENBLAS_")
print(json.dumps({name: value for name, value in os.environ.items() if name.startswith(prefixes)}))
print(json.dumps([device.device_type for device in tf.config.list_physical_devices()]))
"""


@pytest.mark.parametrize("determinism", ["portable", pytest.param("machine", marks=pytest.mark.slow)])
def test_the_callers_own_variables_give_way_to_those_of_the_determinism(determinism):
    own = HOSTILE | {"DNNL_VERBOSE": "1", "XLA_FLAGS": "--xla_cpu_enable_fast_math", "NPY_DISABLE_CPU_FEATURES": "AVX2"}
    own |= {"OPENBLAS_CORETYPE": "Prescott"}
    done = tiny.fresh_python(PREPARED, determinism, **own)
    assert (done.returncode, done.stderr) == (0, "")
    variables, devices = map(json.loads, done.stdout.splitlines())
    ours = runtime.REPEATABLE | {"OPENBLAS_NUM_THREADS": "1"}
    assert variables == ours | (runtime.PORTABLE if determinism == "portable" else {})
    if determinism == "portable":
        assert devices == ["CPU"]


def test_there_are_two_kinds_of_determinism():
    assert set(get_args(schema.Train.model_fields["determinism"].annotation)) == {"portable", "machine"}


@pytest.mark.parametrize("flags", [set(), {"fpu", "sse2", "fma", "avx512f"}, {"avx2"}])
def test_portable_is_refused_without_avx2_and_fma(monkeypatch, flags):
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    before = dict(os.environ)
    with pytest.raises(InputError) as refused:
        runtime.prepare("portable")
    assert str(refused.value) == (
        "train.determinism 'portable' expected an x86-64 CPU with AVX2 and FMA, under Linux. Received: "
        f"{platform.machine()} without them, on {sys.platform}. Set train.determinism to 'machine': the same bits "
        "run after run, on machines like this one."
    )
    assert dict(os.environ) == before


def test_portable_is_refused_on_arm(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(InputError, match=r"Received: aarch64 .*Set train\.determinism to 'machine'"):
        runtime.prepare("portable")


def test_global_seed_decides_what_is_drawn():
    import random

    import numpy as np
    import tensorflow as tf

    def draw(seed):
        runtime.set_global_seed(seed)
        return random.random(), np.random.random(), float(tf.random.uniform(()))  # noqa: NPY002

    assert draw(1) == draw(1)
    assert all(one != other for one, other in zip(draw(1), draw(2), strict=True))
