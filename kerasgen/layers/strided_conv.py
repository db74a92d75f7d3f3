"""`Conv2D` and `Conv2DTranspose`: Keras' own, faster where a DCGAN spends its time.

Only in training are gradients their own: SavedModels can't hold those, and TensorFlow warns of
each as it loads.
"""

import keras
import tensorflow as tf

FEW_CHANNELS = 4  # of a picture: TensorFlow takes as long for them as for many
SMALL_SIDE = 4  # of a map, below which half-precision gradients of kernels are slow
BORDER = [[0, 0], [1, 1], [1, 1], [0, 0]]


@tf.custom_gradient
def halve(images, kernel):
    """`tf.nn.conv2d` with a 4x4 kernel, strides of 2 and "SAME" padding.

    Args:
        images: floats `(B, 2 * h, 2 * w, C)`.
        kernel: the same dtype, `(4, 4, C, F)`.

    Returns:
        `(B, h, w, F)`.
    """
    images, kernel = _here(images, kernel)

    def gradient(upstream):
        return double(upstream, kernel), _kernel_gradient(images, upstream, kernel)

    return tf.nn.conv2d(images, kernel, 2, "SAME"), gradient


@tf.custom_gradient
def double(features, kernel):
    """`tf.nn.conv2d_transpose` of the same kind.

    Args:
        features: floats `(B, h, w, F)`.
        kernel: the same dtype, `(4, 4, C, F)`.

    Returns:
        `(B, 2 * h, 2 * w, C)`.
    """
    features, kernel = _here(features, kernel)

    def gradient(upstream):
        return halve(upstream, kernel), _kernel_gradient(upstream, features, kernel)

    return _doubled(features, kernel), gradient


def _doubled(features, kernel):
    batch, height, width, _ = tf.unstack(tf.shape(features))
    channels = kernel.shape[2]
    if channels > FEW_CHANNELS:
        shape = (batch, 2 * height, 2 * width, channels)
        return tf.nn.conv2d_transpose(features, kernel, shape, 2, "SAME")
    # All four pixels of a square at once, which 2x2 features meet; squares lie across the border.
    squares = tf.reshape(kernel, (2, 2, 2, 2, channels, -1))  # a row is 2 * feature + place
    squares = tf.transpose(squares, (0, 2, 5, 1, 3, 4))[::-1, ::-1]
    squares = tf.reshape(squares, (2, 2, -1, 4 * channels))
    squares = tf.nn.conv2d(features, squares, 1, BORDER)
    return tf.nn.depth_to_space(squares, 2)[:, 1:-1, 1:-1]


def _here(*tensors):
    """The same in this graph: a gradient within `tf.cond` may not name those of the outer one."""
    return [tf.identity(tensor) for tensor in tensors]


def _kernel_gradient(images, features, kernel):
    """The kernel's gradient in either direction."""
    _, _, channels, filters = kernel.shape
    height, width = features.shape[1:3]
    small = height and width and max(height, width) <= SMALL_SIDE
    if kernel.dtype == tf.float32 or not small:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=images,
            filter_sizes=kernel.shape,
            out_backprop=features,
            strides=[1, 2, 2, 1],
            padding="SAME",
        )
    squares = tf.nn.space_to_depth(tf.pad(images, BORDER), 2)
    features = tf.reshape(features, (-1, filters))
    products = [
        tf.matmul(
            tf.reshape(squares[:, i : height + i, j : width + j], (-1, 4 * channels)),
            features,
            transpose_a=True,
        )
        for i in (0, 1)
        for j in (0, 1)
    ]
    products = tf.reshape(tf.stack(products), (2, 2, 2, 2, channels, filters))
    return tf.reshape(tf.transpose(products, (0, 2, 1, 3, 4, 5)), kernel.shape)


def _finish(layer, outputs):
    if layer.use_bias:
        outputs += layer.bias
    return outputs if layer.activation is None else layer.activation(outputs)


def _fits(layer, sides, multiple):
    return (
        layer.kernel_size == (4, 4)
        and layer.strides == (2, 2)
        and layer.padding == "same"
        and layer.data_format == "channels_last"
        and layer.dilation_rate == (1, 1)
        and all(side and side % multiple == 0 for side in sides)
    )


@keras.saving.register_keras_serializable("kerasgen")
class Conv2D(keras.layers.Conv2D):
    """Keras' `Conv2D`, with faster gradients in training for 4x4 kernels and strides of 2.

    The same values to rounding, under the same names. Where the kernel has 4x4 entries, strides
    are 2 and padding is "same", the gradient of pictures of up to 4 channels takes a third to
    three quarters of the time, the less the larger the batch, and in half precision that of the
    kernel about half of the time for features of up to 4x4.

    Args:
        **kwargs: as for `keras.layers.Conv2D`.

    Example:

    ```python
    x = kerasgen.layers.Conv2D(32, 4, strides=2, padding="same")(tf.ones((1, 32, 32, 1)))
    ```
    """

    def call(self, inputs, training=None):
        if not training or self.groups > 1 or not _fits(self, inputs.shape[1:3], 2):
            return super().call(inputs)
        return _finish(self, halve(inputs, tf.convert_to_tensor(self.kernel)))


@keras.saving.register_keras_serializable("kerasgen")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """Keras' `Conv2DTranspose`, faster for pictures by 4x4 kernels and strides of 2.

    The same values to rounding, under the same names. Where the kernel has 4x4 entries, strides
    are 2 and padding is "same", pictures of up to 4 channels take a third to three quarters of the
    time, the less the larger the batch, and in half precision gradients of kernels about half of
    the time for features of up to 4x4.

    Args:
        **kwargs: as for `keras.layers.Conv2DTranspose`.

    Example:

    ```python
    x = kerasgen.layers.Conv2DTranspose(1, 4, strides=2, padding="same")(tf.ones((1, 16, 16, 32)))
    ```
    """

    def call(self, inputs, training=None):
        if self.output_padding is not None or not _fits(self, inputs.shape[1:3], 1):
            return super().call(inputs)
        compute = double if training else _doubled
        return _finish(self, compute(inputs, tf.convert_to_tensor(self.kernel)))
