"""A frame generator's endpoints for TF Serving."""

import tensorflow as tf

from kerasgen.models.conv_lstm.rollout import draw_noise, roll
from kerasgen.picture_files import decode_pictures
from kerasgen.pixels import to_float
from kerasgen.signature import FILE, Signature, counts, files, in_blocks, pictures, pixels, seeds

MOST_FRAMES = 100
# Clips of files are continued in blocks of this size, so that none depends on those beside it.
BLOCK = 8


def signatures(model):
    """The endpoints of `FrameGenerator.serving_signatures`.

    The number of frames, "horizon", is an input: a signature for each would fix which there are.
    It may differ from row to row, as it does where a server makes one batch of several requests.
    Frames beyond a row's own horizon are 0, film strips end with it.

    What takes clips is there three times: for floats in [0, 1]; "_uint8" for uint8; "_png" for PNG
    and JPEG files, which answers with film strips, PNG files of the frames from left to right, as
    "generate_png" does. TensorFlow has no encoder of animations.

    Args:
        model: `FrameGenerator`.

    Returns:
        Dict of name -> `Signature`.
    """
    clip = (None, *model.image_shape)
    about = "frames so far, one or more"
    horizon = counts("horizon", MOST_FRAMES, "number of frames to generate")

    def continued(frames, horizon, noise=None, as_uint8=False):
        """Generated frames `(B, T, H, W, C)`, T the largest horizon."""
        most = tf.reduce_max(horizon)
        rolled = roll(model.ema_network, frames, most, noise, as_uint8)
        return rolled[:, tf.shape(frames)[1] - 1 :]

    def asked(frames, horizon):
        """Frames, black where none is asked for."""
        mask = tf.sequence_mask(horizon, tf.shape(frames)[1])[:, :, None, None, None]
        return {"frames": tf.where(mask, frames, tf.zeros((), frames.dtype))}

    def predict_frames(frames, horizon):
        return asked((continued(2 * frames - 1, horizon) + 1) / 2, horizon)

    def predict_frames_uint8(frames, horizon):
        return asked(continued(to_float(frames), horizon, as_uint8=True), horizon)

    def film_strips(frames, horizon, noise):
        def block(frames, horizon, noise):
            return _film_strips(continued(frames, horizon, noise, as_uint8=True), horizon)

        return {"image_bytes": in_blocks(block, frames, horizon, noise, size=BLOCK, result=FILE)}

    def predict_frames_png(frames_bytes, horizon):
        rows, known = tf.unstack(tf.shape(frames_bytes))
        frames = decode_pictures(tf.reshape(frames_bytes, [-1]), model.image_shape)
        frames = tf.reshape(frames, (rows, known, *model.image_shape))
        noise = tf.zeros((rows, tf.reduce_max(horizon), model.latent_dim))
        return film_strips(frames, horizon, noise)

    def generate_png(frames, horizon, seed):
        seeds = tf.stack([seed, tf.zeros_like(seed)], axis=1)
        noise = draw_noise(seeds, tf.reduce_max(horizon), model.latent_dim)
        return film_strips(to_float(frames), horizon, noise)

    strip = {"image_bytes": "film strip: the generated frames from left to right, as a PNG file"}
    goes_on = "Predicts how a clip goes on"
    return {
        "predict_frames": Signature(
            predict_frames,
            [pictures(clip, "frames", about), horizon],
            {"frames": "generated frames, values in [0, 1], 0 beyond the row's horizon"},
            f"{goes_on}.",
        ),
        "predict_frames_uint8": Signature(
            predict_frames_uint8,
            [pixels(clip, "frames", about), horizon],
            {"frames": "generated frames, values in [0, 255], 0 beyond the row's horizon"},
            f"{goes_on}.",
        ),
        "predict_frames_png": Signature(
            predict_frames_png,
            [files((None,), model.image_shape, "frames_bytes", about), horizon],
            strip,
            f"{goes_on}, as a film strip.",
        ),
        "generate_png": Signature(
            generate_png,
            [pixels(clip, "frames", about), horizon, seeds()],
            strip,
            "Draws one of the ways in which a clip may go on, as a film strip.",
        ),
    }


def _film_strips(frames, horizon):
    """Encodes uint8 clips `(B, T, H, W, C)`, each up to its horizon, as PNG files."""
    _, _, height, width, channels = frames.shape
    strips = tf.transpose(frames, (0, 2, 1, 3, 4))
    strips = tf.reshape(strips, (tf.shape(frames)[0], height, -1, channels))
    return tf.map_fn(
        lambda row: tf.io.encode_png(row[0][:, : row[1] * width]),
        (strips, horizon),
        fn_output_signature=tf.string,
    )
