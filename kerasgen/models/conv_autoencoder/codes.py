"""How far the codes of a variational autoencoder are from their prior."""

import tensorflow as tf


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
