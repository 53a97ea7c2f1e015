"""Training: it learns, it repeats itself, and it says when it cannot go on."""

import keras
import numpy as np
import pytest

from cnn.network.inference import predictor
from cnn.network.loss import loss_and_accuracy
from cnn.process.errors import InputError
from cnn.training.loop import train_cnn_model
from cnn.training.sampling import Sampler
from tests import tiny
from tests.training.small import IMAGES, LABELS, VALIDATION, VARIANTS, bits, network, trained

COLUMNS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]


@pytest.fixture(scope="module")
def plain():
    """Training without validation images."""
    return trained()


@pytest.fixture(scope="module")
def validated():
    """The same training with validation images, and what was called after each epoch."""
    calls = []
    return *trained(validation=VALIDATION, after=lambda rows: calls.append(list(rows))), calls


def test_network_learns_bars():
    model, history = trained(epochs=15)
    images, labels = tiny.bars(300, seed=1)
    assert history[0]["accuracy"] < 0.8
    assert history[-1]["accuracy"] > 0.95
    measured = loss_and_accuracy(predictor(model)(images, 100), labels)
    assert measured["accuracy"] > 0.95, "on images never seen"


def test_history_has_a_row_an_epoch_and_what_validation_measured(validated):
    model, history, _ = validated
    assert [list(row) for row in history] == [COLUMNS] * 2
    assert [row["epoch"] for row in history] == [1, 2]
    assert [row["learning_rate"] for row in history] == [float(np.float32(0.01))] * 2
    images, labels = VALIDATION
    expected = loss_and_accuracy(predictor(model)(images, 7), labels)
    assert (history[-1]["val_loss"], history[-1]["val_accuracy"]) == (expected["loss"], expected["accuracy"])


def test_after_each_epoch_all_rows_so_far_are_handed_on(validated):
    _, history, calls = validated
    assert calls == [history[:1], history]


def test_without_validation_its_columns_are_empty(plain):
    assert [list(row) for row in plain[1]] == [COLUMNS] * 2
    assert {row[name] for row in plain[1] for name in ("val_loss", "val_accuracy")} == {None}


def test_a_validation_split_without_images_is_none(plain):
    model, history = trained(validation=(np.empty((0, *tiny.SHAPE), np.uint8), np.empty(0, np.uint8)))
    assert history == plain[1]
    assert bits((model,)) == bits(plain)


def test_validation_images_do_not_influence_the_weights(plain, validated):
    assert bits(plain) == bits(validated)
    assert [row["loss"] for row in plain[1]] == [row["loss"] for row in validated[1]]


def test_seed_decides_the_order_of_images(plain):
    """The initial weights are those of seed 1 in both (test_build says that they, too, depend on it)."""
    model = network(seed=1)
    train_cnn_model(model, IMAGES, LABELS, tiny.train_options(seed=2))
    assert bits((model,)) != bits(plain)


def epoch_order(options, epoch):
    return Sampler(options, 150).epoch(epoch)[0].ravel().tolist()


def test_each_epoch_has_an_order_of_its_own_of_whole_batches():
    options = tiny.train_options(batch_size=32, seed=1)
    first, second = (epoch_order(options, epoch) for epoch in (0, 1))
    for order in (first, second):
        assert len(set(order)) == len(order) == 128
        assert set(order) <= set(range(150))
    assert first != second
    assert set(first) != set(second), "another rest is left out"
    assert epoch_order(options, 0) == first
    assert epoch_order(tiny.train_options(batch_size=32, seed=2), 0) != first


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_seed_gives_the_same_weights_bit_for_bit(plain, variant):
    model, options = VARIANTS[variant]
    first, second = (trained(model=model, **options) for _ in range(2))
    assert bits(first) == bits(second)
    assert first[1] == second[1]
    assert bits(first) != bits(plain), "the option has an effect"


def test_what_is_drawn_between_does_not_count(plain):
    model = network(seed=1)
    keras.utils.set_random_seed(99)
    train_cnn_model(model, IMAGES, LABELS, tiny.train_options(seed=1))
    assert bits((model,)) == bits(plain)


def test_labels_may_be_any_whole_numbers(plain):
    assert bits(trained(data=(IMAGES, LABELS.astype(np.int64)))) == bits(plain)


@pytest.mark.parametrize(("size", "batch_norm"), [(1, True), (2, False), (3, True), (149, False)])
def test_any_batch_size_trains_on_whole_batches_only(size, batch_norm):
    images, labels = (IMAGES, LABELS) if size > 3 else (IMAGES[:10], LABELS[:10])
    model, history = trained(
        {"batch_norm": batch_norm}, (images, labels), batch_size=size, epochs=1, validation=(images[:1], labels[:1])
    )
    seen = len(images) // size * size
    assert history[0]["accuracy"] * seen == pytest.approx(round(history[0]["accuracy"] * seen))
    assert np.isfinite([history[0]["loss"], history[0]["val_loss"]]).all()
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError) as refused:
        trained(batch_size=151)
    assert (
        str(refused.value) == "train.batch_size: expected at most the 150 training images of an epoch. Received: 151."
    )


@pytest.mark.parametrize("validation", [None, VALIDATION], ids=["alone", "validated"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_training_that_diverges_in_its_only_step_is_stopped_with_the_mend(optimizer, validation):
    """Its loss is that of before the step, and weights of 1e30 are finite: only what the network gives shows it."""
    calls = []
    with pytest.raises(InputError) as refused:
        trained(
            data=(IMAGES[:32], LABELS[:32]),
            epochs=1,
            learning_rate=1e30,
            optimizer=optimizer,
            validation=validation,
            after=calls.append,
        )
    wrong = "loss, probabilities" if validation else "probabilities"
    assert str(refused.value) == (
        f"epoch 1/1: expected a finite loss, weights and probabilities. Received: {wrong} that are not. "
        "Training diverged: lower train.learning_rate (now 1e+30)."
    )
    assert calls == []


def test_diverging_training_is_stopped_at_the_epoch_that_shows_it():
    with pytest.raises(InputError, match=r"^epoch 1/2: expected a finite loss.*Received: loss, weights, probabilities"):
        trained(learning_rate=1e20)


def test_a_network_of_rate_one_is_poor_but_no_divergence():
    _, history = trained(learning_rate=1, epochs=1)
    assert np.isfinite(history[0]["loss"])
