"""Random changes of training images: of their colours, mirrored, shifted, rotated, zoomed, sheared."""

import math

import tensorflow as tf

from cnn.network.shards import total
from cnn.settings import schema

# What red, green and blue add to what the eye sees as brightness: luma of ITU-R BT.601.
LUMA = (0.299, 0.587, 0.114)


def augment(images: tf.Tensor, limits: schema.Augment, seed: tf.Tensor) -> tf.Tensor:
    """Change each image (n, height, width, channels) float32 by draws of its own; the same for the same seed.

    seed: (2,) int32. First come the colours, then the mirror, then the affine map.
    """
    # All are drawn, whatever the limits are, so that a limit changes nothing but its own kind of change.
    draws = tf.random.stateless_uniform((11, images.shape[0]), seed, -1, 1, alg="philox")
    if limits.brightness or limits.contrast or limits.saturation:
        images = _recoloured(images, limits, draws[6:9])
    if limits.flip:
        images = tf.where(draws[5, :, None, None, None] < 0, tf.reverse(images, [2]), images)
    if limits.shift or limits.crop or limits.rotate or limits.zoom or limits.shear:
        images = _moved(images, limits, draws[:5], draws[9:])
    return images


def _recoloured(images: tf.Tensor, limits: schema.Augment, draws: tf.Tensor) -> tf.Tensor:
    """Multiply saturation, contrast and brightness by factors within 1 plus or minus the limits.

    As the field has it: saturation goes away from each pixel's own grey, contrast away from the mean grey of the
    image, brightness away from black. What leaves the range of pixels is not cut off, so that images in [0, 255] and
    in [0, 1] are changed alike. Images of one channel have no saturation. draws: (3, n) in [-1, 1).
    """
    bright, strong, colourful = (
        1 + draws[row, :, None, None, None] * limit
        for row, limit in enumerate((limits.brightness, limits.contrast, limits.saturation))
    )
    grey = images
    if images.shape[-1] == 3:
        grey = total(images[..., channel, None] * share for channel, share in enumerate(LUMA))
        images = grey + (images - grey) * colourful
    mean = tf.reduce_mean(grey, axis=(1, 2, 3), keepdims=True)
    return (mean + (images - mean) * strong) * bright


def _moved(images: tf.Tensor, limits: schema.Augment, draws: tf.Tensor, cuts: tf.Tensor) -> tf.Tensor:
    """Move each image by an affine map. draws: (5, n) in [-1, 1); cuts: (2, n) likewise.

    Pixels from outside the image are 0, those in between are interpolated. `crop` alone moves by whole pixels, so
    that nothing is interpolated, which would blur: a random crop of the image with a frame of 0 around it.
    """
    whole = tf.floor(cuts * (limits.crop + 0.5) + 0.5)  # each from -crop to crop as often
    right, down = draws[2] * limits.shift + whole[0], draws[3] * limits.shift + whole[1]
    if not (limits.rotate or limits.zoom or limits.shear):
        return _shifted(images, right, down, math.ceil(limits.shift) + limits.crop)
    _, height, width, _ = images.shape
    angle = draws[0] * (limits.rotate * math.pi / 180)
    scale = 1 + draws[1] * limits.zoom
    cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
    slant = draws[4] * limits.shear
    xx, xy, yx, yy = cosine, cosine * slant - sine, sine, sine * slant + cosine
    # Sheared, rotated and scaled about the centre, then shifted. Rows of the map from output to input pixels:
    # (a0, a1, a2, b0, b1, b2, 0, 0), x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2.
    x, y = (width - 1) / 2, (height - 1) / 2
    zero = tf.zeros_like(angle)
    a = (xx, xy, x - xx * x - xy * y + right)
    b = (yx, yy, y - yx * x - yy * y + down)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*a, *b, zero, zero], axis=1),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _shifted(images: tf.Tensor, right: tf.Tensor, down: tf.Tensor, farthest: int) -> tf.Tensor:
    """Shift each image by so many pixels (n,), none by more than `farthest`: from where each pixel is taken.

    An affine map does the same: in seven times the time for a pixel or two, in half of it for a hundred.
    """

    def weights(shift: tf.Tensor, size: int) -> tf.Tensor:
        """Of the pixels from `reach` before to `reach` behind each one, in linear interpolation: (2 * reach + 1, n)."""
        reach = min(farthest, size - 1)
        offsets = tf.range(-reach, reach + 1, dtype=shift.dtype)
        return tf.nn.relu(1 - tf.abs(shift - offsets[:, None]))

    _, height, width, _ = images.shape
    maps = tf.transpose(images, (3, 1, 2, 0))  # each image a channel, to be convolved with weights of its own
    maps = tf.nn.depthwise_conv2d(maps, weights(down, height)[:, None, :, None], (1, 1, 1, 1), "SAME")
    maps = tf.nn.depthwise_conv2d(maps, weights(right, width)[None, :, :, None], (1, 1, 1, 1), "SAME")
    return tf.transpose(maps, (3, 1, 2, 0))
