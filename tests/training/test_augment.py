"""Augmentation: random, repeatable, within its limits; each kind does what it says, exactly."""

import numpy as np
import pytest
import tensorflow as tf

from cnn.settings.schema import Augment
from cnn.training.augmentation import augment

SEED = tf.constant([1, 2])


def square():
    images = np.zeros((8, 9, 9, 1), np.float32)
    images[:, 3:6, 3:6] = 200
    return images


STILL = {"shift": 0, "crop": 0, "rotate": 0, "zoom": 0.0, "shear": 0.0}
STILL |= {"flip": False, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}


def limits(**changes):
    """What is not named is not changed."""
    return Augment.model_validate(STILL | changes)


def test_nothing_to_change_returns_the_very_images():
    images = square()
    assert augment(images, limits(), SEED) is images


def test_same_seed_gives_same_images_and_another_seed_others():
    chosen = limits(shift=2, rotate=20, zoom=0.2, shear=0.1)
    first, again = (augment(square(), chosen, SEED).numpy() for _ in range(2))
    other = augment(square(), chosen, tf.constant([1, 3])).numpy()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shift_moves_the_centre_of_mass_by_no_more_than_its_limit():
    moved = augment(square(), limits(shift=2), SEED).numpy()[..., 0]
    rows = (moved.sum(axis=2) * np.arange(9)).sum(axis=1) / moved.sum(axis=(1, 2))
    assert np.ptp(rows) > 0.5, "each image has a shift of its own"
    assert np.abs(rows - 4).max() <= 2.01


@pytest.mark.parametrize("shift", [0.4, 1, 2.5, 20])
@pytest.mark.parametrize("crop", [0, 1, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_a_shift_is_the_affine_map_of_that_shift(count, shift, crop):
    """Nearly no zoom has the map computed by other means; images not square, of three channels."""
    near = limits(shift=shift, crop=crop, zoom=1e-9)
    exact = limits(shift=shift, crop=crop)
    expected, moved = (augment(photographs(count), chosen, SEED).numpy() for chosen in (near, exact))
    assert moved.any() or count < 1000, "not all is shifted away"
    np.testing.assert_allclose(moved, expected, atol=0.05)


def test_rotation_zoom_and_shear_keep_the_centre_of_mass():
    moved = augment(square(), limits(rotate=45, zoom=0.3, shear=0.3), SEED).numpy()[..., 0]
    for axis in (1, 2):
        centres = (moved.sum(axis=axis) * np.arange(9)).sum(axis=1) / moved.sum(axis=(1, 2))
        np.testing.assert_allclose(centres, 4, atol=0.1)
    assert np.ptp(moved.sum(axis=(1, 2))) > 100, "zooming changes the area"


def test_shear_moves_rows_sideways_in_proportion_to_their_height():
    sheared = augment(square(), limits(shear=0.4), SEED).numpy()[..., 0]
    np.testing.assert_allclose(sheared.sum(axis=2), square()[..., 0].sum(axis=2), rtol=1e-4)
    centres = (sheared[:, 3:6] * np.arange(9)).sum(axis=2) / sheared[:, 3:6].sum(axis=2)
    np.testing.assert_allclose(centres[:, 0] - 4, 4 - centres[:, 2], atol=1e-4)
    assert 0.2 < np.abs(centres[:, 0] - 4).max() <= 0.4


def changed(images=None, **changes):
    """What `augment` makes of photographs, or of other images."""
    return augment(photographs() if images is None else images, limits(**changes), SEED).numpy()


def photographs(count=64):
    """Images (count, 6, 5, 3) of noise."""
    return np.random.default_rng(3).integers(0, 256, (count, 6, 5, 3)).astype(np.float32)


def grey(images):
    """The brightness of each pixel, (n, height, width, 1), as television has it: ITU-R BT.601."""
    return images @ np.array([[0.299], [0.587], [0.114]])


def factors(before, after, limit):
    """By how much each image was multiplied, (n,): the same for all its values, within 1 plus or minus the limit."""
    usual = (after * before).sum(axis=(1, 2, 3)) / (before**2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(after, usual[:, None, None, None] * before, atol=1e-2)
    assert 1 - limit <= usual.min() < 1 - 0.8 * limit
    assert 1 + 0.8 * limit < usual.max() <= 1 + limit
    return usual


def test_flip_mirrors_about_one_image_in_two_left_to_right_and_leaves_the_others():
    before = photographs(1000)
    after = changed(before, flip=True)
    mirrored = (after == before[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored != (after == before).all(axis=(1, 2, 3))).all()
    assert 450 < mirrored.sum() < 550


def test_crop_moves_by_whole_pixels_each_way_as_often_and_interpolates_nothing():
    before = photographs(1000) + 1
    after = changed(before, crop=2)
    framed = np.pad(before, [(0, 0), (2, 2), (2, 2), (0, 0)])
    moved = {
        (top, left): (after == framed[:, top : top + 6, left : left + 5]).all(axis=(1, 2, 3))
        for top in range(5)
        for left in range(5)
    }
    assert (sum(same.astype(int) for same in moved.values()) == 1).all()
    assert 20 < min(same.sum() for same in moved.values()) <= max(same.sum() for same in moved.values()) < 60


def test_brightness_multiplies_all_pixels_of_an_image_and_cuts_nothing_off():
    before = photographs() + 1
    factors(before, after := changed(before, brightness=0.5), 0.5)
    assert after.max() > 256


def test_contrast_goes_away_from_the_mean_grey_of_the_image():
    before = photographs()
    after = changed(before, contrast=0.4)
    mean = grey(before).mean(axis=(1, 2, 3), keepdims=True)
    factors(before - mean, after - mean, 0.4)
    np.testing.assert_allclose(grey(after).mean(axis=(1, 2, 3), keepdims=True), mean, rtol=1e-5)


def test_saturation_goes_away_from_the_grey_of_each_pixel():
    before = photographs()
    after = changed(before, saturation=0.9)
    factors(before - grey(before), after - grey(before), 0.9)
    np.testing.assert_allclose(grey(after), grey(before), rtol=1e-4, atol=1e-3)


def test_images_of_one_channel_have_brightness_and_contrast_and_no_saturation():
    before = photographs()[..., :1]
    np.testing.assert_allclose(changed(before, saturation=0.9), before, rtol=1e-6)
    mean = before.mean(axis=(1, 2, 3), keepdims=True)
    factors(before - mean, changed(before, contrast=0.4) - mean, 0.4)


def test_pixels_from_0_to_1_are_changed_as_those_from_0_to_255():
    all_colours = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3}
    np.testing.assert_allclose(changed(photographs() / 255, **all_colours) * 255, changed(**all_colours), atol=1e-3)


def test_each_kind_of_change_draws_for_itself():
    """What one of them draws does not depend on the others."""
    both = changed(flip=True, brightness=0.5)
    np.testing.assert_array_equal(both, changed(changed(flip=True), brightness=0.5))
    bright, strong = changed(brightness=0.5), changed(contrast=0.5)
    mean = grey(photographs()).mean(axis=(1, 2, 3), keepdims=True)
    drawn = factors(photographs(), bright, 0.5), factors(photographs() - mean, strong - mean, 0.5)
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.4


def test_new_kinds_of_change_leave_the_draws_of_the_old_ones_alone():
    """The digits' recipes keep their bits: the first five draws are what five alone would be."""
    five, eleven = (tf.random.stateless_uniform((rows, 33), SEED, -1, 1, alg="philox").numpy() for rows in (5, 11))
    np.testing.assert_array_equal(five, eleven[:5])
