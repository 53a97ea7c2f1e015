"""Which images an epoch is of: all, or the hardest and some others, which stand for all the rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn.process.errors import InputError
from cnn.training.sampling import Sampler
from tests import tiny
from tests.training.small import IMAGES, LABELS, network, trained

COUNTS, SHARES = st.integers(1, 300), st.floats(0.05, 1)


def sampler(count, share, losses=None, **options):
    """Of so many images, whose losses are known."""
    made = Sampler(tiny.train_options(epoch_share=share, **{"batch_size": 1} | options), count)
    made.note(np.arange(count), np.arange(count) if losses is None else losses)
    made.begin()
    return made


@given(COUNTS, SHARES.filter(lambda share: share < 1), st.integers(0, 100))
def test_the_first_epoch_is_of_all_images_alike(count, share, seed):
    if round(count * share):
        order, counts = sampler(count, share, seed=seed).epoch(0)
        assert sorted(order.ravel()) == list(range(count))
        assert (counts == 1).all()


@given(COUNTS, st.integers(1, 5), st.integers(0, 100))
def test_a_share_of_one_is_all_images_alike_whatever_their_losses(count, epoch, seed):
    order, counts = sampler(count, 1.0, np.random.default_rng(seed).random(count)).epoch(epoch)
    assert sorted(order.ravel()) == list(range(count))
    assert (counts == 1).all()
    np.testing.assert_array_equal(order, sampler(count, 1.0).epoch(epoch)[0])


@given(COUNTS, SHARES, st.integers(1, 5), st.integers(0, 100))
def test_half_of_a_later_epoch_is_the_hardest_and_the_mean_weight_is_one(count, share, epoch, seed):
    size = round(count * share)
    if not size:
        return
    losses = np.random.default_rng(seed).permutation(count)
    order, counts = sampler(count, share, losses).epoch(epoch)
    assert order.shape == counts.shape == (size, 1)
    assert len(set(order.ravel())) == size
    hardest = np.argsort(-losses)[: size // 2]
    assert set(hardest) <= set(order.ravel())
    assert counts.mean() == pytest.approx(1, rel=1e-5)
    hard = np.isin(order, hardest)
    np.testing.assert_allclose(counts[hard], size / count, rtol=1e-6)
    assert len(set(counts[~hard].tolist())) == 1
    assert counts[~hard].min() >= size / count * (1 - 1e-6)


def test_over_many_epochs_the_weighted_mean_is_that_of_all_images():
    losses = np.random.default_rng(0).exponential(size=200)
    made = sampler(200, 0.3, losses)
    means = [np.mean(counts * losses[order]) for order, counts in map(made.epoch, range(1, 2001))]
    assert np.mean(means) == pytest.approx(losses.mean(), rel=0.01)
    assert np.std(means) > 0


@pytest.mark.parametrize(("count", "share", "size"), [(2000, 0.5, 100), (1000, 0.7, 256), (1000, 0.15, 100)])
def test_each_step_of_an_epoch_is_expected_to_be_of_all_images(count, share, size):
    """The hard ones come neither first nor last, and are not what an incomplete batch leaves out."""
    losses = np.random.default_rng(0).exponential(size=count)
    made = sampler(count, share, losses, batch_size=size)
    steps = np.mean([(counts * losses[order]).mean(1) for order, counts in map(made.epoch, range(1, 401))], axis=0)
    np.testing.assert_allclose(steps, losses.mean(), rtol=0.06)


def test_the_others_are_drawn_anew_in_each_epoch_and_by_each_seed():
    easy = [set(sampler(100, 0.5, seed=seed).epoch(epoch)[0].ravel()) for seed in (1, 2) for epoch in (1, 2)]
    assert len(set(map(frozenset, easy))) == 4
    assert all(set(range(75, 100)) <= each for each in easy)


def test_what_is_noted_in_an_epoch_is_known_in_the_next():
    made = sampler(100, 0.1)
    before = made.epoch(1)[0].tolist()
    made.note(np.arange(5), np.full(5, 1000.0))
    assert made.epoch(1)[0].tolist() == before, "a training that goes on within the epoch has the same one"
    made.begin()
    assert set(range(5)) <= set(made.epoch(1)[0].ravel())


@given(COUNTS, SHARES, st.integers(1, 20), st.integers(0, 6))
def test_the_steps_are_those_of_whole_batches(count, share, size, epochs):
    if round(count * share) >= size and count >= size:
        made = sampler(count, share, batch_size=size, epochs=max(epochs, 1))
        assert made.steps_before(epochs) == sum(len(made.epoch(epoch)[0]) for epoch in range(epochs))


@pytest.mark.parametrize(("epochs", "share", "most"), [(1, 0.5, 150), (2, 0.5, 75), (2, 0.001, 0), (2, 1.0, 150)])
@pytest.mark.parametrize("size", [0, 1, 10, 151])
def test_an_epoch_of_less_than_a_batch_is_refused(epochs, share, most, size):
    size = max(size, most + 1)
    with pytest.raises(InputError) as refused:
        trained(batch_size=size, epochs=epochs, epoch_share=share)
    mend = " Raise train.epoch_share, or lower train.batch_size." if size <= 150 else ""  # of so many images
    assert str(refused.value) == (
        f"train.batch_size: expected at most the {most} training images of an epoch. Received: {size}.{mend}"
    )


def test_the_history_is_of_all_images_and_the_losses_noted_are_those_of_each():
    """With hardly a learning rate, each epoch's loss is expected to be the first one's, not that of the hard images."""
    _, history = trained(epochs=80, epoch_share=0.4, batch_size=25, learning_rate=1e-12)  # 10 of 60 are left out
    first, *later = (np.array([row["loss"], row["accuracy"]]) for row in history)
    loss, accuracy = np.mean(later, axis=0)
    assert loss == pytest.approx(first[0], abs=0.01)
    assert accuracy == pytest.approx(first[1], abs=0.05)
    model = network()
    likelihoods = np.asarray(model(IMAGES.astype(np.float32)))[np.arange(150), LABELS]
    assert first[0] == pytest.approx(-np.log(likelihoods).mean(), rel=1e-4)


@pytest.mark.parametrize("shards", [1, 3, 4])
def test_a_step_gives_the_loss_of_each_image_in_its_place(shards):
    """Also where shards are of different sizes: 10 images in 3 or 4."""
    from cnn.training.step import Step

    model = network()
    likelihoods = np.asarray(model(IMAGES[:20].astype(np.float32)))[np.arange(20), LABELS[:20]]
    step = Step(model, IMAGES.dtype, tiny.train_options(batch_size=10, shards=shards))
    counts = np.linspace(0, 2, 20, dtype=np.float32)
    loss, hits, losses = step.run(IMAGES[:20], LABELS[:20].astype(np.int32), counts, np.full(2, 1e-12, np.float32), 0)
    np.testing.assert_allclose(losses.ravel(), -np.log(likelihoods), rtol=1e-4)
    assert loss == pytest.approx((losses.ravel() * counts).sum(), rel=1e-5)
    right = np.asarray(model(IMAGES[:20].astype(np.float32))).argmax(axis=1) == LABELS[:20]
    assert hits == pytest.approx((right * counts).sum(), rel=1e-5)


def test_no_accuracy_is_above_one_where_the_incomplete_batch_is_of_images_that_count_little():
    _, history = trained(epochs=10, epoch_share=0.3, batch_size=11, learning_rate=0.02)
    assert 0.9 < max(row["accuracy"] for row in history) <= 1
