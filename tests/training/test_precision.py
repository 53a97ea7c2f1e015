"""Mixed precision: other arithmetic in training alone, refused where nothing computes it."""

import json

import keras
import pytest
import tensorflow as tf

from cnn.network.logits import logits_of
from cnn.process import machine
from cnn.process.errors import InputError
from cnn.training import precision
from tests import tiny
from tests.training.small import network, trained

# A training with batch normalisation and dropout: its last loss, the dtypes of the layers, and the weights' hash.
TRAINS = """
import json, sys
from cnn.network import runtime
runtime.prepare("machine")
from tests import tiny
from tests.training import small
options = {"batch_norm": True, "dropout": 0.3, "dense_units": 8}
model, history = small.trained(options, validation=small.VALIDATION, precision=sys.argv[1])
dtypes = sorted({layer.compute_dtype for layer in model.layers} | {weight.dtype for weight in model.weights})
print(json.dumps([history[-1]["val_loss"], dtypes, small.bits((model,))]))
"""
needs_bfloat16 = pytest.mark.skipif("avx512_bf16" not in machine.cpu_flags(), reason="needs a CPU with AVX512_BF16")


def result(kind):
    done = tiny.fresh_python(TRAINS, kind)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@needs_bfloat16
def test_bfloat16_trains_nearly_the_same_to_the_same_bits_each_time_and_leaves_a_float32_network():
    loss, dtypes, bits = result("bfloat16")
    exact_loss, exact_dtypes, exact_bits = result("float32")
    assert bits == result("bfloat16")[2] != exact_bits
    assert loss == pytest.approx(exact_loss, rel=0.1)
    assert dtypes == exact_dtypes == ["float32"]


def test_kernels_held_to_those_of_every_cpu_refuse_bfloat16():
    expected = "^train.precision: expected float32, .* Received: 'bfloat16' and kernels held to AVX2, .* to float32.$"
    with pytest.raises(InputError, match=expected):
        trained(precision="bfloat16")


@pytest.mark.parametrize(("flags", "able"), [({"avx2"}, False), ({"avx512f"}, False), ({"avx512_bf16"}, True)])
def test_a_cpu_that_cannot_refuses_bfloat16(monkeypatch, flags, able):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    precision.require("float32")
    if able:
        precision.require("bfloat16")
    else:
        with pytest.raises(InputError, match="Received: 'bfloat16' and neither. Set train.precision to float32.$"):
            precision.require("bfloat16")


@pytest.mark.parametrize("fails", [False, True])
def test_layers_are_of_the_lower_precision_in_the_block_alone(fails):
    model = logits_of(network(batch_norm=True, dropout=0.3, dense_units=8))
    exact = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense | keras.layers.Dropout)]
    try:
        with precision.computing(model.layers, "bfloat16"):
            assert len(exact) == 4
            assert {layer.compute_dtype for layer in exact} == {"float32"}
            assert {layer.compute_dtype for layer in model.layers if layer not in exact} == {"bfloat16"}
            assert {weight.dtype for weight in model.weights} == {"float32"}
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


def test_convolutions_matrix_products_and_biases_are_of_the_lower_precision():
    layers = logits_of(network(blocks=tiny.three_blocks()))
    with precision.computing(layers.layers, "bfloat16"):
        traced = tf.function(layers, autograph=False).get_concrete_function(tf.TensorSpec((2, *tiny.SHAPE)))
    operations = [operation for operation in traced.graph.get_operations() if operation.outputs]
    lower = {operation.type for operation in operations if operation.outputs[0].dtype == tf.bfloat16}
    assert {"Conv2D", "MatMul", "BiasAdd", "Relu", "MaxPool"} <= lower
