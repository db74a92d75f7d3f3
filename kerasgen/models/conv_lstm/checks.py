"""What a frame generator's arguments must be: errors that say so, before any work starts."""

import numpy as np

from kerasgen.models.checks import images, number, whole

__all__ = ["clips", "filters", "frame_shape", "number", "one_of", "whole"]


def frame_shape(shape, patch_size, model):
    """Checks the shape of a frame.

    Args:
        shape: tuple of 3 ints. Height, width (pixels) and channels.
        patch_size: int. What has to divide both sides.
        model: str. What takes it, for the message.

    Returns:
        The shape as a tuple of ints.

    Raises:
        ValueError: a shape that patches don't fill; the message names ones that they do.
    """
    whole("patch_size", patch_size, 1)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) != 3 or not all(
        isinstance(side, (int, np.integer)) and not isinstance(side, bool) for side in shape
    ):
        raise ValueError(
            "`frame_shape` must be three whole numbers: height, width, channels. "
            f"Received: frame_shape={shape}"
        )
    height, width, channels = (int(side) for side in shape)
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"{model} takes 1 to 4 channels. Received: frame_shape={shape}")
    for side in (height, width):
        if side < patch_size or side % patch_size:
            below = max(patch_size, side // patch_size * patch_size)
            raise ValueError(
                f"{model} folds patches of {patch_size} x {patch_size} pixels, so heights and "
                f"widths must be multiples of {patch_size}; near {side} that is {below} or "
                f"{below + patch_size}. Or choose another `patch_size`. "
                f"Received: frame_shape={shape}"
            )
    return height, width, channels


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


def one_of(name, value, choices):
    """Checks a choice."""
    if not any(value is choice or value == choice for choice in choices):
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")


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
