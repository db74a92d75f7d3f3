"""Corruption of inputs, which a denoising autoencoder learns to undo."""

import numbers

import tensorflow as tf

KINDS = ("gaussian", "mask")


def check_corruption(corruption):
    """Checks the argument `corruption`.

    Args:
        corruption: None, `(kind, strength)`, or a strength alone, of Gaussian noise.

    Returns:
        None, or a tuple of the kind and a float.

    Raises:
        ValueError: anything else.
    """
    if corruption is None:
        return None
    pair = ("gaussian", corruption) if isinstance(corruption, numbers.Real) else corruption
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        kind, strength = pair
        if isinstance(strength, numbers.Real) and not isinstance(strength, bool):
            most = 1 if kind == "mask" else float("inf")
            if kind in KINDS and 0 < strength < most:
                return kind, float(strength)
    raise ValueError(
        '`corruption` must be None, ("gaussian", standard deviation above 0), or ("mask", '
        f"fraction of the pixels, above 0 and below 1). Received: corruption={corruption!r}"
    )


def corrupt(images, corruption, seed):
    """Corrupts pictures.

    Args:
        images: float32 tensor `(B, H, W, C)` in [-1, 1].
        corruption: as `check_corruption` returns it.
        seed: int32 tensor `(2,)`.

    Returns:
        A tensor like `images`: under Gaussian noise, which may leave [-1, 1], or with masked
        pixels at 0, the middle grey, in all channels.
    """
    if corruption is None:
        return images
    kind, strength = corruption
    if kind == "gaussian":
        noise = tf.random.stateless_normal(tf.shape(images), seed, alg="philox")
        return images + strength * noise
    draws = tf.random.stateless_uniform(tf.shape(images)[:3], seed, alg="philox")
    return tf.where(draws[..., None] < strength, 0.0, images)
