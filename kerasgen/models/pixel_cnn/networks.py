"""The network that tells of each pixel, from those before it, how likely each level is.

Pixels come in the order of reading. Two stacks of convolutions see them: the vertical one the rows
above, as wide as its kernels reach, the horizontal one the pixels to the left and, through the
vertical one, those above. So no pixel before is out of sight, and none after is in it.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

# How far the first convolutions reach: rows up, columns to each side. Later ones reach one.
FIRST_REACH = 3


class GatedBlock(layers.Layer):
    """One step of both stacks.

    Args:
        filters: int. Channels of either stack.
        first: bool. Whether it sees pixels, of which the present one must be left out, instead of
            features, which know nothing of it.
        seed: int. Its initial weights derive from it.
        **kwargs: `name` and `dtype`, as for any layer.

    Reference:
        van den Oord et al.: Conditional Image Generation with PixelCNN Decoders, 2016.
    """

    def __init__(self, filters, first, seed, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.first = first
        self.reach = FIRST_REACH if first else 1
        # Rows, or columns, that a kernel covers: the present one too where that is allowed.
        self.span = self.reach if first else self.reach + 1
        kernels = {
            "vertical": (2 * filters, (self.span, 2 * self.reach + 1)),
            "horizontal": (2 * filters, (1, self.span)),
            "down": (2 * filters, 1),
            "out": (filters, 1),
        }
        for number, (name, (width, size)) in enumerate(kernels.items()):
            initializer = keras.initializers.GlorotUniform(seed=seed * 1009 + number)
            layer = layers.Conv2D(
                width, size, kernel_initializer=initializer, dtype=self.dtype_policy, name=name
            )
            setattr(self, name, layer)

    def build(self, shape, _=None):
        channels = shape[-1]
        self.vertical.build((None, None, None, channels))
        self.horizontal.build((None, None, None, channels))
        self.down.build((None, None, None, 2 * self.filters))
        self.out.build((None, None, None, self.filters))
        self.built = True

    def call(self, above, left):
        """Takes both stacks' features `(B, H, W, .)`, pixels in the first block, one step on."""
        before = above[:, :-1] if self.first else above
        wide = [[0, 0], [self.reach, 0], [self.reach, self.reach], [0, 0]]
        above, from_above = self.rows(tf.pad(before, wide))
        before = left[:, :, :-1] if self.first else left
        gates = self.horizontal(tf.pad(before, [[0, 0], [0, 0], [self.reach, 0], [0, 0]]))
        features = self.out(gated(gates + from_above))
        return above, features if self.first else left + features

    def rows(self, window):
        """The vertical stack alone, of rows that come with their surroundings.

        Args:
            window: tensor `(B, span - 1 + rows, reach + W + reach, .)`.

        Returns:
            Its features `(B, rows, W, filters)`, and what the horizontal stack gets of them.
        """
        gates = self.vertical(window)
        features = gated(gates)
        if not self.first:  # what came in, else little of the rows above gets through many blocks
            features += window[:, self.reach :, self.reach : -self.reach]
        return features, self.down(gates)

    def pixel(self, window, from_above):
        """The horizontal stack alone, of one pixel.

        Args:
            window: tensor `(B, span, .)`, the features, or pixels, that its kernel covers.
            from_above: tensor `(B, 2 * filters)`.

        Returns:
            Tensor `(B, filters)`.
        """
        flat = tf.reshape(window, (-1, self.span * window.shape[-1]))
        gates = _product(self.horizontal, flat) + from_above
        features = _product(self.out, gated(gates))
        return features if self.first else window[:, -1] + features


class PixelNetwork(keras.Model):
    """Logits of each pixel's levels, from the pixels before it.

    The channels of a pixel come one after another too: those of one know the ones before it. Beside
    a pixel the first block sees where it is, as two numbers, and a one, which the border lacks.

    Args:
        image_shape: tuple of 3 ints. Height, width and channels.
        levels: int. Values that a pixel can have.
        filters: int. Channels of either stack.
        blocks: int. Gated blocks, the first included.
        seed: int. Every initial weight is derived from it.
        dtype: str or `keras.DTypePolicy`. The compute policy; logits are float32 always.
    """

    def __init__(self, image_shape, levels, filters, blocks, seed, dtype):
        super().__init__(name="pixel_network", dtype=dtype)
        self.image_shape = image_shape
        self.levels = levels
        self.filters = filters
        self.blocks = [
            GatedBlock(filters, first=not n, seed=seed * 101 + n, dtype=dtype, name=f"block_{n}")
            for n in range(blocks)
        ]
        self.hidden, self.logits = [], []
        for channel in range(image_shape[2]):
            for heads, width, name in (
                (self.hidden, 2 * filters, "hidden"),
                (self.logits, levels, "logits"),
            ):
                initializer = keras.initializers.GlorotUniform(
                    seed=(seed * 101 + blocks) * 1009 + 2 * channel + (name == "logits")
                )
                heads.append(
                    layers.Dense(
                        width,
                        activation="relu" if name == "hidden" else None,
                        kernel_initializer=initializer,
                        dtype=dtype,
                        name=f"{name}_{channel}",
                    )
                )
        height, width, channels = image_shape
        rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        self.places = np.stack([rows, columns, np.ones_like(rows)], axis=-1).astype(np.float32)
        self.seen_channels = channels + self.places.shape[-1]
        for number, block in enumerate(self.blocks):
            block.build((None, None, None, filters if number else self.seen_channels))
        for channel, (hidden, logits) in enumerate(zip(self.hidden, self.logits, strict=True)):
            hidden.build((None, filters + channel))
            logits.build((None, 2 * filters))
        self.built = True

    def call(self, images):
        """Logits `(B, H, W, C, levels)` of pictures `(B, H, W, C)` in [-1, 1]."""
        images = tf.cast(images, self.compute_dtype)
        above = left = self.seen(images, self.places)
        for block in self.blocks:
            above, left = block(above, left)
        return tf.stack(
            [self.channel_logits(c, left, images[..., :c]) for c in range(images.shape[-1])],
            axis=-2,
        )

    def seen(self, pixels, places):
        """Pixels as the first block sees them.

        Args:
            pixels: tensor `(B, ..., C)`.
            places: float32 tensor `(..., 3)`, of `places` those of the pixels.

        Returns:
            Tensor `(B, ..., seen_channels)`.
        """
        shape = tf.concat([tf.shape(pixels)[:-1], tf.shape(places)[-1:]], axis=0)
        places = tf.broadcast_to(tf.cast(places, pixels.dtype), shape)
        return tf.concat([pixels, places], axis=-1)

    def channel_logits(self, channel, features, before):
        """Logits `(..., levels)` of one channel.

        Args:
            channel: int.
            features: tensor `(..., filters)` of the horizontal stack.
            before: tensor `(..., channel)`, the pixel's channels before it.
        """
        known = tf.concat([tf.nn.relu(features), before], axis=-1)
        return tf.cast(self.logits[channel](self.hidden[channel](known)), tf.float32)


def gated(gates):
    """Half of the features, each opened or closed by one of the other half."""
    features, openings = tf.split(gates, 2, axis=-1)
    return tf.tanh(features) * tf.sigmoid(openings)


def _product(convolution, flat):
    """A convolution at a single place, of the values under its kernel in one row each."""
    dtype = flat.dtype
    kernel = tf.reshape(tf.cast(convolution.kernel, dtype), (flat.shape[-1], -1))
    return tf.matmul(flat, kernel) + tf.cast(convolution.bias, dtype)
