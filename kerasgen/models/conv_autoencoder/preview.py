"""Picture grids that show how far an autoencoder's training is."""

import numpy as np

from kerasgen.models.conv_autoencoder.corruption import corrupt
from kerasgen.pixels import to_float, to_uint8

SIDE = 8
MOST_PAIRS = 4


def grids(model, batch=None):
    """The grids of `ConvAutoencoder.preview`.

    - "reconstructions": rows of up to 8 inputs, each above a row of their reconstructions;
    - "denoised", of a denoising model: corrupted inputs above what it makes of them;
    - "walk": from one input to another in each row, in 8 steps along a line between their codes;
    - "samples": generated pictures, if a sampler is fitted to the codes of these weights.

    Args:
        model: `ConvAutoencoder`.
        batch: pictures, float in [-1, 1] or uint8, perhaps in a tuple with labels; or None.

    Returns:
        Dict of name -> uint8 array `(rows, columns, H, W, C)`. Without a batch only "samples".
    """
    result = {}
    if batch is not None:
        images = np.asarray(batch[0] if isinstance(batch, (tuple, list)) else batch)
        images = images[: SIDE * MOST_PAIRS]
        columns = min(SIDE, len(images))
        images = images[: len(images) // columns * columns]
        floats = to_float(images) if images.dtype == np.uint8 else images
        result["reconstructions"] = _pairs(to_uint8(floats), model.reconstruct(images), columns)
        if model.corruption is not None:
            noisy = corrupt(floats, model.corruption, (model.seed % 2**31, 0)).numpy().clip(-1, 1)
            result["denoised"] = _pairs(to_uint8(noisy), model.reconstruct(noisy), columns)
        starts, ends = images[::2][:MOST_PAIRS], images[1::2][:MOST_PAIRS]
        if len(ends):
            result["walk"] = model.interpolate(starts[: len(ends)], ends, steps=SIDE)
    if model.draws_codes is not None:
        samples = model.decode(model.draws_codes(SIDE**2, model.seed))
        result["samples"] = samples.reshape(SIDE, SIDE, *model.image_shape)
    return result


def _pairs(above, below, columns):
    """Rows of `columns` pictures, in turn from the one array and the other."""
    above, below = (
        np.asarray(images).reshape(-1, columns, *images.shape[1:]) for images in (above, below)
    )
    return np.stack([above, below], axis=1).reshape(-1, *above.shape[1:])
