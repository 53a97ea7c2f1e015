"""A training step: plain Keras' own, whatever the size of a batch and the number of replicas."""

import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnn.training.step import Step
from tests import tiny
from tests.training.small import IMAGES, LABELS, VARIANTS, network

OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
}


def ones(count):
    """Each image counts once."""
    return np.ones(count, np.float32)


@pytest.mark.parametrize(
    ("optimizer", "size", "shards"),
    [("adam", 1, 4), ("adam", 7, 4), ("sgd", 1, 4), ("sgd", 2, 4), ("sgd", 3, 4), ("sgd", 150, 4), ("sgd", 7, 3)]
    + [("sgd", 7, 1), ("sgd", 7, 16)],
)
def test_steps_are_those_of_plain_keras(optimizer, size, shards):
    """Two in a row, so that the optimizer's state counts; where a batch has fewer images than shards as well."""
    steps = min(150 // size, 2)
    images, labels = IMAGES[: steps * size], LABELS[: steps * size].astype(np.int32)
    reference, apply, expected = network(dense_units=8), OPTIMIZERS[optimizer](), 0.0
    loss_of = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    for first in range(0, steps * size, size):
        rows = slice(first, first + size)
        with tf.GradientTape() as tape:
            mean = loss_of(np.eye(tiny.CLASSES)[labels[rows]], reference(images[rows].astype(np.float32)))
        apply.apply(tape.gradient(mean, reference.trainable_variables), reference.trainable_variables)
        expected += size * float(mean)
    model = network(dense_units=8)
    options = tiny.train_options(optimizer=optimizer, label_smoothing=0.1, batch_size=size, shards=shards)
    step = Step(model, images.dtype, options)
    loss, *_ = step.run(images, labels, ones(len(images)), np.full(steps, 0.01, np.float32), 0)
    assert loss == pytest.approx(expected, rel=1e-5)
    for ours, theirs in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_takes_a_share_of_each_weight_away_beside_the_step(optimizer):
    """Decoupled from the gradient (I. Loshchilov, F. Hutter, arXiv:1711.05101): rate times decay of what it was."""
    before, after = network().get_weights(), {}
    for decay in (0.0, 0.5):
        model = network()
        options = tiny.train_options(optimizer=optimizer, weight_decay=decay, batch_size=150)
        step = Step(model, IMAGES.dtype, options)
        step.run(IMAGES, LABELS.astype(np.int32), ones(150), np.full(1, 0.01, np.float32), 0)
        after[decay] = model.get_weights()
    for start, plain, decayed in zip(before, after[0.0], after[0.5], strict=True):
        np.testing.assert_allclose(plain - decayed, 0.01 * 0.5 * start, atol=1e-7)


def test_right_answers_are_counted_before_the_step():
    model = network()
    expected = int((np.asarray(model(IMAGES.astype(np.float32))).argmax(axis=1) == LABELS).sum())
    step = Step(model, IMAGES.dtype, tiny.train_options(batch_size=len(IMAGES)))
    assert step.run(IMAGES, LABELS.astype(np.int32), ones(150), np.ones(1, np.float32), 0)[1] == expected


@pytest.mark.parametrize(
    ("variant", "size"),
    [*(("batch norm and dropout", size) for size in (1, 2, 3, 5)), ("augmentation", 1), ("augmentation", 5)],
)
def test_a_batch_of_any_size_trains_to_finite_weights(variant, size):
    options, changes = VARIANTS[variant]
    model = network(**options | {"blocks": tiny.blocks([8], pool_size=10)})  # 1 x 1: a value an image and a channel
    before = model.get_weights()
    step = Step(model, IMAGES.dtype, tiny.train_options(batch_size=size, **changes))
    data = IMAGES[: 3 * size], LABELS[: 3 * size].astype(np.int32), ones(3 * size)
    loss, *_ = step.run(*data, np.full(3, 0.01, np.float32), 0)
    assert np.isfinite(loss)
    after = model.get_weights()
    assert all(np.isfinite(weights).all() for weights in after)
    assert tiny.digest(after) != tiny.digest(before)


@pytest.mark.slow
def test_two_replicas_give_the_bits_of_one():
    """Devices stand for GPUs, in a process of its own: they must be there before TensorFlow starts."""
    code = """
        from cnn.network import runtime
        runtime.prepare("portable")
        import numpy as np, tensorflow as tf
        from cnn.network import build
        from cnn.training.step import Step
        from cnn.training.workers import Workers
        from tests import tiny

        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
        images, labels = tiny.bars(256)
        options = tiny.train_options(augment={"shift": 1}, shards=5)
        totals, bits = [], []
        for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
            runtime.set_global_seed(1)
            architecture = tiny.model_options(batch_norm=True, dropout=0.2)
            network = build.build_cnn_model(tiny.SHAPE, tiny.CLASSES, architecture)
            step = Step(network, images.dtype, options, workers=Workers(strategy))
            rates = np.full(256 // options.batch_size, 0.01, np.float32)
            counts = np.ones(256, np.float32)
            runs = [step.run(images, labels.astype(np.int32), counts, rates, 8 * i) for i in range(3)]
            totals.append([[loss, hits, *losses.ravel()] for loss, hits, losses in runs])
            bits.append(tiny.digest(network.get_weights()))
        assert np.abs(np.diff(np.array(totals)[0, :, 0])).min() > 3, totals  # they learn
        assert totals[0] == totals[1]
        assert bits[0] == bits[1]
    """
    done = tiny.fresh_python(textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
