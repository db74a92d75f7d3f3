"""The one conversion between what models see, float32 in [-1, 1], and what people see, uint8."""

import tensorflow as tf


def to_float(images):
    """Maps uint8 pictures in [0, 255] to float32 in [-1, 1]."""
    return tf.cast(images, tf.float32) * (1 / 127.5) - 1


def to_uint8(images):
    """Maps float pictures in [-1, 1] to uint8 in [0, 255], rounding and clipping."""
    return tf.cast(
        tf.clip_by_value(tf.round((tf.cast(images, tf.float32) + 1) * 127.5), 0, 255), tf.uint8
    )
