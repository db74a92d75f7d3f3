"""Checks of the arguments that the loaders of pictures and of frames share."""

import numpy as np

from kerasgen.data.pictures import MODES


def check_shape(image_size, channels):
    """Checks the arguments of that name; they come back as a tuple and an int, or None."""
    if channels is not None and not (is_whole(channels) and channels in MODES):
        raise ValueError(f"`channels` must be 1, 2, 3 or 4. Received: channels={channels!r}")
    return (
        None if image_size is None else _check_image_size(image_size),
        None if channels is None else int(channels),
    )


def is_whole(number):
    """Whether it is an int, of Python or NumPy, and no bool."""
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _check_image_size(image_size):
    sides = (image_size, image_size) if is_whole(image_size) else image_size
    try:
        height, width = (int(side) for side in sides if side == int(side))
    except (TypeError, ValueError, OverflowError):
        height = width = 0
    if height <= 0 or width <= 0:
        raise ValueError(
            "`image_size` must be a positive whole number of pixels, or two (height, width). "
            f"Received: image_size={image_size!r}"
        )
    return height, width


def check_batching(batch_size, seed):
    """Checks the arguments of these names."""
    if not is_whole(batch_size) or batch_size < 1:
        raise ValueError(
            f"`batch_size` must be a whole number, at least 1. Received: batch_size={batch_size!r}"
        )
    if not is_whole(seed) or not -(2**63) <= seed < 2**63:
        raise ValueError(f"`seed` must be a whole number of 64 bits. Received: seed={seed!r}")


def check_fills_batch(count, batch_size, noun):
    """Checks that what there is fills a batch, where incomplete ones are left out."""
    if count < batch_size:
        raise ValueError(
            f"{count} {noun} don't fill one batch of {batch_size}: use a `batch_size` of at most "
            f"{count} (`--batch-size` on the command line), or more {noun}. "
            f"Received: batch_size={batch_size}"
        )


def check_validation_split(validation_split):
    """Checks the argument of that name."""
    if validation_split is None:
        return
    if not isinstance(validation_split, (float, np.floating)) or not 0 < validation_split < 1:
        raise ValueError(
            "`validation_split` must be a fraction between 0 and 1. "
            f"Received: validation_split={validation_split!r}"
        )
