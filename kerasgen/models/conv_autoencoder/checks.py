"""What an autoencoder's arguments must be: errors that say so, before any work starts."""

import math
import numbers

import numpy as np

PENALTIES = (None, "l2", "gradient", "spectral")
# What rounding on the way to [-1, 1] may add, far below one step of uint8.
SLACK = 1e-3


def whole(name, value, least):
    """Checks a whole number."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {least}. Received: {name}={value!r}"
        )


def number(name, value, below=math.inf):
    """Checks a number that isn't negative, and below a limit."""
    if not isinstance(value, numbers.Real) or not 0 <= value < below:
        limit = "" if below == math.inf else f" and below {below}"
        raise ValueError(
            f"`{name}` must be a number of at least 0{limit}. Received: {name}={value!r}"
        )


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


def images(values, shape):
    """Checks pictures, and returns them as a uint8 or float32 array `(N, H, W, C)`."""
    values = np.asarray(values)
    if values.ndim != 4 or values.shape[1:] != tuple(shape) or not len(values):
        raise ValueError(
            f"Pictures must have the shape (N, {', '.join(map(str, shape))}), with at least one. "
            f"Received: shape={values.shape}"
        )
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise ValueError(
            "Pictures must be uint8 in [0, 255] or float in [-1, 1]. "
            f"Received: dtype={values.dtype}"
        )
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("Pictures must be finite; these hold NaN or infinite values.")
    low, high = values.min(), values.max()
    if low < -1 - SLACK or high > 1 + SLACK:
        raise ValueError(
            "Float pictures must lie in [-1, 1]; give uint8 for [0, 255]. "
            f"Received: values from {low:.6g} to {high:.6g}"
        )
    return values


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
