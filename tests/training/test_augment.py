"""Augmentation: random, repeatable, within its limits."""

import numpy as np
import tensorflow as tf

from cnn.settings.schema import Augment
from cnn.training.augmentation import augment

SEED = tf.constant([1, 2])


def square():
    images = np.zeros((8, 9, 9, 1), np.float32)
    images[:, 3:6, 3:6] = 200
    return images


def test_nothing_to_change_returns_the_very_images():
    images = square()
    assert augment(images, Augment(shift=0, rotate=0, zoom=0.0, shear=0.0), SEED) is images


def test_same_seed_gives_same_images_and_another_seed_others():
    limits = Augment(shift=2, rotate=20, zoom=0.2, shear=0.1)
    first, again = (augment(square(), limits, SEED).numpy() for _ in range(2))
    other = augment(square(), limits, tf.constant([1, 3])).numpy()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shift_moves_the_centre_of_mass_by_no_more_than_its_limit():
    moved = augment(square(), Augment(shift=2, rotate=0, zoom=0.0, shear=0.0), SEED).numpy()[..., 0]
    rows = (moved.sum(axis=2) * np.arange(9)).sum(axis=1) / moved.sum(axis=(1, 2))
    assert np.ptp(rows) > 0.5, "each image has a shift of its own"
    assert np.abs(rows - 4).max() <= 2.01


def test_rotation_zoom_and_shear_keep_the_centre_of_mass():
    moved = augment(square(), Augment(shift=0, rotate=45, zoom=0.3, shear=0.3), SEED).numpy()[..., 0]
    for axis in (1, 2):
        centres = (moved.sum(axis=axis) * np.arange(9)).sum(axis=1) / moved.sum(axis=(1, 2))
        np.testing.assert_allclose(centres, 4, atol=0.1)
    assert np.ptp(moved.sum(axis=(1, 2))) > 100, "zooming changes the area"


def test_shear_moves_rows_sideways_in_proportion_to_their_height():
    sheared = augment(square(), Augment(shift=0, rotate=0, zoom=0.0, shear=0.4), SEED).numpy()[..., 0]
    np.testing.assert_allclose(sheared.sum(axis=2), square()[..., 0].sum(axis=2), rtol=1e-4)
    centres = (sheared[:, 3:6] * np.arange(9)).sum(axis=2) / sheared[:, 3:6].sum(axis=2)
    np.testing.assert_allclose(centres[:, 0] - 4, 4 - centres[:, 2], atol=1e-4)
    assert 0.2 < np.abs(centres[:, 0] - 4).max() <= 0.4
