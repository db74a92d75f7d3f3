"""The stride-2 stages between a picture and the smallest feature map."""

import numpy as np

SMALLEST_SIDE = 8
MIN_STRIDE = 4


def check_image_shape(shape, model):
    """Checks the shape of a picture.

    Args:
        shape: tuple of 3 ints. Height, width (pixels) and channels.
        model: str. What takes it, for the message.

    Returns:
        The shape as a tuple of ints.

    Raises:
        ValueError: a shape that the strides don't divide; the message names ones that they do.
    """
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) != 3 or not all(isinstance(side, (int, np.integer)) for side in shape):
        raise ValueError(
            "`image_shape` must be three whole numbers: height, width, channels. "
            f"Received: image_shape={shape}"
        )
    height, width, channels = (int(side) for side in shape)
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"{model} takes 1 to 4 channels. Received: image_shape={shape}")
    for side in (height, width):
        if side < SMALLEST_SIDE or side % MIN_STRIDE:
            below = max(SMALLEST_SIDE, side // MIN_STRIDE * MIN_STRIDE)
            raise ValueError(
                f"{model} takes heights and widths that are multiples of {MIN_STRIDE} and at "
                f"least {SMALLEST_SIDE} pixels; near {side} that is {below} or "
                f"{below + MIN_STRIDE}. Received: image_shape={shape}"
            )
    return height, width, channels


def num_stages(image_shape):
    """Number of stride-2 stages between a picture and the smallest feature map.

    As many as keep both sides whole and at least 4 wide.

    Args:
        image_shape: tuple of 3 ints. Height, width and channels, sides in pixels.

    Returns:
        int, at least 1.
    """
    height, width, _ = image_shape
    stages = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 8:
        height, width, stages = height // 2, width // 2, stages + 1
    return stages


def stage_filters(filters, stages):
    """Widths of the stages from the picture inwards: doubling, at most eight times the first."""
    return [filters * min(2**i, 8) for i in range(stages)]
