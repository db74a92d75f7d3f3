"""What an autoencoder's arguments must be: errors that say so, before any work starts."""

import math

import numpy as np

from kerasgen.checks import images, number, whole

__all__ = ["codes", "images", "latent_dim", "number", "penalties", "whole"]

PENALTIES = (None, "l2", "gradient", "spectral")


def latent_dim(value, shape):
    """Checks the length of a code against the picture that it stands for."""
    whole("latent_dim", value, 1)
    if value > math.prod(shape):
        raise ValueError(
            f"`latent_dim` must be at most {math.prod(shape)}, the number of values in a picture "
            f"of {shape}: a longer code compresses nothing. Received: latent_dim={value}"
        )


def penalties(variational, code_penalty, decoder_penalty, decoder_penalty_weight):
    """Checks what a regularised autoencoder is regularised by."""
    number("code_penalty", code_penalty)
    number("decoder_penalty_weight", decoder_penalty_weight)
    if decoder_penalty not in PENALTIES:
        raise ValueError(
            f"`decoder_penalty` must be one of {PENALTIES}. "
            f"Received: decoder_penalty={decoder_penalty!r}"
        )
    if variational and (code_penalty or decoder_penalty):
        raise ValueError(
            "The penalties are a deterministic autoencoder's stand-in for the prior of a "
            "variational one: use either. Received: variational=True, "
            f"code_penalty={code_penalty}, decoder_penalty={decoder_penalty!r}"
        )


def codes(values, latent_dim):
    """Checks codes, and returns them as a float32 array `(N, latent_dim)`."""
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] != latent_dim or not len(values):
        raise ValueError(
            f"Codes must have the shape (N, {latent_dim}), with at least one. "
            f"Received: shape={values.shape}"
        )
    try:
        values = values.astype(np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"Codes must be numbers. Received: dtype={values.dtype}") from None
    if not np.isfinite(values).all():
        raise ValueError("Codes must be finite; these hold NaN or infinite values.")
    return values
