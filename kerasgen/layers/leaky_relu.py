"""`LeakyReLU` whose gradient needs the output alone."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("kerasgen")
class LeakyReLU(keras.layers.LeakyReLU):
    """`keras.layers.LeakyReLU`, which TensorFlow's graph optimiser can join to a convolution.

    Outputs have the inputs' signs, so the gradient is known from them. Keras' layer asks for the
    inputs, where TensorFlow 2.21 joins convolution, bias and activation, misses what it has taken
    away, prints `remapper failed: INVALID_ARGUMENT` when a training begins, and joins nothing.
    Values and gradients, also second ones, are those of Keras' layer.

    Args:
        negative_slope: float above 0. Slope of what is below zero. Defaults to 0.3.
        **kwargs: `name` and `dtype`, as for `keras.layers.Layer`.

    Raises:
        ValueError: at a slope of 0 or less, by which outputs lose the inputs' signs.

    Input and output: floats of any shape.

    Example:

    ```python
    kerasgen.layers.LeakyReLU(0.2)(np.array([-1.0, 2.0], "float32"))  # [-0.2, 2.0]
    ```

    Reference:
        Maas, Hannun, Ng: Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013.
    """

    def __init__(self, negative_slope=0.3, **kwargs):
        super().__init__(negative_slope, **kwargs)
        if self.negative_slope <= 0:
            raise ValueError(
                "`negative_slope` must be above 0: use `keras.layers.ReLU` for a slope of 0. "
                f"Received: negative_slope={negative_slope}"
            )

    def call(self, inputs):
        @tf.custom_gradient
        def leaky(inputs):
            outputs = tf.nn.leaky_relu(inputs, self.negative_slope)

            def gradient(upstream):
                return tf.raw_ops.LeakyReluGrad(
                    gradients=upstream, features=outputs, alpha=self.negative_slope
                )

            return outputs, gradient

        return leaky(inputs)
