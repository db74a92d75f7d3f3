"""Similarity of two images: PSNR, SSIM, MS-SSIM."""

import math

import numpy as np
from scipy.ndimage import correlate1d

from kerasgen.metrics.functional._checks import check_count, row_slices

_RADIUS = 5
WINDOW = 2 * _RADIUS + 1
_TAPS = np.exp(-np.square(np.arange(-_RADIUS, _RADIUS + 1) / 1.5) / 2)
_TAPS /= _TAPS.sum()
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_VALUES_AT_A_TIME = 2**22


def psnr(a, b, data_range=None):
    """Peak signal-to-noise ratio of pairs of images.

    Args:
        a, b: arrays `(..., H, W, C)` of equal shapes.
        data_range: float or None. Difference of the largest and the smallest value an image may
            have: 2 for images in [-1, 1]. Defaults to None: 255, which only suits uint8.

    Returns:
        Float64 array of the leading dimensions, a float for a single pair, in decibels: infinite
        for equal images.

    Raises:
        TypeError: images that aren't numbers.
        ValueError: different shapes, fewer than three dimensions, or no `data_range` for images
            that aren't uint8.

    Example:

    ```python
    psnr(images, model.reconstruct(images)).mean()
    ```
    """
    a, b, data_range = _check_pair(a, b, data_range)
    errors = over_images(a, b, lambda x, y: np.square(x - y).mean(axis=(1, 2, 3)))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / errors)


def ssim(a, b, data_range=None):
    """Structural similarity of pairs of images.

    With the settings of the paper: Gaussian window of 11 x 11 pixels and sigma 1.5, K1 = 0.01,
    K2 = 0.03, covariances of the window's pixels without correction. Only windows that lie within
    the images count. Channels are averaged.

    Args:
        a, b: arrays `(..., H, W, C)` of equal shapes, H and W at least 11.
        data_range: as in `psnr`.

    Returns:
        Float64 array of the leading dimensions, a float for a single pair, in [-1, 1]; 1 for
        equal images.

    Raises:
        TypeError: images that aren't numbers.
        ValueError: as `psnr`, and images of fewer than 11 pixels a side.

    Example:

    ```python
    ssim(images, model.reconstruct(images)).mean()
    ```

    Reference:
        Wang, Bovik, Sheikh, Simoncelli: Image Quality Assessment: From Error Visibility to
        Structural Similarity, 2004.
    """
    a, b, data_range = _check_pair(a, b, data_range, WINDOW)
    return over_images(a, b, lambda x, y: _structure(x, y, data_range)[0].mean(axis=1))


def ms_ssim(a, b, scales=None, data_range=None):
    """Multi-scale structural similarity of pairs of images.

    Each scale has half the size of the one before, by 2 x 2 averages; a last odd row or column is
    averaged with itself. The weights are those of the paper's first scales, divided by their sum,
    so values with different numbers of scales can't be compared: name the number beside them.
    Negative similarities count as 0. Channels are averaged.

    Args:
        a, b: arrays `(..., H, W, C)` of equal shapes, H and W at least 11.
        scales: int or None. Number of scales, 1 to 5. Defaults to None: `num_scales(H, W)`, the
            most that leave 11 pixels a side.
        data_range: as in `psnr`.

    Returns:
        Float64 array of the leading dimensions, a float for a single pair, in [0, 1]; 1 for equal
        images.

    Raises:
        TypeError: images that aren't numbers, or `scales` that is no int.
        ValueError: as `ssim`, and more scales than the size allows.

    Example:

    ```python
    ms_ssim(images[0], images[1])
    ```

    Reference:
        Wang, Simoncelli, Bovik: Multiscale Structural Similarity for Image Quality Assessment,
        2003.
    """
    a, b, data_range = _check_pair(a, b, data_range, WINDOW)
    most = num_scales(*a.shape[-3:-1])
    scales = most if scales is None else check_count(scales, "scales")
    if scales > most:
        raise ValueError(
            f"Images of {a.shape[-3]}x{a.shape[-2]} pixels allow {most} scales, and there are "
            f"never more than {len(_WEIGHTS)}. Received: scales={scales}"
        )
    weights = np.array(_WEIGHTS[:scales]) / sum(_WEIGHTS[:scales])

    def similarity(x, y):
        product = 1.0
        for scale, weight in enumerate(weights):
            if scale:
                x, y = _halve(x), _halve(y)
            whole, contrast = _structure(x, y, data_range)
            last = scale == scales - 1
            product = product * np.maximum(whole if last else contrast, 0) ** weight
        return product.mean(axis=1)

    return over_images(a, b, similarity)


