"""Ways from one latent vector to another."""

import numpy as np
import tensorflow as tf

METHODS = ("linear", "spherical")


def path_between(start, end, steps, method):
    """Vectors on the ways from each start to its end, both included.

    Args:
        start: float array `(N, D)`.
        end: as `start`.
        steps: int. Vectors on each way.
        method: "linear", or "spherical": along a great circle, so that vectors in between are as
            long as those at the ends.

    Returns:
        float32 array `(N, steps, D)`.

    Reference:
        White: Sampling Generative Networks, 2016 (spherical).
    """
    a, b = (np.asarray(codes, np.float64)[:, None] for codes in (start, end))
    t = np.linspace(0, 1, steps)[:, None]
    path = a + t * (b - a)
    if method == "spherical":
        lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        cosine = (a * b).sum(-1) / np.maximum(lengths, 1e-12)
        angle = np.arccos(np.clip(cosine, -1, 1))[..., None]
        sine = np.sin(angle)
        # Between codes in line there is no one great circle.
        defined = sine > 1e-6
        arc = np.sin((1 - t) * angle) * a + np.sin(t * angle) * b
        path = np.where(defined, arc / np.where(defined, sine, 1), path)
    path[:, 0], path[:, -1] = a[:, 0], b[:, 0]
    return path.astype(np.float32)


def between(start, end, t):
    """`path_between`'s vectors at one place of each spherical way, within TensorFlow's graph.

    Args:
        start: float32 tensor `(N, D)`.
        end: as `start`.
        t: float32 tensor `(N,)`. Places on the ways, 0 the start and 1 the end.

    Returns:
        float32 tensor `(N, D)`.
    """
    a, b = tf.cast(start, tf.float64), tf.cast(end, tf.float64)
    t = tf.cast(t, tf.float64)[:, None]
    lengths = tf.norm(a, axis=1, keepdims=True) * tf.norm(b, axis=1, keepdims=True)
    cosine = tf.reduce_sum(a * b, axis=1, keepdims=True) / tf.maximum(lengths, 1e-12)
    angle = tf.acos(tf.clip_by_value(cosine, -1, 1))
    sine = tf.sin(angle)
    defined = sine > 1e-6
    arc = (tf.sin((1 - t) * angle) * a + tf.sin(t * angle) * b) / tf.where(defined, sine, 1)
    return tf.cast(tf.where(defined, arc, a + t * (b - a)), tf.float32)
