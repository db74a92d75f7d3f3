"""The stride-2 stages between a picture and the smallest feature map."""

from kerasgen.checks import picture_shape

SMALLEST_SIDE = 8
MIN_STRIDE = 4


def check_image_shape(shape, model):
    """Checks the shape of a picture for `model`, and returns it as a tuple of ints."""
    return picture_shape("image_shape", shape, model, MIN_STRIDE, SMALLEST_SIDE)


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
