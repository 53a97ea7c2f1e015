"""What makes runs repeatable: neither threads nor the user's environment change a bit, and nothing is noisy."""

import json
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages import runtime
from stages.errors import InputError
from tests import tiny

# Trains a network that draws, adds and normalises, with the inter-op threads of the first argument.
SCRIPT = """
import json, sys, tempfile
from pathlib import Path
from stages import runtime
runtime.prepare("portable")
import keras, tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))
from stages import model as network, train
from tests import tiny
runtime.set_global_seed(1)
model = network.build_cnn_model(tiny.SHAPE, 3, tiny.model_options(batch_norm=True, dropout=0.3, dense_units=[16]))
options = tiny.train_options(augment={"shift": 1, "rotate": 10, "zoom": 0.1, "shear": 0.15}, schedule="one_cycle")
images, labels = tiny.bars(160)
history = train.train_cnn_model(model, images, labels, options, 1)
with tempfile.TemporaryDirectory() as folder:
    network.save_model(model, Path(folder) / "model.keras")
    content = (Path(folder) / "model.keras").read_bytes()
print(json.dumps({
    "weights": tiny.digest(model.get_weights()),
    "file": tiny.digest([bytearray(content)]),
    "probabilities": tiny.digest([network.predictor(model)(images, 64)]),
    "loss": history[-1]["loss"],
}))
assert tf.config.threading.get_inter_op_parallelism_threads() == int(sys.argv[1])
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """How each run ended, two processes at a time."""
    keras_home = tmp_path_factory.mktemp("keras")
    settings = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1, "backend": "jax"}
    (keras_home / "keras.json").write_text(json.dumps(settings))

    def run(name):
        threads, variables = RUNS[name]
        return tiny.fresh_python(SCRIPT, threads, **variables, **({"KERAS_HOME": str(keras_home)} if variables else {}))

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(RUNS, pool.map(run, RUNS), strict=True))


def results(process):
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", list(RUNS)[1:])
def test_neither_threads_nor_environment_change_a_bit(runs, name):
    assert results(runs[name]) == results(runs["one thread"])


@pytest.mark.parametrize("name", RUNS)
def test_training_prints_its_epochs_and_nothing_else(runs, name):
    assert runs[name].stderr == ""
    assert [line.split()[:2] for line in runs[name].stdout.splitlines()[:-1]] == [["epoch", "1/2"], ["epoch", "2/2"]]


def test_portable_is_refused_without_avx2(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path: "flags : fpu sse2 fma avx512f")
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


def test_threads_are_the_cpus_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert runtime.threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert runtime.threads() == len(allowed)


def test_global_seed_decides_what_is_drawn():
    import random

    import numpy as np
    import tensorflow as tf

    def draw(seed):
        runtime.set_global_seed(seed)
        return random.random(), np.random.random(), float(tf.random.uniform(()))  # noqa: NPY002

    assert draw(1) == draw(1)
    assert all(one != other for one, other in zip(draw(1), draw(2), strict=True))
