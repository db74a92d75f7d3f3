"""What a frame generator's arguments must be: errors that say so, before any work starts."""

import numpy as np

from kerasgen.checks import images, number, one_of, picture_shape, whole

__all__ = ["clips", "filters", "frame_shape", "number", "one_of", "whole"]


def frame_shape(shape, patch_size, model):
    """Checks the shape of a frame for `model`, and returns it as a tuple of ints."""
    whole("patch_size", patch_size, 1)
    why = f"folds patches of {patch_size} x {patch_size} pixels (`patch_size`), so it "
    return picture_shape("frame_shape", shape, model, patch_size, patch_size, why)


def filters(value):
    """Checks the channels of the cells, and returns them as a tuple of ints."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not values or not all(
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v > 0 for v in values
    ):
        raise ValueError(
            "`filters` must be one or more positive whole numbers, the channels of each cell. "
            f"Received: filters={value!r}"
        )
    return tuple(int(v) for v in values)


def clips(values, shape, least=1):
    """Checks clips, and returns them as a uint8 or float32 array `(N, T, H, W, C)`.

    Args:
        values: array.
        shape: tuple of 3 ints. Height, width and channels of a frame.
        least: int. Frames that a clip must have. Defaults to 1.

    Raises:
        ValueError: clips of another shape, kind or range, or with NaN.
    """
    try:
        values = np.asarray(values)
    except ValueError:
        raise ValueError(
            "Clips must be one array: frames all of one size, and as many in each clip. "
            f"Received: a {type(values).__name__} of different ones"
        ) from None
    if values.ndim != 5 or values.shape[2:] != tuple(shape) or not len(values):
        raise ValueError(
            f"Clips must have the shape (N, T, {', '.join(map(str, shape))}), with at least one: "
            f"N clips of T frames. Received: shape={values.shape}"
        )
    if values.shape[1] < least:
        raise ValueError(
            f"Clips must have at least {least} frame{'s' * (least > 1)}. "
            f"Received: shape={values.shape}"
        )
    return images(values.reshape(-1, *shape), shape).reshape(values.shape)
