"""Pixels to a few levels of brightness, and back."""

import tensorflow as tf

from kerasgen.pixels import to_uint8


def to_levels(images, levels):
    """Maps pictures to levels: equally many of the 256 values of a pixel to each.

    Args:
        images: uint8 tensor in [0, 255], or float in [-1, 1].
        levels: int, a power of 2.

    Returns:
        int32 tensor in [0, levels - 1].
    """
    images = images if images.dtype == tf.uint8 else to_uint8(images)
    return tf.cast(images, tf.int32) // (256 // levels)


def from_levels(values, levels):
    """Maps levels to float32 in [-1, 1], the lowest to -1 and the highest to 1."""
    return tf.cast(values, tf.float32) * (2 / (levels - 1)) - 1
