"""Pictures drawn pixel after pixel, each computed once: what was computed before is kept.

Running the whole network for each pixel would cost as many passes as there are pixels. Of the
vertical stack a row is computed when it is reached, from the rows kept of each block, of the
horizontal one a pixel, from the pixel to its left.
"""

import tensorflow as tf

from kerasgen.models.pixel_cnn.levels import from_levels


def sample(network, uniforms):
    """Draws pictures.

    Args:
        network: `PixelNetwork`.
        uniforms: float32 tensor `(B, H, W, C)` in [0, 1): what each value is drawn by.

    Returns:
        int32 tensor `(B, H, W, C)` of levels.
    """
    batch, (height, width, channels) = tf.shape(uniforms)[0], network.image_shape
    first, *later = network.blocks
    dtype = network.compute_dtype
    places = tf.constant(network.places)
    draws = tf.transpose(uniforms, (1, 2, 0, 3))  # row, column, picture, channel

    def zeros(rows, *shape):
        return tf.zeros((batch, rows, *shape), dtype)

    def one_row(row, pixels, kept, drawn):
        """A row, from the pixel rows above it and each block's row above, to the next one."""
        sides = [[0, 0], [0, 0], [first.reach, first.reach], [0, 0]]
        above, from_above = first.rows(tf.pad(pixels, sides))
        given, keep = [from_above], []
        for block, before in zip(later, kept, strict=True):
            keep.append(above)
            sides = [[0, 0], [0, 0], [block.reach, block.reach], [0, 0]]
            above, from_above = block.rows(tf.pad(tf.concat([before, above], axis=1), sides))
            given.append(from_above)
        # column, block, picture, feature
        given = tf.transpose(tf.concat(given, axis=1), (2, 1, 0, 3))
        levels = _row(network, given, draws[row], places[row], batch)
        scaled = tf.cast(from_levels(levels, network.levels), dtype)
        pixels = tf.concat([pixels[:, 1:], network.seen(scaled, places[row])[:, None]], axis=1)
        return row + 1, pixels, keep, drawn.write(row, levels)

    start = (
        tf.constant(0),
        zeros(first.reach, width, network.seen_channels),
        [zeros(block.reach, width, network.filters) for block in later],
        tf.TensorArray(tf.int32, height, element_shape=(None, width, channels)),
    )
    *_, drawn = tf.while_loop(
        lambda row, *_: row < height, _same_shapes(one_row), start, maximum_iterations=height
    )
    return tf.ensure_shape(
        tf.transpose(drawn.stack(), (1, 0, 2, 3)), (None, height, width, channels)
    )


def draw_uniforms(seeds, image_shape):
    """What pictures are drawn by, each row a function of its own seed alone.

    Args:
        seeds: int64 tensor `(B, 2)`.
        image_shape: tuple of 3 ints.

    Returns:
        float32 tensor `(B, H, W, C)` in [0, 1).
    """
    return tf.map_fn(
        lambda seed: tf.random.stateless_uniform(image_shape, seed, alg="philox"),
        seeds,
        fn_output_signature=tf.TensorSpec(image_shape, tf.float32),
    )


def _row(network, given, draws, places, batch):
    """Draws a row of pixels from left to right.

    Args:
        network: `PixelNetwork`.
        given: tensor `(W, blocks, B, 2 * filters)` of what the horizontal stack gets from above.
        draws: float32 tensor `(W, B, C)`.
        places: float32 tensor `(W, 3)`, of the network's `places` those of the row.
        batch: int tensor. B.

    Returns:
        int32 tensor `(B, W, C)` of levels.
    """
    first, *later = network.blocks
    _, width, channels = network.image_shape
    dtype = network.compute_dtype

    def one_pixel(column, pixels, kept, drawn):
        features = first.pixel(pixels, given[column, 0])
        keep = []
        for number, (block, before) in enumerate(zip(later, kept, strict=True), start=1):
            keep.append(features)
            window = tf.stack([before, features], axis=1)
            features = block.pixel(window, given[column, number])
        values, levels = tf.zeros((batch, 0), dtype), []
        for channel in range(channels):
            values = tf.ensure_shape(values, (None, channel))
            logits = network.channel_logits(channel, features, values)
            levels.append(_draw(logits, draws[column, :, channel]))
            scaled = tf.cast(from_levels(levels[-1], network.levels), dtype)
            values = tf.concat([values, scaled[:, None]], axis=1)
        seen = network.seen(values, places[column])
        pixels = tf.concat([pixels[:, 1:], seen[:, None]], axis=1)
        return column + 1, pixels, keep, drawn.write(column, tf.stack(levels, axis=1))

    start = (
        tf.constant(0),
        tf.zeros((batch, first.reach, network.seen_channels), dtype),
        [tf.zeros((batch, network.filters), dtype) for _ in later],
        tf.TensorArray(tf.int32, width, element_shape=(None, channels)),
    )
    *_, drawn = tf.while_loop(
        lambda column, *_: column < width, _same_shapes(one_pixel), start, maximum_iterations=width
    )
    return tf.transpose(drawn.stack(), (1, 0, 2))


def _draw(logits, uniforms):
    """The level at which the summed probabilities pass a uniform number, int32 `(B,)`."""
    passed = tf.cumsum(tf.nn.softmax(logits), axis=-1)[:, :-1] <= uniforms[:, None]
    return tf.reduce_sum(tf.cast(passed, tf.int32), axis=-1)


def _same_shapes(step):
    """A loop's step, with as much known of its tensors' shapes after it as before."""

    def stepped(place, pixels, kept, drawn):
        after, *state, drawn = step(place, pixels, kept, drawn)
        state = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(new, old.shape), state, [pixels, kept]
        )
        return after, *state, drawn

    return stepped
