"""The network that draws the next frame: ConvLSTM cells over folded pixels, and its latents."""

import keras
import tensorflow as tf

from kerasgen.models.conv_lstm.cell import ConvLSTMCell
from kerasgen.models.conv_lstm.sprite_latents import SpriteLatents, as_distribution
from kerasgen.models.conv_lstm.sprites import Sprites

RESIDUALS = ("add", "blend", None)


@tf.custom_gradient
def clip_frames(frames):
    """Clips to [-1, 1] as if it did nothing: pixels beyond may still learn to come back."""
    return tf.clip_by_value(frames, -1.0, 1.0), lambda upstream: upstream


class FramePredictor(keras.layers.Layer):
    """From one frame, and what is remembered of those before, to the next one.

    It reads and draws frames as patches: blocks of `patch_size` x `patch_size` pixels, folded
    into channels by `fold`, and back by `unfold`. ConvLSTM cells follow one another; a 1x1
    convolution reads the hidden states of all of them. There is one `predict` for training and
    generation, and nothing in it that could see a later frame.

    With latents, each step is also told a random vector, which stands for what the past doesn't
    decide. The prior draws it from the past; the posterior, in training, knows the next frame.
    With sprites it is made of a vector for each of them.

    Args:
        frame_shape: tuple of 3 ints. Height, width and channels, sides divisible by `patch_size`.
        patch_size: int.
        filters: tuple of ints. Channels of the cells, one after another.
        kernel_size: int. Side of the cells' kernels.
        residual: "add", "blend" or None; see `ConvLSTMGenerator`.
        sprites: int. 0: the head draws the frame. Otherwise so many `Sprites` do.
        latent_dim: int. 0 for none; with sprites a multiple of their number.
        seed: int. What the initial weights are drawn from.
        **kwargs: `name` and `dtype`. Frames and latents are float32 in each.

    Attributes:
        cells: list of `ConvLSTMCell`.
        head: `keras.layers.Dense`, which is a 1x1 convolution, or None with sprites.
        sprites: `Sprites`, or None.
        prior, posterior: `LatentNetwork`, or None without latents or with sprites.
        sprite_latents: `SpriteLatents`, or None without latents or sprites.
    """

    def __init__(
        self,
        frame_shape,
        patch_size,
        filters,
        kernel_size,
        residual,
        sprites,
        latent_dim,
        seed,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        height, width, channels = frame_shape
        self.frame_shape = tuple(frame_shape)
        self.patch_size = patch_size
        self.residual = residual
        self.latent_dim = latent_dim
        self.grid = (height // patch_size, width // patch_size)
        folded = channels * patch_size**2
        self.patches_shape = (*self.grid, folded)
        policy = self.dtype_policy
        self.cells = []
        self.sprites = self.head = None
        inputs = folded
        if sprites:
            self.sprites = Sprites(sprites, frame_shape, patch_size, sum(filters), seed)
            inputs = self.sprites.outputs
        else:
            inputs += latent_dim
        for place, width_ in enumerate(filters):
            self.cells.append(
                ConvLSTMCell(
                    inputs,
                    width_,
                    kernel_size,
                    seed=1009 * seed + place,
                    # TensorFlow's optimizer of graphs goes by names: only with equal ones does a
                    # loaded model round as the saved one did.
                    name=f"cell_{place}",
                    dtype=policy,
                )
            )
            inputs = width_
        if not sprites:
            # Small, so that the first prediction is nearly the last frame.
            initializer = keras.initializers.VarianceScaling(0.1, "fan_in", seed=1009 * seed + 500)
            outputs = 2 * folded if residual == "blend" else folded
            self.head = keras.layers.Dense(
                outputs, kernel_initializer=initializer, dtype="float32", name="head"
            )
            self.head.build((None, *self.grid, sum(filters)))
        self.prior = self.posterior = self.sprite_latents = None
        if latent_dim and sprites:
            self.sprite_latents = SpriteLatents(
                sprites, self.patches_shape, latent_dim // sprites, seed
            )
        elif latent_dim:
            self.prior = LatentNetwork(
                (*self.grid, folded), filters[0], latent_dim, 2 * seed, name="prior"
            )
            self.posterior = LatentNetwork(
                (*self.grid, 2 * folded), filters[0], latent_dim, 2 * seed + 1, name="posterior"
            )
        self.built = True

    def initial_state(self, batch):
        """The state before the first frame.

        Args:
            batch: int or scalar tensor. Number of clips.

        Returns:
            Dict of states: "cells", with sprites "sprites", and with latents but no sprites "prior"
            and "posterior".
        """
        state = {"cells": [cell.initial_state(batch, *self.grid) for cell in self.cells]}
        if self.sprites is not None:
            state["sprites"] = self.sprites.initial_state(batch)
        if self.prior is not None:
            state["prior"] = self.prior.initial_state(batch)
            state["posterior"] = self.posterior.initial_state(batch)
        return state

    def predict(self, patches, state, noise=None):
        """Draws the next frame from this one and those before.

        Args:
            patches: float32 tensor `(B, *patches_shape)` in [-1, 1], a folded frame.
            state: as `initial_state` or this returns it.
            noise: float32 tensor `(B, latent_dim)`, standard normal, or None: each latent is the
                mean of its prior. Only with latents. Defaults to None.

        Returns:
            Tuple of the next frame's patches, as those that were given, and the new state.
        """
        state, latent, push = dict(state), None, None
        if self.prior is not None:
            prior, state["prior"] = self.prior(patches, state["prior"])
            latent = _draw(prior, noise)
        elif self.latent_dim:

            def push(facts, where):
                return self._push(self.sprite_latents.prior(facts), noise)

        return self._draw_frame(patches, state, latent, push)

    def observe(self, patches, target, state, noise=None):
        """As `predict`, where the next frame is known: the latent comes from the posterior.

        Args:
            patches: as for `predict`.
            target: the same of the true next frame.
            state: as for `predict`.
            noise: as for `predict`. Defaults to None: the mean of the posterior.

        Returns:
            Tuple of the predicted patches, the new state, and the divergence of the posterior from
            the prior in nats, float32 `(B,)`.
        """
        if not self.latent_dim:
            prediction, state = self.predict(patches, state)
            return prediction, state, tf.zeros(tf.shape(patches)[:1])
        if self.sprites is not None:
            divergences = []

            def push(facts, where):
                prior = self.sprite_latents.prior(facts)
                posterior = self.sprite_latents.posterior(facts, where, patches, target)
                divergences.append(gaussian_divergence(posterior, prior))
                return self._push(posterior, noise)

            prediction, state = self._draw_frame(patches, state, None, push)
            each = tf.reshape(divergences[0], (-1, self.sprites.count))
            return prediction, state, tf.reduce_sum(each, axis=1)
        both = tf.concat([patches, target], axis=-1)
        state = dict(state)
        prior, state["prior"] = self.prior(patches, state["prior"])
        posterior, state["posterior"] = self.posterior(both, state["posterior"])
        latent = _draw(posterior, noise)
        prediction, state = self._draw_frame(patches, state, latent)
        return prediction, state, gaussian_divergence(posterior, prior)

    def _push(self, distribution, noise):
        if noise is not None:
            noise = tf.reshape(noise, (-1, self.sprite_latents.latent_dim))
        return self.sprite_latents.push(_draw(distribution, noise))

    def _draw_frame(self, patches, state, latent=None, push=None):
        """The next frame's patches and the new state, where those of the latents are."""
        x = patches
        if self.sprites is not None:
            pixels = tf.transpose((self.unfold(patches) + 1) / 2, (0, 3, 1, 2))
            x = self.sprites.look(pixels, state["sprites"])
        if latent is not None:
            everywhere = [tf.shape(patches)[0], *self.grid, self.latent_dim]
            x = tf.concat([x, tf.broadcast_to(latent[:, None, None], everywhere)], axis=-1)
        cells = []
        for cell, cell_state in zip(self.cells, state["cells"], strict=True):
            cells.append(cell(x, cell_state))
            x = cells[-1][0]
        hidden = tf.concat([tf.cast(hidden, tf.float32) for hidden, _ in cells], axis=-1)
        state = {**state, "cells": cells}
        if self.sprites is not None:
            pixels, state["sprites"] = self.sprites.move(pixels, hidden, state["sprites"], push)
            return self.fold(2 * tf.transpose(pixels, (0, 2, 3, 1)) - 1), state
        return self._from_head(patches, self.head(hidden)), state

    def _from_head(self, patches, output):
        if self.residual == "add":
            return clip_frames(patches + output)
        if self.residual == "blend":
            content, share = tf.split(output, 2, axis=-1)
            # Starts near the last frame, with a slope that isn't far from the steepest.
            share = tf.sigmoid(share - 1.0)
            return clip_frames(patches + share * (tf.tanh(content) - patches))
        return clip_frames(output)

    def fold(self, frames):
        """Folds blocks of pixels into channels: `(..., H, W, C)` to `(..., *patches_shape)`."""
        return self._swap(frames, self.patch_size, self.grid[1], self.patches_shape)

    def unfold(self, patches):
        """The inverse of `fold`."""
        return self._swap(patches, self.grid[1], self.patch_size, self.frame_shape)

    def _swap(self, x, first, second, shape):
        """Exchanges the patches of a row and the lines within each.

        Many frames at once, this is seven times as fast as `tf.nn.space_to_depth`.
        """
        leading = tf.shape(x)[:-3]
        line = self.patch_size * self.frame_shape[2]
        x = tf.transpose(tf.reshape(x, (-1, first, second, line)), (0, 2, 1, 3))
        return tf.reshape(x, tf.concat([leading, shape], axis=0))


class LatentNetwork(keras.layers.Layer):
    """From what has been seen so far to the Gaussian distribution of one step's latent.

    Two strided convolutions, a dense layer and an LSTM, which is a `ConvLSTMCell` over a single
    position; all in float32.

    Args:
        input_shape: tuple of 3 ints. Height, width and channels of the folded frames.
        width: int. Width of all layers.
        latent_dim: int.
        seed: int. What the initial weights are drawn from.
        name: str.
    """

    def __init__(self, input_shape, width, latent_dim, seed, name):
        super().__init__(dtype="float32", autocast=False, name=name)
        height, width_, channels = input_shape

        def glorot(number, scale=1.0):
            return keras.initializers.VarianceScaling(
                scale, "fan_avg", "uniform", seed=1009 * seed + 600 + number
            )

        self.convolutions = []
        for number in range(2):
            layer = keras.layers.Conv2D(
                width,
                3,
                strides=2,
                padding="same",
                kernel_initializer=glorot(number),
                dtype="float32",
                name=f"{name}_convolution_{number}",
            )
            layer.build((None, height, width_, channels))
            self.convolutions.append(layer)
            height, width_, channels = -(-height // 2), -(-width_ // 2), width
        self.features = height * width_ * width
        self.dense = keras.layers.Dense(
            width, kernel_initializer=glorot(2), dtype="float32", name=f"{name}_dense"
        )
        self.dense.build((None, self.features))
        self.cell = ConvLSTMCell(
            width, width, 1, seed=1009 * seed + 603, name=f"{name}_cell", dtype="float32"
        )
        self.head = keras.layers.Dense(
            2 * latent_dim, kernel_initializer=glorot(4, 0.1), dtype="float32", name=f"{name}_head"
        )
        self.head.build((None, width))
        self.built = True

    def initial_state(self, batch):
        """The state before the first frame, as `ConvLSTMCell.initial_state` returns it."""
        return self.cell.initial_state(batch, 1, 1)

    def call(self, patches, state):
        """Takes one step.

        Args:
            patches: float32 tensor `(B, h, w, c)`.
            state: as `initial_state` or this returns it.

        Returns:
            Tuple of mean and log-variance, float32 `(B, latent_dim)` each, and the new state.
        """
        x = patches
        for convolution in self.convolutions:
            x = tf.nn.leaky_relu(convolution(x), 0.2)
        x = tf.nn.leaky_relu(self.dense(tf.reshape(x, (-1, self.features))), 0.2)
        state = self.cell(x[:, None, None], state)
        return as_distribution(self.head(state[0][:, 0, 0])), state


def gaussian_divergence(first, second):
    """Kullback-Leibler divergence of one diagonal Gaussian from another.

    Args:
        first: tuple of mean and log-variance, float tensors `(B, D)`.
        second: the same, of what it diverges from.

    Returns:
        float tensor `(B,)`, in nats.
    """
    (mean_1, log_1), (mean_2, log_2) = first, second
    distance = (mean_1 - mean_2) ** 2 * tf.exp(-log_2)
    return tf.reduce_sum(_excess(log_1 - log_2) + distance, axis=-1) / 2


@tf.custom_gradient
def _excess(x):
    """exp(x) - 1 - x.

    Its gradient comes as one tensor: TensorFlow adds three or more for the same one in the order in
    which their memory becomes free, so that runs would differ in the last bits.
    """
    change = tf.math.expm1(x)
    return change - x, lambda upstream: upstream * change


def _draw(distribution, noise):
    mean, log_variance = distribution
    return mean if noise is None else mean + tf.exp(log_variance / 2) * noise
