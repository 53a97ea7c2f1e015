"""Random changes of training images: shifted, rotated, zoomed, sheared."""

import math

import tensorflow as tf

from cnn.settings import schema


def augment(images: tf.Tensor, limits: schema.Augment, seed: tf.Tensor) -> tf.Tensor:
    """Move each image (n, height, width, channels) float32 by its own random affine map; the same for the same seed.

    seed: (2,) int32. Pixels from outside the image are 0, those in between are interpolated.
    """
    if not any(limits.model_dump().values()):
        return images
    count, height, width, _ = images.shape
    draws = tf.random.stateless_uniform((5, count), seed, -1, 1, alg="philox")
    angle = draws[0] * (limits.rotate * math.pi / 180)
    scale = 1 + draws[1] * limits.zoom
    right, down = draws[2] * limits.shift, draws[3] * limits.shift
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
