"""Reconstruction losses: how far pictures are from those they should equal, one value a picture.

All take float pictures `(B, H, W, C)` in [-1, 1], compute in float32, and are `keras.losses.Loss`
objects, so that any Keras model can be compiled with them.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from kerasgen.names import nearest

WINDOW = 11
SIGMA = 1.5
# A probability of exactly 0 or 1 would make a pixel infinitely unlikely.
EPSILON = 1e-6


class ReconstructionLoss(keras.losses.Loss):
    """One value a picture. Subclasses implement `call`, and `nats` if they are likelihoods.

    Attributes:
        likelihood: str or None. The distribution of a pixel around its reconstruction whose
            negative log-likelihood the loss is; None if it is none.
    """

    likelihood = None

    def check_shape(self, image_shape):
        """Raises ValueError if pictures of a shape are none that the loss can take."""

    def nats(self, values, scale, num_values):
        """Negative log-likelihood of whole pictures.

        Args:
            values: float32 tensor `(B,)`. The loss of the pictures.
            scale: float32 scalar. The mean of such values over the data, which is the scale
                of the likelihood where it has one.
            num_values: int. Number of values (pixels times channels) in a picture.

        Returns:
            float32 tensor `(B,)`, in nats.
        """
        raise NotImplementedError


@keras.saving.register_keras_serializable("kerasgen")
class SquaredError(ReconstructionLoss):
    """Mean squared error of each picture's values. Named "mse".

    Its likelihood is Gaussian, with one variance for all pixels and pictures.

    Args:
        name: str. Defaults to "mse".
        **kwargs: `reduction` and `dtype` as for `keras.losses.Loss`.

    Reference:
        Rybkin, Daniilidis, Levine: Simple and Effective VAE Training with Calibrated Decoders,
        2021 (the variance that equals the mean squared error).
    """

    likelihood = "gaussian"

    def __init__(self, name="mse", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return _mean(tf.math.squared_difference(*_floats(y_true, y_pred)))

    def nats(self, values, scale, num_values):
        return num_values / 2 * (tf.math.log(2 * math.pi * scale) + values / scale)


@keras.saving.register_keras_serializable("kerasgen")
class AbsoluteError(ReconstructionLoss):
    """Mean absolute error of each picture's values. Named "mae".

    Its likelihood is Laplace's, with one scale for all pixels and pictures.

    Args:
        name: str. Defaults to "mae".
        **kwargs: `reduction` and `dtype` as for `keras.losses.Loss`.
    """

    likelihood = "laplace"

    def __init__(self, name="mae", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        y_true, y_pred = _floats(y_true, y_pred)
        return _mean(tf.abs(y_true - y_pred))

    def nats(self, values, scale, num_values):
        return num_values * (tf.math.log(2 * scale) + values / scale)


@keras.saving.register_keras_serializable("kerasgen")
class CrossEntropy(ReconstructionLoss):
    """Binary cross-entropy in nats, the mean over each picture's values. Named "bce".

    Pictures in [-1, 1] are mapped to [0, 1] first: a target of 1 is white with certainty, the
    reconstruction is the probability of white. Its likelihood is Bernoulli's. For targets
    between black and white the least possible value isn't 0, but their entropy.

    Args:
        name: str. Defaults to "bce".
        **kwargs: `reduction` and `dtype` as for `keras.losses.Loss`.
    """

    likelihood = "bernoulli"

    def __init__(self, name="bce", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        target, probability = ((pixels + 1) / 2 for pixels in _floats(y_true, y_pred))
        probability = tf.clip_by_value(probability, EPSILON, 1 - EPSILON)
        white, black = tf.math.log(probability), tf.math.log1p(-probability)
        return -_mean(target * white + (1 - target) * black)

    def nats(self, values, scale, num_values):
        return num_values * values


@keras.saving.register_keras_serializable("kerasgen")
class StructuralDissimilarity(ReconstructionLoss):
    """One minus the structural similarity, from 0 for equal pictures to 2. Named "ssim".

    The similarity is that of `kerasgen.metrics.SSIM` (Gaussian window of 11 x 11 pixels, sigma
    1.5), in float32. It is no likelihood, and takes pictures of at least 11 x 11 pixels.

    Args:
        name: str. Defaults to "ssim".
        **kwargs: `reduction` and `dtype` as for `keras.losses.Loss`.

    Reference:
        Wang, Bovik, Sheikh, Simoncelli: Image quality assessment: from error visibility to
        structural similarity, 2004. Zhao, Gallo, Frosio, Kautz: Loss Functions for Image
        Restoration with Neural Networks, 2017.
    """

    def __init__(self, name="ssim", **kwargs):
        super().__init__(name=name, **kwargs)

    def check_shape(self, image_shape):
        if min(image_shape[:2]) < WINDOW:
            raise ValueError(
                f'The loss "ssim" compares windows of {WINDOW} x {WINDOW} pixels, and needs '
                f"pictures at least as large. Received: image_shape={tuple(image_shape)}"
            )

    def call(self, y_true, y_pred):
        x, y = ((pixels + 1) / 2 for pixels in _floats(y_true, y_pred))
        self.check_shape(x.shape[1:])
        means = _window_means(tf.concat([x, y, x * x + y * y, x * y], axis=0))
        mean_x, mean_y, squares, products = tf.split(means, 4)
        mean_squares, mean_products = mean_x**2 + mean_y**2, mean_x * mean_y
        c1, c2 = 0.01**2, 0.03**2
        brightness = (2 * mean_products + c1) / (mean_squares + c1)
        structure = (2 * (products - mean_products) + c2) / (squares - mean_squares + c2)
        return 1 - _mean(brightness * structure)


_BY_NAME = {
    "mse": SquaredError,
    "mae": AbsoluteError,
    "bce": CrossEntropy,
    "ssim": StructuralDissimilarity,
}


def get_reconstruction(identifier):
    """Resolves a reconstruction loss.

    Args:
        identifier: "mse", "mae", "bce" or "ssim"; the name of a Keras loss; any
            `keras.losses.Loss`; or the config of one as Keras serialises it.

    Returns:
        A `keras.losses.Loss`, or the function that a name stands for in Keras.

    Raises:
        ValueError: an unknown name, or something else than described here.
    """
    if isinstance(identifier, keras.losses.Loss):
        return identifier
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]()
    if isinstance(identifier, (str, dict)):
        try:
            return keras.losses.get(identifier)
        except ValueError:
            pass
    elif callable(identifier):
        return identifier
    raise ValueError(
        f"Unknown reconstruction loss: expected one of {sorted(_BY_NAME)}, or a Keras loss, its "
        f"name or config.{nearest(identifier, _BY_NAME)} Received: loss={identifier!r}"
    )


def image_losses(loss, y_true, y_pred):
    """The values of any loss, one a picture.

    Args:
        loss: as `get_reconstruction` returns it.
        y_true: float tensor `(B, H, W, C)`.
        y_pred: as `y_true`.

    Returns:
        float32 tensor `(B,)`.

    Raises:
        ValueError: a loss that is one value for the whole batch.
    """
    y_true, y_pred = _floats(y_true, y_pred)
    function = loss.call if isinstance(loss, keras.losses.Loss) else loss
    values = tf.cast(function(y_true, y_pred), tf.float32)
    if values.shape.rank == 0:
        raise ValueError(
            "A reconstruction loss must give one value a picture (or more, to be averaged), so "
            f"that pictures can be told apart. Received: loss={loss!r}, which gives a scalar"
        )
    return _mean(values)


def _floats(*tensors):
    return [tf.cast(tensor, tf.float32) for tensor in tensors]


def _mean(values):
    return tf.reduce_mean(values, axis=list(range(1, values.shape.rank)))


def _window_means(images):
    """Gaussian-weighted means over all windows that lie wholly within the images.

    As two products with banded matrices: on a CPU they and their gradients take a fraction of a
    depthwise convolution's time.
    """
    height, width = images.shape[1:3]
    rows = tf.einsum("ih,bhwc->biwc", _band(height), images)
    return tf.einsum("jw,biwc->bijc", _band(width), rows)


def _band(side):
    """Matrix `(side - WINDOW + 1, side)` whose rows are the window's weights, each moved by one."""
    taps = np.exp(-np.square(np.arange(WINDOW) - WINDOW // 2) / (2 * SIGMA**2))
    band = np.zeros((side - WINDOW + 1, side), np.float32)
    for row in range(len(band)):
        band[row, row : row + WINDOW] = taps / taps.sum()
    return tf.constant(band)
