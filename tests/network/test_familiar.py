"""What looks familiar: 99 of 100 images like those trained on, and no noise, negative or photograph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn.network import familiar
from tests import tiny


@pytest.fixture(scope="module")
def known():
    return familiar.learn(tiny.bars(900, seed=1)[0], tiny.bars(500, seed=2)[0])


def test_images_of_the_same_kind_are_familiar(known):
    share = known.knows(tiny.bars(2000, seed=3)[0]).mean()
    assert 0.97 <= share <= 1


@pytest.mark.parametrize(
    "other",
    [
        255 - tiny.bars(100, seed=4)[0],
        np.random.default_rng(0).integers(0, 256, (100, *tiny.SHAPE), np.uint8),
        np.zeros((1, *tiny.SHAPE), np.uint8),
        np.full((1, *tiny.SHAPE), 255, np.uint8),
    ],
    ids=["negative", "noise", "black", "white"],
)
def test_other_images_are_not(known, other):
    assert not known.knows(other).any()


def test_one_in_a_hundred_validation_images_is_beyond_the_limit():
    validation = tiny.bars(500, seed=2)[0]
    known = familiar.learn(tiny.bars(900, seed=1)[0], validation)
    assert (~known.knows(validation)).sum() == 5


def test_without_validation_images_everything_is_familiar():
    images = tiny.bars(50)[0]
    assert familiar.learn(images, images[:0]).knows(255 - images).all()


def test_a_description_is_mean_and_deviation_of_each_field():
    image = np.random.default_rng(1).integers(0, 256, (1, 8, 12, 3), np.uint8)
    described = familiar.describe(image).reshape(4, 4, 6)
    field = image[0, 2:4, 3:6] / 255
    np.testing.assert_allclose(described[1, 1, :3], field.mean(axis=(0, 1)), atol=1e-12)
    np.testing.assert_allclose(described[1, 1, 3:], field.std(axis=(0, 1)), atol=1e-12)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
def test_any_size_is_described(height, width, channels):
    images = np.random.default_rng(0).integers(0, 256, (7, height, width, channels), np.uint8)
    described = familiar.describe(images)
    assert described.shape == (7, 2 * min(height, 4) * min(width, 4) * channels)
    assert ((described >= 0) & (described <= 1)).all()
    assert familiar.learn(images, images).knows(images).any()


def test_what_is_learnt_does_not_depend_on_how_the_images_are_held(tmp_path):
    images, validation = tiny.bars(300)[0], tiny.bars(200, seed=5)[0]
    np.save(tmp_path / "images.npy", images)
    mapped = familiar.learn(np.load(tmp_path / "images.npy", mmap_mode="r"), validation)
    held = familiar.learn(images, validation)
    assert mapped.limit == held.limit
    assert mapped.reference.tobytes() == held.reference.tobytes()
    assert mapped.reference.shape == (300, 32)