def num_scales(height, width):
    """How many of MS-SSIM's five scales images of a size allow.

    Args:
        height, width: int. Pixels.

    Returns:
        Int from 0 to 5: scales at which both sides have 11 pixels or more. 0 for images that are
        too small for SSIM as well.

    Example:

    ```python
    num_scales(64, 64)  # 3
    ```
    """
    side = min(check_count(height, "height", 0), check_count(width, "width", 0))
    scales = 0
    while side >= WINDOW and scales < len(_WEIGHTS):
        scales, side = scales + 1, (side + 1) // 2
    return scales


def check_images(images, name, rank=None, smallest=1):
    """Raises unless an array is `(..., H, W, C)`, or of a rank, with sides of enough pixels."""
    if images.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must be numbers. Received: {name}.dtype={images.dtype}")
    if images.ndim < 3 or rank not in (None, images.ndim):
        shape = "(images, height, width, channels)" if rank else "(..., height, width, channels)"
        raise ValueError(f"`{name}` must be {shape}. Received: {name}.shape={images.shape}")
    if min(images.shape[-3:-1]) < smallest or not images.shape[-1]:
        raise ValueError(
            f"`{name}` must have at least {smallest} pixels a side: SSIM's window is that large. "
            f"Received: {name}.shape={images.shape}"
        )


def _check_pair(a, b, data_range, smallest=1):
    a, b = np.asarray(a), np.asarray(b)
    for images, name in ((a, "a"), (b, "b")):
        check_images(images, name, smallest=smallest)
    if a.shape != b.shape:
        raise ValueError(
            f"`a` and `b` must have equal shapes. Received: a.shape={a.shape}, b.shape={b.shape}"
        )
    if data_range is None:
        if a.dtype != np.uint8 or b.dtype != np.uint8:
            raise ValueError(
                "Images that aren't uint8 need `data_range`, the difference of the largest and "
                "the smallest possible value: 2.0 for images in [-1, 1]. "
                f"Received: a.dtype={a.dtype}, b.dtype={b.dtype}, data_range=None"
            )
        data_range = 255
    if not data_range > 0:
        raise ValueError(f"`data_range` must be above 0. Received: data_range={data_range!r}")
    return a, b, data_range


def over_images(a, b, measure):
    """Applies a measure of float64 batches to a few images at a time."""
    batches = [images.reshape(-1, *images.shape[-3:]) for images in (a, b)]
    values = np.empty(len(batches[0]))
    at_a_time = max(1, _VALUES_AT_A_TIME // math.prod(a.shape[-3:]))
    for rows in row_slices(len(values), at_a_time):
        values[rows] = measure(*(batch[rows].astype(np.float64) for batch in batches))
    return values.reshape(a.shape[:-3])[()]


def _structure(a, b, data_range):
    """SSIM, and its part that compares contrast and structure, `(N, C)` each."""
    mean_a, mean_b, squares, products = (_smooth(x) for x in (a, b, a * a + b * b, a * b))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_squares, mean_products = mean_a**2 + mean_b**2, mean_a * mean_b
    luminance = (2 * mean_products + c1) / (mean_squares + c1)
    contrast = (2 * (products - mean_products) + c2) / (squares - mean_squares + c2)
    return (luminance * contrast).mean(axis=(1, 2)), contrast.mean(axis=(1, 2))


def _smooth(images):
    """Weighted means of the windows that lie within the images."""
    inside = slice(_RADIUS, -_RADIUS)
    down = correlate1d(images, _TAPS, axis=1)[:, inside]
    return correlate1d(down, _TAPS, axis=2)[:, :, inside]


def _halve(images):
    odd = [(0, 0), *((0, side % 2) for side in images.shape[1:3]), (0, 0)]
    images = np.pad(images, odd, mode="edge")
    count, height, width, channels = images.shape
    return images.reshape(count, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
