"""Training: it learns, it repeats itself, and it says when it cannot go on."""

import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from stages import model as network
from stages import train
from stages.errors import InputError
from tests import tiny

IMAGES, LABELS = tiny.bars(150)
COLUMNS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
# What draws random numbers, or adds up in an order of its own: each group costs a compilation.
VARIANTS = {
    "batch norm and dropout": ({"batch_norm": True, "dropout": 0.3}, {}),
    "augmentation": ({}, {"augment": {"shift": 1, "rotate": 10, "zoom": 0.1, "shear": 0.15}}),
    "sgd, one cycle, smoothing": ({}, {"optimizer": "sgd", "schedule": "one_cycle", "label_smoothing": 0.1}),
}


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    """As runtime.prepare does: the same bits run after run."""
    tf.config.experimental.enable_op_determinism()


def trained(seed=1, model=None, validation=None, checkpoint=None, **options):
    """A small network and its history after short training."""
    keras.utils.set_random_seed(seed)
    built = network.build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options(**(model or {})))
    history = train.train_cnn_model(built, IMAGES, LABELS, tiny.train_options(**options), seed, validation, checkpoint)
    return built, history


def bits(result):
    return tiny.digest(result[0].get_weights())


@pytest.fixture(scope="module")
def plain():
    """Training without validation images."""
    return trained()


@pytest.fixture(scope="module")
def validated():
    """The same training with validation images."""
    return trained(validation=tiny.bars(30, seed=2))


def test_network_learns_bars():
    model, history = trained(epochs=15)
    images, labels = tiny.bars(300, seed=1)
    assert history[0]["accuracy"] < 0.8
    assert history[-1]["accuracy"] > 0.95
    measured = network.loss_and_accuracy(network.predictor(model)(images, 100), labels)
    assert measured["accuracy"] > 0.95, "on images never seen"


def test_history_has_a_row_an_epoch_and_what_validation_measured(validated):
    model, history = validated
    assert [list(row) for row in history] == [COLUMNS] * 2
    assert [row["epoch"] for row in history] == [1, 2]
    assert [row["learning_rate"] for row in history] == [pytest.approx(0.01)] * 2
    images, labels = tiny.bars(30, seed=2)
    expected = network.loss_and_accuracy(network.predictor(model)(images, 30), labels)
    assert history[-1]["val_loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert history[-1]["val_accuracy"] == expected["accuracy"]


def test_without_validation_its_columns_are_empty(plain):
    assert [list(row) for row in plain[1]] == [COLUMNS] * 2
    assert {row[name] for row in plain[1] for name in ("val_loss", "val_accuracy")} == {None}


def test_validation_images_do_not_influence_the_weights(plain, validated):
    assert bits(plain) == bits(validated)
    assert [row["loss"] for row in plain[1]] == [row["loss"] for row in validated[1]]


def test_seed_decides_the_order_of_images(plain):
    """The initial weights are those of seed 1 in both (test_model says that they, too, depend on it)."""
    keras.utils.set_random_seed(1)
    model = network.build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options())
    train.train_cnn_model(model, IMAGES, LABELS, tiny.train_options(), seed=2)
    assert tiny.digest(model.get_weights()) != bits(plain)


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_seed_gives_the_same_weights_bit_for_bit(plain, variant):
    model, options = VARIANTS[variant]
    first, second = (trained(model=model, **options) for _ in range(2))
    assert bits(first) == bits(second)
    assert first[1] == second[1]
    assert bits(first) != bits(plain), "the option has an effect"


def test_training_goes_on_from_its_last_checkpoint_to_the_same_bits(tmp_path, monkeypatch, capsys):
    """What a finished training leaves is from before its last piece: as if it had been killed there."""
    monkeypatch.setattr(train, "CHUNK", 32)
    options = {"model": VARIANTS["batch norm and dropout"][0], "checkpoint_seconds": 1e-9}
    whole = trained(checkpoint=tmp_path / "state", **options)
    capsys.readouterr()
    resumed = trained(checkpoint=tmp_path / "state", **options)
    assert "going on from step 7 of 8" in capsys.readouterr().out
    assert bits(resumed) == bits(whole)
    assert resumed[1] == whole[1]


