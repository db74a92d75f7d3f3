"""Checks of arguments and pictures that models share: errors that say what was expected."""

import math
import numbers

import numpy as np

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
