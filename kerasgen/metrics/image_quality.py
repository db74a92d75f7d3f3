"""How close images are to given ones: `PSNR`, `SSIM` and `MSSSIM`."""

import math
import numbers

import keras
import tensorflow as tf

from kerasgen.metrics.functional import num_scales

WINDOW = 11
SIGMA = 1.5
WANG_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# Of the range: what rounding on the way to [-1, 1] may add, far below one step of uint8.
_SLACK = 1e-3


class ImagePairMetric(keras.metrics.Metric):
    """The mean, over all pairs of images seen, of one value a pair. Subclasses give the value.

    Args:
        data_range: float or None. See `PSNR`.
        name: str or None.
        dtype: str or None. Dtype of the result.
    """

    def __init__(self, data_range=None, name=None, dtype=None):
        if data_range is not None and not (
            isinstance(data_range, numbers.Real) and 0 < data_range < math.inf
        ):
            raise ValueError(
                "`data_range` must be a positive number, the greatest pixel value minus the least, "
                f"or None for uint8 and [-1, 1]. Received: data_range={data_range!r}"
            )
        super().__init__(name=name, dtype=dtype)
        self.data_range = None if data_range is None else float(data_range)
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.count = self.add_variable((), "zeros", dtype="float64", name="count")

    def values(self, y_true, y_pred, data_range):
        """One value a pair.

        Args:
            y_true: float64 tensor `(B, H, W, C)`.
            y_pred: as `y_true`.
            data_range: float. The greatest possible pixel value minus the least.

        Returns:
            float64 tensor `(B,)`.
        """
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch of pairs.

        Args:
            y_true: images `(B, H, W, C)`, uint8 in [0, 255] or any float dtype in [-1, 1].
            y_pred: images of the same shape; the two dtypes may differ.
            sample_weight: None, a scalar, or weights `(B,)` or `(B, 1)`. Defaults to None: all
                images weigh the same.

        Raises:
            ValueError: shapes that differ or aren't of images, other dtypes, weights that
                aren't one an image, or, when called eagerly, pixels outside the range: within a
                `tf.function` values aren't known, and aren't checked.
        """
        y_true = keras.ops.convert_to_tensor(y_true)
        y_pred = keras.ops.convert_to_tensor(y_pred)
        self._check_shapes(y_true, y_pred)
        if self.data_range is None:
            data_range = 255.0
            y_true, y_pred = _to_255(y_true, "y_true"), _to_255(y_pred, "y_pred")
        else:
            data_range = self.data_range
            y_true, y_pred = tf.cast(y_true, tf.float64), tf.cast(y_pred, tf.float64)
            _check_spread(y_true, y_pred, data_range)
        values = self.values(y_true, y_pred, data_range)
        weights = _image_weights(sample_weight, values)
        # An image of weight zero doesn't count, even if its own value is infinite.
        self.total.assign_add(tf.reduce_sum(tf.math.multiply_no_nan(values, weights)))
        self.count.assign_add(tf.reduce_sum(weights))

    def result(self):
        """The mean over the images seen so far.

        Returns:
            Scalar tensor; NaN before any image came. (Keras reads results within graphs and for
            its progress bar, where an error could not be raised.)
        """
        return tf.cast(self.total.value / self.count.value, self.dtype)

    def get_config(self):
        return {"data_range": self.data_range, **super().get_config()}

    def _check_shapes(self, y_true, y_pred):
        received = f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
        if not {y_true.shape.rank, y_pred.shape.rank} <= {4, None}:
            raise ValueError(
                "Expected batches of images `(batch, height, width, channels)`; reshape frames to "
                f"`(batch * time, height, width, channels)` first. {received}"
            )
        if not y_true.shape.is_compatible_with(y_pred.shape):
            raise ValueError(f"`y_true` and `y_pred` must have the same shape. {received}")
        if not (y_true.shape.is_fully_defined() and y_pred.shape.is_fully_defined()):
            # Else one image, or one channel, would be compared with many.
            tf.debugging.assert_equal(
                tf.shape(y_true), tf.shape(y_pred), "`y_true` and `y_pred` differ in shape"
            )


@keras.saving.register_keras_serializable("kerasgen")
class PSNR(ImagePairMetric):
    """Peak signal-to-noise ratio in decibels: the mean over images of each image's own.

    `10 log10(data_range² / MSE)`, with the mean squared error over an image's pixels and
    channels; higher is better. It equals the mean of `tf.image.psnr`.

    Two identical images have a PSNR of infinity, as in `tf.image.psnr`, and so has every mean
    that holds them. Where exact copies are to be expected, compare by `SSIM` or by the mean
    squared error instead.

    Args:
        data_range: float or None. The greatest possible pixel value minus the least. Defaults to
            None: pixels are uint8 in [0, 255] or float in [-1, 1], the range being 255 or 2.
            Give it for all others, such as 1.0 for floats in [0, 1].
        name: str. Defaults to "psnr".
        dtype: str or None. Dtype of the result; sums are float64 always. Defaults to None:
            `keras.config.floatx()`.

    Raises:
        ValueError: `data_range` that isn't a positive number.

    Example:

    ```python
    psnr = kerasgen.metrics.PSNR()
    psnr.update_state(images, autoencoder.reconstruct(images))
    psnr.result()

    model.compile(metrics=[kerasgen.metrics.PSNR(), kerasgen.metrics.SSIM()])
    ```
    """

    def __init__(self, data_range=None, name="psnr", dtype=None):
        super().__init__(data_range=data_range, name=name, dtype=dtype)

    def values(self, y_true, y_pred, data_range):
        error = tf.reduce_mean(tf.math.squared_difference(y_true, y_pred), axis=[1, 2, 3])
        return 10 / math.log(10) * tf.math.log(data_range**2 / error)


@keras.saving.register_keras_serializable("kerasgen")
class SSIM(ImagePairMetric):
    """Structural similarity: the mean over images of each image's own, in (-1, 1], 1 if identical.

    The original's settings: a Gaussian window of 11 x 11 pixels (sigma 1.5), population
    covariances, K1 = 0.01, K2 = 0.03, windows only where they lie wholly within the image, each
    channel by itself, and the mean over windows and channels. It equals scikit-image's
    `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.

    SSIM compares brightness relative to black, so it depends on where black is. Without
    `data_range` floats in [-1, 1] are therefore taken as the pictures they stand for, -1 being
    black: an image has the same SSIM as uint8 and as float. (A function that is handed the bare
    floats with a range of 2 takes the middle grey for black, and finds another value.) With
    `data_range` pixels are used as they come, with black at 0.

    Args:
        data_range: float or None. The greatest possible pixel value minus the least. Defaults to
            None: pixels are uint8 in [0, 255] or float in [-1, 1]. Give it for all others, such
            as 1.0 for floats in [0, 1].
        name: str. Defaults to "ssim".
        dtype: str or None. Dtype of the result; it is computed in float64 always. Defaults to
            None: `keras.config.floatx()`.

    Raises:
        ValueError: `data_range` that isn't a positive number; at an update, images with a side
            under 11 pixels.

    Example:

    ```python
    ssim = kerasgen.metrics.SSIM()
    ssim.update_state(images, autoencoder.reconstruct(images))
    ssim.result()
    ```

    Reference:
        Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to
        structural similarity, 2004.
    """

    def __init__(self, data_range=None, name="ssim", dtype=None):
        super().__init__(data_range=data_range, name=name, dtype=dtype)

    def values(self, y_true, y_pred, data_range):
        if any(side is not None and side < WINDOW for side in y_true.shape[1:3]):
            raise ValueError(
                f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, the size of its "
                f"window. Received: shape={y_true.shape}"
            )
        return tf.reduce_mean(_similarity(y_true, y_pred, data_range)[0], axis=-1)


@keras.saving.register_keras_serializable("kerasgen")
class MSSSIM(ImagePairMetric):
    """Multi-scale structural similarity: the mean over images of each image's own, in [0, 1].

    The weighted geometric mean of the contrast and structure terms of `SSIM` on an image and on
    its successive 2 x 2 averages, with the brightness term at the smallest scale only, each
    channel by itself. It equals `tf.image.ssim_multiscale` with the same weights, but for that
    function's rounding: a term below zero counts as zero, and an odd side repeats its last pixel
    before averaging.

    The original has five scales and needs sides of 161 pixels. Here there are as many of the
    five as the image has, its smallest average still covering the window of 11 x 11 pixels: 1
    from 11 pixels, 2 from 21, 3 from 41, 4 from 81. The original's weights are scaled to sum
    to 1. Values with different numbers of scales can't be compared, hence the number in the
    name.

    Args:
        image_size: int or `(height, width)`. Size of the images in pixels.
        data_range: float or None. The greatest possible pixel value minus the least. Defaults to
            None: pixels are uint8 in [0, 255] or float in [-1, 1]; the latter are taken as the
            pictures they stand for, as `SSIM` does. Give it for all others, such as 1.0 for
            floats in [0, 1].
        name: str or None. Defaults to None: "ms_ssim_3" for three scales.
        dtype: str or None. Dtype of the result; it is computed in float64 always. Defaults to
            None: `keras.config.floatx()`.

    Attributes:
        weights: tuple of floats. Exponents of the scales, the full size first.

    Raises:
        ValueError: `image_size` that isn't one or two whole numbers of at least 11, `data_range`
            that isn't a positive number; at an update, images of another size.

    Example:

    ```python
    ms_ssim = kerasgen.metrics.MSSSIM(64)
    ms_ssim.name  # "ms_ssim_3"
    ms_ssim.update_state(images, autoencoder.reconstruct(images))
    ms_ssim.result()
    ```

    Reference:
        Wang, Simoncelli, Bovik: Multiscale structural similarity for image quality assessment,
        2003.
    """

    def __init__(self, image_size, data_range=None, name=None, dtype=None):
        size = (image_size, image_size) if isinstance(image_size, numbers.Integral) else image_size
        if not (
            isinstance(size, (tuple, list))
            and len(size) == 2
            and all(isinstance(side, numbers.Integral) and side >= WINDOW for side in size)
        ):
            raise ValueError(
                f"`image_size` must be a whole number or (height, width), of at least {WINDOW} "
                f"pixels, the size of SSIM's window. Received: image_size={image_size!r}"
            )
        weights = WANG_WEIGHTS[: num_scales(*size)]
        super().__init__(data_range=data_range, name=name or f"ms_ssim_{len(weights)}", dtype=dtype)
        self.image_size = tuple(int(side) for side in size)
        self.weights = tuple(weight / sum(weights) for weight in weights)

    def values(self, y_true, y_pred, data_range):
        size = tf.TensorShape((None, *self.image_size, None))
        if not y_true.shape.is_compatible_with(size):
            raise ValueError(
                f"Expected images of the size given at construction, {self.image_size}. "
                f"Received: shape={y_true.shape}"
            )
        y_true, y_pred = tf.ensure_shape(y_true, size), tf.ensure_shape(y_pred, size)
        product = 1.0
        for weight in self.weights[:-1]:
            structure = _similarity(y_true, y_pred, data_range)[1]
            product *= tf.nn.relu(structure) ** weight
            y_true, y_pred = _halve(y_true), _halve(y_pred)
        similarity = _similarity(y_true, y_pred, data_range)[0]
        product *= tf.nn.relu(similarity) ** self.weights[-1]
        return tf.reduce_mean(product, axis=-1)

    def get_config(self):
        return {"image_size": self.image_size, **super().get_config()}


def _to_255(images, name):
    """Pixels as float64 in [0, 255], black at 0, from uint8 or from floats in [-1, 1]."""
    if images.dtype == tf.uint8:
        return tf.cast(images, tf.float64)
    if not images.dtype.is_floating:
        raise ValueError(
            "Expected uint8 pixels in [0, 255] or floats in [-1, 1]; for others construct the "
            f"metric with their `data_range`. Received: {name}.dtype={images.dtype.name}"
        )
    images = tf.cast(images, tf.float64)
    if tf.executing_eagerly():
        low, high = float(tf.reduce_min(images)), float(tf.reduce_max(images))
        # This way round so that NaN fails as well.
        if not (low >= -1 - _SLACK and high <= 1 + _SLACK):
            raise ValueError(
                "Float pixels must lie in [-1, 1]; for another range construct the metric with "
                f"`data_range`, or clip. Received: {name} from {low:.6g} to {high:.6g}"
            )
    return (images + 1) * 127.5


def _check_spread(y_true, y_pred, data_range):
    if not tf.executing_eagerly():
        return
    pixels = tf.stack([y_true, y_pred])
    low, high = float(tf.reduce_min(pixels)), float(tf.reduce_max(pixels))
    if not high - low <= data_range * (1 + _SLACK):
        raise ValueError(
            f"Pixels of a `data_range` of {data_range:.6g} can't differ by more than that. "
            f"Received: y_true and y_pred from {low:.6g} to {high:.6g}"
        )


def _image_weights(sample_weight, values):
    """Weights as float64 `(B,)`, one for each of `values`."""
    if sample_weight is None:
        return tf.ones_like(values)
    weights = tf.cast(keras.ops.convert_to_tensor(sample_weight), values.dtype)
    if weights.shape.rank == 2 and weights.shape[1] == 1:
        weights = tf.squeeze(weights, 1)
    if weights.shape.rank != 0 and not weights.shape.is_compatible_with(values.shape):
        raise ValueError(
            f"`sample_weight` must hold one weight an image, shape {values.shape}. "
            f"Received: sample_weight.shape={weights.shape}"
        )
    return tf.broadcast_to(weights, tf.shape(values))


def _halve(images):
    """Averages of 2 x 2 pixels, the last row and column repeated where a side is odd."""
    height, width = images.shape[1:3]
    odd = [[0, 0], [0, height % 2], [0, width % 2], [0, 0]]
    return tf.nn.avg_pool2d(tf.pad(images, odd, "SYMMETRIC"), 2, 2, "VALID")


def _similarity(x, y, data_range):
    """SSIM, and its contrast and structure terms alone: the means over windows, `(B, C)` each.

    In float64: a variance is the small difference of two large numbers where an image is bright
    and even, and float32 misses scikit-image by more than 1e-6 there.
    """
    mean_x, mean_y, squares, products = tf.split(
        _window_means(tf.concat([x, y, x * x + y * y, x * y], axis=0)), 4
    )
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_squares, mean_products = mean_x**2 + mean_y**2, mean_x * mean_y
    brightness = (2 * mean_products + c1) / (mean_squares + c1)
    structure = (2 * (products - mean_products) + c2) / (squares - mean_squares + c2)
    return tf.reduce_mean(brightness * structure, [1, 2]), tf.reduce_mean(structure, [1, 2])


def _window_means(images):
    """Gaussian-weighted means over all windows that lie wholly within the images.

    Sums of shifted images: on a CPU, TensorFlow's float64 convolutions take longer.
    """
    taps = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
    taps = [tap / sum(taps) for tap in taps]
    height, width = tf.shape(images)[1] - WINDOW + 1, tf.shape(images)[2] - WINDOW + 1
    rows = tf.add_n([tap * images[:, i : i + height] for i, tap in enumerate(taps)])
    return tf.add_n([tap * rows[:, :, i : i + width] for i, tap in enumerate(taps)])
