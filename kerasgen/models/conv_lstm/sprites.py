"""Frames as sums of sprites: pictures that are kept as they are, and moved from frame to frame."""

import keras
import tensorflow as tf

from kerasgen.models.conv_lstm.cell import ConvLSTMCell

WIDTH = 64  # of the layers that decide on a sprite's motion
# Of frames of this side; places and speeds of others are in proportion.
SIDE = 64
FASTEST = 6.0  # pixels a frame
FACTS = WIDTH + 4  # what is known of a sprite: its memory, speed and place


class Sprites(keras.layers.Layer):
    """Remembers what moves as pictures with a place and a speed, and draws their sum.

    Each step compares the sum of all sprites with the frame that came. What is missing is shared
    out among the sprites, what is too much taken from them, as the hidden states of the ConvLSTM
    cells say. What those hold where a sprite is decides on its speed as well: kept, turned around
    or changed. Then each sprite moves on, and their sum is the prediction.

    A frame that was predicted equals the sum exactly. So sprites stay as they are while the
    network reads its own frames: they don't fade, however long it goes on.

    Pixels in here are in [0, 1]; 0, black, is nothing. Places and speeds are in pixels, and a
    sprite is drawn between pixels by bilinear interpolation. Everything is float32.

    Args:
        count: int. Number of sprites.
        frame_shape: tuple of 3 ints. Height, width and channels.
        patch_size: int. Side of the patches that are positions of the hidden states.
        hidden: int. Channels of the hidden states of all cells together.
        seed: int. What the initial weights are drawn from.

    Reference:
        Wang, Adelson: Representing Moving Images with Layers, 1994. Jojic, Frey: Learning Flexible
        Sprites in Video Layers, 2001.
    """

    def __init__(self, count, frame_shape, patch_size, hidden, seed):
        super().__init__(dtype="float32", autocast=False, name="sprites")
        height, width, channels = frame_shape
        self.count = count
        self.patch_size = patch_size
        self.grid = (height // patch_size, width // patch_size)
        self.size = (height, width)
        self.channels = channels
        # Channels of `look`, for the cells.
        self.outputs = (count + 2) * channels * patch_size**2

        def dense(number, name, inputs, outputs, scale=1.0, **settings):
            initializer = keras.initializers.VarianceScaling(scale, seed=1009 * seed + 700 + number)
            # By their names the default optimizer knows what isn't for Muon.
            layer = keras.layers.Dense(
                outputs, kernel_initializer=initializer, dtype="float32", name=name, **settings
            )
            layer.build((None, inputs))
            return layer

        shares = 2 * count * channels * patch_size**2
        self.shares = dense(0, "sprites_shares", hidden, shares)
        self.features = dense(1, "sprites_features", 2 * hidden + 6, WIDTH, activation="relu")
        self.memory = ConvLSTMCell(
            WIDTH, WIDTH, 1, seed=1009 * seed + 702, name="sprites_memory", dtype="float32"
        )
        self.motion = dense(4, "sprites_motion", WIDTH + 2, 6, 0.1)
        self.built = True

    def initial_state(self, batch):
        """The state before the first frame: no sprite has a pixel.

        Args:
            batch: int or scalar tensor. Number of clips.

        Returns:
            Dict of float32 tensors: "pictures" and "drawn", the same at their places, `(B, count,
            C, H, W)`; "places" and "speeds" `(B, count, 2)`, down and to the right; "memory", the
            state of a `ConvLSTMCell`.
        """
        pictures = tf.zeros((batch, self.count, self.channels, *self.size))
        return {
            "pictures": pictures,
            "drawn": pictures,
            "places": tf.zeros((batch, self.count, 2)),
            "speeds": tf.zeros((batch, self.count, 2)),
            "memory": self.memory.initial_state(batch * self.count, 1, 1),
        }

    def look(self, frame, state):
        """What the cells read of a frame: itself, each sprite, and how the frame differs.

        Args:
            frame: float32 tensor `(B, C, H, W)`.
            state: as `initial_state` or `move` returns it.

        Returns:
            float32 tensor `(B, h, w, outputs)`.
        """
        drawn = state["drawn"]
        difference = frame - _compose(drawn)
        parts = 2 * frame[:, None], 2 * drawn, 4 * difference[:, None]
        return self.fold(tf.concat(parts, axis=1))

    def move(self, frame, hidden, state, push=None):
        """Corrects the sprites by a frame, and moves them on.

        Args:
            frame: float32 tensor `(B, C, H, W)`.
            hidden: float32 tensor `(B, h, w, hidden)`.
            state: as `initial_state` or this returns it.
            push: function to changes of speed `(B, count, 2)`, from what is known of the sprites
                `(B * count, FACTS)` and the share of each position in them `(B, h, w, count)`; or
                None. Defaults to None: none.

        Returns:
            Tuple of the next frame, float32 `(B, C, H, W)`, and the new state.
        """
        places, speeds, drawn = state["places"], state["speeds"], state["drawn"]
        scale = tf.constant(self.size, tf.float32) / SIDE
        known = speeds / (2 * scale)
        features = self.features(self._features(hidden, drawn, known))
        memory = self.memory(features[:, None, None], state["memory"])
        remembered = memory[0][:, 0, 0]
        motion = self.motion(tf.concat([remembered, tf.reshape(known, (-1, 2))], axis=-1))
        motion = tf.reshape(motion, (-1, self.count, 6))
        turn, change, correction = tf.split(motion, 3, axis=-1)
        # At first a speed is kept: 1.2 tanh(1.2) is 1.
        speeds = speeds * 1.2 * tf.tanh(turn + 1.2) + change * scale

        # Where nothing differs there is nothing to correct.
        difference = tf.stop_gradient(tf.abs(frame - _compose(drawn)))
        differs = tf.minimum(tf.reduce_sum(difference, axis=(1, 2, 3)), 1.0)
        places += correction * scale * differs[:, None, None]
        pictures = self._correct(frame, hidden, state["pictures"], places)
        if push is not None:
            where, centres, _ = self._whereabouts(self._draw(pictures, places))
            facts = tf.concat([speeds / (2 * scale), centres], axis=-1)
            facts = tf.concat([remembered, tf.reshape(facts, (-1, 4))], axis=-1)
            speeds += scale * push(facts, where)
        speeds = tf.clip_by_value(speeds, -FASTEST * scale, FASTEST * scale)
        places += speeds
        drawn = self._draw(pictures, places)
        return _compose(drawn), {
            "pictures": pictures,
            "drawn": drawn,
            "places": places,
            "speeds": speeds,
            "memory": memory,
        }

    def _features(self, hidden, drawn, speeds):
        """What decides on each sprite's motion, `(B * count, F)`."""
        where, centres, mass = self._whereabouts(drawn)
        at_sprite = tf.einsum("bhwk,bhwc->bkc", where, hidden)
        everywhere = tf.repeat(tf.reduce_mean(hidden, axis=(1, 2))[:, None], self.count, axis=1)
        mass = mass[..., None] * (25.6 / (self.grid[0] * self.grid[1]))
        features = [at_sprite, everywhere, centres, speeds, mass, mass]
        return tf.reshape(tf.concat(features, axis=-1), (-1, self.features.kernel.shape[0]))

    def _whereabouts(self, drawn):
        """The share of each position in a sprite, its centre in [-2, 2], and its pixels' sum."""
        where = self.fold(tf.stop_gradient(drawn))
        where = tf.reshape(where, (*tf.unstack(tf.shape(where)[:3]), self.count, -1))
        where = tf.reduce_mean(where, axis=-1)
        mass = tf.reduce_sum(where, axis=(1, 2))
        where = where / (mass[:, None, None] + 0.5)
        rows, columns = (tf.linspace(-2.0, 2.0, side) for side in self.grid)
        centres = [tf.einsum("bhwk,h->bk", where, rows), tf.einsum("bhwk,w->bk", where, columns)]
        return where, tf.stack(centres, axis=-1), mass

    def _correct(self, frame, hidden, pictures, places):
        """The sprites' pictures, after those of their pixels that a frame shows."""
        sprites = self._draw(pictures, places)
        difference = (frame - _compose(sprites))[:, None]
        missing, excess = tf.split(self.unfold(self.shares(hidden)), 2, axis=1)
        missing = tf.nn.softmax(missing, axis=1)
        excess = tf.nn.softmax(excess, axis=1) * (sprites + 1e-3)
        excess = excess / tf.reduce_sum(excess, axis=1, keepdims=True)
        change = missing * tf.nn.relu(difference) - excess * tf.nn.relu(-difference)
        return tf.clip_by_value(pictures + self._draw(change, places, back=True), 0.0, 1.0)

    def _draw(self, pictures, places, back=False):
        """Moves pictures to their places, or with `back` what is there to the pictures."""
        rows, columns = (
            _interpolation(places[..., axis], side) for axis, side in enumerate(self.size)
        )
        drawn = tf.matmul(rows[:, :, None], pictures, transpose_a=back)
        return tf.matmul(drawn, columns[:, :, None], transpose_b=not back)

    def fold(self, pictures):
        """Folds pixels into channels of positions: `(B, N, C, H, W)` to `(B, h, w, N C P P)`."""
        height, width = self.grid
        side, channels = self.patch_size, pictures.shape[1] * self.channels
        x = tf.reshape(pictures, (-1, channels, height, side, width, side))
        x = tf.transpose(x, (0, 2, 4, 1, 3, 5))
        return tf.reshape(x, (-1, height, width, channels * side**2))

    def unfold(self, positions):
        """The inverse of `fold`."""
        height, width = self.grid
        side = self.patch_size
        x = tf.reshape(positions, (-1, height, width, positions.shape[-1] // side**2, side, side))
        x = tf.transpose(x, (0, 3, 1, 4, 2, 5))
        return tf.reshape(x, (-1, x.shape[1] // self.channels, self.channels, *self.size))


def _compose(sprites):
    """The sum of sprites `(B, count, C, H, W)`, no pixel brighter than 1."""
    return tf.minimum(tf.reduce_sum(sprites, axis=1), 1.0)


def _interpolation(offsets, side):
    """Matrices that shift columns of pixels: `(B, count)` to `(B, count, side, side)`."""
    places = tf.range(side, dtype=tf.float32)
    distance = places[:, None] - places - offsets[..., None, None]
    return tf.maximum(1.0 - tf.abs(distance), 0.0)
