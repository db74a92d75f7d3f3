"""Frames one after another: true ones as far as they are known, then the model's own."""

import tensorflow as tf

from kerasgen.pixels import to_uint8


def roll(network, context, horizon, noise=None, as_uint8=False):
    """Predicts the frame after each known one, and goes on from the last prediction.

    One loop does both, so that the first generated frame is what is predicted after the last
    known one, and the same graph serves any number of known and of generated frames. A frame
    costs the same wherever it comes.

    No prediction depends on a later frame. With latents, the latent of a step whose next frame
    is known comes from the posterior, as in training, but only for what is remembered of that
    step: its prediction was made before, with the prior's.

    Args:
        network: `FramePredictor`.
        context: float32 tensor `(B, K, H, W, C)` in [-1, 1].
        horizon: int or scalar int32 tensor. Frames to generate, at least 1.
        noise: float32 tensor `(B, horizon, latent_dim)` that latents of generated frames are
            drawn with, or None: their means. Defaults to None.
        as_uint8: bool. Whether predictions become uint8; what is predicted from is float32 in
            any case. Defaults to False.

    Returns:
        float32 or uint8 tensor `(B, K - 1 + horizon, H, W, C)`: frame `t` follows on frame `t`
        of the context, the last `horizon` frames are the generated ones.
    """
    known = tf.shape(context)[1]
    true = tf.ensure_shape(
        tf.transpose(network.fold(context), (1, 0, 2, 3, 4)), (None, None, *network.patches_shape)
    )
    steps = known - 1 + horizon
    if noise is not None:
        noise = tf.transpose(noise, (1, 0, 2))
    predictions = tf.TensorArray(
        tf.uint8 if as_uint8 else tf.float32, size=steps, element_shape=true.shape[1:]
    )

    def draw(step):
        if noise is None or not network.latent_dim:
            return None
        place = step - (known - 1)
        drawn = noise[tf.maximum(place, 0)]
        return tf.where(place < 0, tf.zeros_like(drawn), drawn)

    def advance(step, last, state, predictions):
        patches = tf.where(step < known, true[tf.minimum(step, known - 1)], last)
        prediction, following = network.predict(patches, state, draw(step))
        predictions = predictions.write(step, to_uint8(prediction) if as_uint8 else prediction)
        if network.latent_dim:
            following = tf.cond(
                step + 1 < known,
                lambda: network.observe(patches, true[tf.minimum(step + 1, known - 1)], state)[1],
                lambda: following,
            )
        # The loop wants to know as much of the shapes after a step as before.
        prediction, following = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(new, old.shape), (prediction, following), (last, state)
        )
        return step + 1, prediction, following, predictions

    start = (
        tf.constant(0),
        tf.zeros_like(true[0]),
        network.initial_state(tf.shape(context)[0]),
        predictions,
    )
    *_, predictions = tf.while_loop(lambda step, *_: step < steps, advance, start)
    return network.unfold(tf.transpose(predictions.stack(), (1, 0, 2, 3, 4)))


def draw_noise(seeds, horizon, latent_dim):
    """The noise of generated frames, each row a function of its own seed alone.

    Args:
        seeds: int64 tensor `(B, 2)`.
        horizon: int or scalar int32 tensor. A longer one begins with the frames of a shorter.
        latent_dim: int.

    Returns:
        float32 tensor `(B, horizon, latent_dim)`, standard normal.
    """
    if not latent_dim:
        return tf.zeros((tf.shape(seeds)[0], horizon, 0))
    return tf.map_fn(
        lambda seed: tf.random.stateless_normal((horizon, latent_dim), seed, alg="philox"),
        seeds,
        fn_output_signature=tf.TensorSpec((None, latent_dim), tf.float32),
    )