def test_first_step_is_that_of_plain_keras():
    keras.utils.set_random_seed(1)
    reference = network.build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options())
    reference.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    )
    loss = reference.train_on_batch(IMAGES.astype(np.float32), np.eye(tiny.CLASSES)[LABELS])
    model, history = trained(optimizer="sgd", label_smoothing=0.1, batch_size=len(IMAGES), epochs=1)
    assert history[0]["loss"] == pytest.approx(float(loss), rel=1e-5)
    for ours, theirs in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_constant_rate_stays():
    rates = train.learning_rates(tiny.train_options(epochs=3, learning_rate=0.002), 7)
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, np.full(21, 0.002, np.float32))


def test_one_cycle_peaks_at_a_quarter_and_ends_near_zero():
    rates = train.learning_rates(tiny.train_options(schedule="one_cycle", epochs=4, learning_rate=0.5), 100)
    assert rates.dtype == np.float32
    assert len(rates) == 400
    assert rates[0] == pytest.approx(0.02), "a 25th"
    assert rates.argmax() == 100
    assert rates[100] == 0.5
    assert (np.diff(rates[:101]) > 0).all()
    assert (np.diff(rates[100:]) < 0).all()
    assert 0 < rates[-1] < 0.002


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_one_cycle_of_few_steps_has_a_rate_for_each(steps):
    rates = train.learning_rates(tiny.train_options(schedule="one_cycle", epochs=1, learning_rate=0.5), steps)
    assert len(rates) == steps
    assert (rates > 0).all()
    assert (rates <= 0.5).all()


def test_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match=r"train\.batch_size: expected at most the 150 .*Received: 151\."):
        trained(batch_size=151)


def test_diverging_training_is_stopped_with_the_mend():
    with pytest.raises(InputError, match=r"expected a finite loss\. Received: (nan|inf).*lower train\.learning_rate"):
        trained(learning_rate=1e20)


def test_a_batch_that_cannot_fit_into_memory_is_refused_before_the_first_step():
    model = network.build_cnn_model(
        (2000, 2000, 1), 3, tiny.model_options(filters=[1024], kernel_sizes=3, strides=1, pool_sizes=50)
    )
    images = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (1000, 2000, 2000, 1))  # of no size in memory
    with pytest.raises(InputError, match=r"which needs at least 65461\.9 GB\. Lower it, or model\.filters\."):
        train.train_cnn_model(model, images, np.zeros(1000, np.uint8), tiny.train_options(batch_size=1000), seed=1)


def test_two_replicas_train_like_one():
    """`tf.distribute` in a process of its own: the devices must be there before TensorFlow starts."""
    code = """
        from stages import runtime
        runtime.prepare("portable")
        import numpy as np, tensorflow as tf
        from stages import model, train
        from tests import tiny

        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
        images, labels = tiny.bars(256)
        options = tiny.train_options()
        totals = []
        for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
            runtime.set_global_seed(1)
            with strategy.scope():
                network = model.build_cnn_model(tiny.SHAPE, tiny.CLASSES, tiny.model_options(batch_norm=True))
                run_chunk, _ = train.compile_loop(network, images, options, seed=1)
            rates = np.full(256 // options.batch_size, 0.01, np.float32)
            totals.append([run_chunk(images, labels.astype(np.int32), rates, 8 * i).numpy() for i in range(3)])
        assert np.abs(np.diff(np.array(totals)[0, :, 0])).min() > 10, totals  # they learn
        np.testing.assert_allclose(*totals, rtol=1e-5)
    """
    done = tiny.fresh_python(textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
