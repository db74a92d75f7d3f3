"""Encoded pictures within TensorFlow's graph, as a served model gets them and gives them back."""

import tensorflow as tf

from kerasgen.pixels import to_uint8

LUMA = (0.299, 0.587, 0.114)


def decode_pictures(files, image_shape):
    """Decodes PNG and JPEG files to pictures of one shape.

    They are cropped at their centre to the shape's proportions and resized with anti-aliasing.
    As in `kerasgen.data`, transparency is laid over white where the shape has no alpha channel,
    and grey is the luma of ITU-R 601-2.

    Args:
        files: string tensor `(B,)`.
        image_shape: tuple of 3 ints. Height, width and channels asked for.

    Returns:
        float32 tensor `(B, H, W, C)` in [-1, 1].
    """
    return tf.map_fn(
        lambda file: _decode(file, image_shape),
        files,
        fn_output_signature=tf.TensorSpec(image_shape, tf.float32),
    )


def encode_pictures(images):
    """Encodes float pictures `(B, H, W, C)` in [-1, 1] as PNG files, a string tensor `(B,)`."""
    return tf.map_fn(tf.io.encode_png, to_uint8(images), fn_output_signature=tf.string)


def _decode(file, image_shape):
    height, width, channels = image_shape
    pixels = tf.cond(tf.io.is_jpeg(file), lambda: _jpeg(file), lambda: _png(file))
    pixels = _convert(tf.cast(pixels, tf.float32), channels)
    rows, columns = tf.shape(pixels)[0], tf.shape(pixels)[1]
    scale = tf.minimum(rows / height, columns / width)
    kept = [tf.cast(tf.round(scale * side), tf.int32) for side in (height, width)]
    kept = [tf.clip_by_value(kept[0], 1, rows), tf.clip_by_value(kept[1], 1, columns)]
    top, left = (rows - kept[0]) // 2, (columns - kept[1]) // 2
    pixels = pixels[top : top + kept[0], left : left + kept[1]]
    pixels = tf.image.resize(pixels, (height, width), antialias=True)
    return tf.ensure_shape(pixels, image_shape) * (1 / 127.5) - 1


def _jpeg(file):
    colour = tf.io.decode_jpeg(file, channels=3)
    return tf.concat([colour, tf.fill(tf.shape(colour[..., :1]), tf.constant(255, tf.uint8))], -1)


def _png(file):
    return tf.io.decode_png(file, channels=4)


def _convert(pixels, channels):
    """From red, green, blue and alpha in [0, 255] to 1 to 4 channels."""
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if channels in (1, 3):
        opacity = alpha / 255
        colour = colour * opacity + 255 * (1 - opacity)
    if channels <= 2:
        # Not by decoding to grey: TensorFlow's PNG reader weighs the colours otherwise.
        colour = tf.tensordot(colour, tf.constant(LUMA), 1)[..., None]
    return tf.concat([colour, alpha], -1) if channels in (2, 4) else colour
