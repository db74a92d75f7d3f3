"""Codes: how far from their prior they are, and how they come closer to their pictures."""

import tensorflow as tf

REFINEMENT_RATE = 0.1  # of a code's root mean square, the first step's


def kl_divergence(mean, log_variance):
    """Kullback-Leibler divergence of diagonal Gaussians from the standard normal, in nats.

    Args:
        mean: float tensor `(B, D)`.
        log_variance: as `mean`.

    Returns:
        float32 tensor `(B,)`.
    """
    terms = mean**2 + tf.exp(log_variance) - 1 - log_variance
    return tf.reduce_sum(terms, axis=1) / 2


def refine(decoder, codes, images, steps):
    """Moves codes downhill, by the squared error of the pictures that they become.

    An encoder has one look at a picture. What it misses, the decoder's slopes tell. The steps are
    Adam's, each picture's for itself, of a size that goes with its code and falls to nothing.

    Args:
        decoder: `keras.Model` from codes to images.
        codes: float32 tensor `(B, D)`.
        images: float32 tensor `(B, H, W, C)`, as the decoder makes them.
        steps: int scalar tensor.

    Returns:
        float32 tensor `(B, D)`.

    Reference:
        Kingma, Ba: Adam, 2015.
    """
    size = REFINEMENT_RATE * tf.sqrt(tf.reduce_mean(codes**2, axis=1, keepdims=True))
    first = second = tf.zeros_like(codes)
    for step in tf.range(steps):
        with tf.GradientTape() as tape:
            tape.watch(codes)
            pictures = decoder(codes, training=False)
            error = tf.reduce_sum(tf.math.squared_difference(pictures, images))
        slope = tape.gradient(error, codes)
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        done = tf.cast(step, tf.float32)
        mean, square = first / (1 - 0.9 ** (done + 1)), second / (1 - 0.99 ** (done + 1))
        left = 1 - done / tf.cast(steps, tf.float32)
        codes -= left * size * mean / (tf.sqrt(square) + 1e-7)
    return codes
