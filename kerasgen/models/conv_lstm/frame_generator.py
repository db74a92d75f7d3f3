"""`FrameGenerator`: what can be done with a network that draws the next frame."""

import functools

import numpy as np
import tensorflow as tf

from kerasgen.data.collect import collect_clips
from kerasgen.generative_model import GenerativeModel, in_batches, row_seeds
from kerasgen.models.conv_lstm import checks, preview, serving
from kerasgen.models.conv_lstm.rollout import draw_noise, roll
from kerasgen.pixels import to_float

# Clips are always continued in batches of this size, so that none depends on how many came.
ROLLOUT_BATCH = 8
NUM_FRAMES = 10


class FrameGenerator(GenerativeModel):
    """Everything a frame generator does but its training. Subclasses build and train the network.

    They set the attributes below.

    Attributes:
        image_shape: tuple of 3 ints. Height, width and channels of a frame.
        latent_dim: int. Length of the latent of a step; 0 for none.
        context_frames: int or None. True frames that training clips begin with.
        ema_network: `FramePredictor`.
    """

    def call(self, inputs, training=False):
        """As `predict_next`, of a tensor, as a float32 tensor in [-1, 1]."""
        frames = to_float(inputs) if inputs.dtype == tf.uint8 else inputs
        return roll(self.ema_network, frames, 1)

    def context_length(self, num_frames):
        """How many frames of a clip of `num_frames` are its given beginning, an int."""
        context = num_frames // 2 if self.context_frames is None else self.context_frames
        return min(context, num_frames - 1)

    # === Predictions ===

    def predict_next(self, frames):
        """Predicts the frame after each frame of clips, from the true frames up to there.

        Args:
            frames: array `(N, T, H, W, C)`, uint8 or float in [-1, 1].

        Returns:
            uint8 array `(N, T, H, W, C)`. Frame `t` is the prediction of frame `t + 1`; it
            depends on the frames up to `t` and on none after.

        Raises:
            ValueError: clips of another shape, range or kind, or with NaN.
        """
        return self._continue(checks.clips(frames, self.image_shape), 1)

    def predict_frames(self, context, num_frames=NUM_FRAMES):
        """Predicts how clips go on, each frame from the frames predicted before it.

        Args:
            context: array `(N, T, H, W, C)`, uint8 or float in [-1, 1]. The frames so far, one or
                more. Where training clips began with fewer or more, the model is on unknown
                ground.
            num_frames: int. Defaults to 10.

        Returns:
            uint8 array `(N, num_frames, H, W, C)`. Of a model with latents, what follows when
            each latent is the mean of its distribution: `generate` draws them.

        Raises:
            ValueError: clips of another shape, range or kind, or with NaN, or a number of frames
                below 1.
        """
        context = checks.clips(context, self.image_shape)
        checks.whole("num_frames", num_frames, 1)
        return self._continue(context, num_frames)[:, -num_frames:]

    def generate(self, context=None, num_frames=NUM_FRAMES, seed=None):
        """Draws one of the ways in which clips may go on.

        Args:
            context: array `(N, T, H, W, C)`, uint8 or float in [-1, 1]. The frames so far. Several
                futures of one past come of repeating it.
            num_frames: int. Defaults to 10.
            seed: int or None. The same seed gives the same frames, and clip `i` doesn't depend
                on those beside it. Without latents there is one future, whatever the seed.
                Defaults to None: a fresh seed at each call.

        Returns:
            uint8 array `(N, num_frames, H, W, C)`.

        Raises:
            ValueError: no context, clips of another shape, range or kind, or with NaN, a number
                of frames below 1, or a seed that isn't a whole number.
        """
        if context is None or np.ndim(context) == 0:
            raise ValueError(
                f"{type(self).__name__} continues clips, and can't begin one: give `context`, "
                f"frames of shape (N, T, {', '.join(map(str, self.image_shape))}). "
                f"Received: context={context!r}"
            )
        context = checks.clips(context, self.image_shape)
        checks.whole("num_frames", num_frames, 1)
        seeds = row_seeds(len(context), seed)
        noise = draw_noise(tf.constant(seeds), num_frames, self.latent_dim).numpy()
        return self._continue(context, num_frames, noise)[:, -num_frames:]

    def _continue(self, context, horizon, noise=None):
        """All predictions, of the known frames and beyond, uint8 `(N, K - 1 + horizon, ...)`."""
        if noise is None:
            noise = np.zeros((len(context), horizon, self.latent_dim), np.float32)

        def function(context, noise):
            frames = to_float(context) if context.dtype == tf.uint8 else context
            return self._rollout(frames, tf.constant(int(horizon)), noise)

        return in_batches(function, context, noise, size=ROLLOUT_BATCH)

    @functools.cached_property
    def _rollout(self):
        """One graph for any number of known and generated frames."""

        def rollout(context, horizon, noise):
            return roll(self.ema_network, context, horizon, noise, as_uint8=True)

        return tf.function(
            rollout,
            input_signature=[
                tf.TensorSpec((None, None, *self.image_shape), tf.float32),
                tf.TensorSpec((), tf.int32),
                tf.TensorSpec((None, None, self.latent_dim), tf.float32),
            ],
        )

    # === Watching and serving ===

    def evaluation_samples(self, num_images, seed=0, data=None):
        """Single frames that the model generates after the beginnings of clips.

        Args:
            num_images: int.
            seed: int. Defaults to 0.
            data: pipeline of clips, of which the first are used, or clips `(N, T, H, W, C)`,
                uint8 or float in [-1, 1]. Each is continued from its first frames to its length,
                or further if there are too few of them. Must be given.

        Returns:
            uint8 array `(num_images, H, W, C)`, clip by clip.

        Raises:
            ValueError: no data, or clips that the model can't take.
        """
        checks.whole("num_images", num_images, 1)
        if data is None:
            raise ValueError(
                f"{type(self).__name__} continues clips: give some as `data`. Received: data=None"
            )
        clips = self._clips_of(data, num_images)
        known = self.context_length(clips.shape[1])
        horizon = clips.shape[1] - known
        clips = clips[: -(-num_images // horizon)]
        horizon = max(horizon, -(-num_images // len(clips)))
        frames = self.generate(clips[:, :known], horizon, seed)
        return frames.reshape(-1, *self.image_shape)[:num_images]

    def _clips_of(self, data, most):
        """Up to `most` clips of a pipeline, or all of an array."""
        if isinstance(data, tf.data.Dataset):
            data = collect_clips(data, most)
        return checks.clips(data, self.image_shape, least=2)

    def preview(self, batch=None):
        return preview.grids(self, batch)

    def moving_preview(self, batch=None):
        return preview.films(self, batch)

    def serving_signatures(self):
        return serving.signatures(self)
