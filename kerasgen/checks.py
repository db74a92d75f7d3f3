"""Checks of arguments and pictures that models share: errors that say what was expected."""

import math
import numbers

import numpy as np

from kerasgen.names import nearest

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


def one_of(name, value, choices):
    """Checks a choice."""
    if not any(value is choice or value == choice for choice in choices):
        raise ValueError(
            f"`{name}` must be one of {choices}.{nearest(value, filter(None, choices))} "
            f"Received: {name}={value!r}"
        )


def picture_shape(name, shape, model, multiple, smallest, why=""):
    """Checks the shape of a picture.

    Args:
        name: str. The argument's name, for the message.
        shape: tuple of 3 ints. Height, width (pixels) and channels.
        model: str. What takes it, for the message.
        multiple: int. What has to divide both sides.
        smallest: int. Pixels that a side has at least, a multiple of `multiple`.
        why: str. Goes before the sizes in the message. Defaults to "".

    Returns:
        The shape as a tuple of ints.

    Raises:
        ValueError: another shape; the message names sizes that would do.
    """
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) != 3 or not all(
        isinstance(side, (int, np.integer)) and not isinstance(side, bool) for side in shape
    ):
        raise ValueError(
            f"`{name}` must be three whole numbers: height, width, channels. "
            f"Received: {name}={shape}"
        )
    height, width, channels = (int(side) for side in shape)
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"{model} takes 1 to 4 channels. Received: {name}={shape}")
    for side in (height, width):
        if side < smallest or side % multiple:
            below = max(smallest, side // multiple * multiple)
            if multiple == 1:
                raise ValueError(
                    f"{model} {why}takes heights and widths of at least {smallest} pixel(s). "
                    f"Received: {name}={shape}"
                )
            raise ValueError(
                f"{model} {why}takes heights and widths that are multiples of {multiple} and at "
                f"least {smallest} pixels; near {side} that is {below} or {below + multiple}. "
                f"Received: {name}={shape}"
            )
    return height, width, channels


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
