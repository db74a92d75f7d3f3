"""`DoubledConv2D`: pixels doubled and convolved, at the cost of a transposed convolution."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen.layers.strided_conv import double

# Which of a 3-kernel's entries meet a pixel's two copies, for each offset of a 4-kernel.
SPREAD = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], "float32")


@keras.saving.register_keras_serializable("kerasgen")
class DoubledConv2D(keras.layers.Conv2D):
    """Convolves 3x3 pixels of a picture of twice the size, without making that picture.

    The same as `UpSampling2D(2)` (nearest) followed by `Conv2D(filters, 3, padding="same")`, to
    rounding, with the same weights. Doubled pixels are alike in twos, so that of nine products four
    are enough: the layer adds up the kernel's entries that meet the same pixel, and computes a
    transposed convolution with the 4x4 kernel that comes of it. Unlike a free one it can't
    draw checkerboards of constant features.

    Args:
        filters: int. Channels of the output.
        **kwargs: as for `keras.layers.Conv2D`, but for kernel size, strides and padding.

    Input: floats `(B, H, W, C)`, channels last. Output: `(B, 2 * H, 2 * W, filters)`.

    Example:

    ```python
    x = kerasgen.layers.DoubledConv2D(32)(tf.ones((1, 8, 8, 64)))  # (1, 16, 16, 32)
    ```

    Reference:
        Odena, Dumoulin, Olah: Deconvolution and Checkerboard Artifacts, 2016 (the method). Shi et
        al.: Is the deconvolution layer the same as a convolutional layer?, 2016 (the cost).
    """

    def __init__(self, filters, **kwargs):
        fixed = {"kernel_size": 3, "strides": 1, "padding": "same", "data_format": "channels_last"}
        super().__init__(filters, **{**kwargs, **fixed})

    def convolution_op(self, inputs, kernel):
        kernel = tf.convert_to_tensor(kernel)
        spread = tf.cast(SPREAD, kernel.dtype)
        return double(inputs, tf.einsum("ai,bj,ijcf->abfc", spread, spread, kernel))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        doubled = [None if side is None else 2 * side for side in (height, width)]
        return (batch, *doubled, self.filters)
