"""A frame generator's endpoints for TF Serving."""

import tensorflow as tf

from kerasgen.generative_model import Signature
from kerasgen.models.conv_lstm.rollout import draw_noise, roll
from kerasgen.pixels import to_float

MOST_FRAMES = 100


def signatures(model):
    """The endpoints of `FrameGenerator.serving_signatures`.

    "predict_frames" is the method, and "generate_png" is `generate` with one clip a seed, as
    film strips: PNG files of the generated frames side by side. The number of frames, "horizon",
    is one for all rows of a request, the largest if they differ, and within 1 to 100.

    Args:
        model: `FrameGenerator`.

    Returns:
        Dict of name -> `Signature`.
    """
    frames = tf.TensorSpec((None, None, *model.image_shape), tf.uint8, "frames")
    horizon = tf.TensorSpec((None,), tf.int32, "horizon")
    seed = tf.TensorSpec((None,), tf.int64, "seed")

    def continued(frames, horizon, noise):
        rolled = roll(model.ema_network, to_float(frames), horizon, noise, as_uint8=True)
        return rolled[:, tf.shape(frames)[1] - 1 :]

    def predict_frames(frames, horizon):
        return {"frames": continued(frames, _number(horizon), None)}

    def generate_png(frames, horizon, seed):
        seeds = tf.stack([seed, tf.zeros_like(seed)], axis=1)
        noise = draw_noise(seeds, _number(horizon), model.latent_dim)
        return {"image_bytes": _film_strips(continued(frames, _number(horizon), noise))}

    return {
        "predict_frames": Signature(predict_frames, [frames, horizon]),
        "generate_png": Signature(generate_png, [frames, horizon, seed]),
    }


def _number(horizon):
    return tf.clip_by_value(tf.reduce_max(horizon), 1, MOST_FRAMES)


def _film_strips(frames):
    """Encodes uint8 clips `(B, T, H, W, C)` as PNG files, frames from left to right."""
    _, _, height, _, channels = frames.shape
    strips = tf.transpose(frames, (0, 2, 1, 3, 4))
    strips = tf.reshape(strips, (tf.shape(frames)[0], height, -1, channels))
    return tf.map_fn(tf.io.encode_png, strips, fn_output_signature=tf.string)
