"""`SpectralNorm`: a layer whose kernel is used divided by its largest singular value."""

import keras
import tensorflow as tf

EPSILON = 1e-12


@keras.saving.register_keras_serializable("kerasgen")
class SpectralNorm(keras.layers.Wrapper):
    """Uses a layer's kernel divided by its spectral norm, so that the layer stretches by 1 at most.

    The kernel itself is left alone: it is what the optimizer trains, through the division. (Keras'
    `SpectralNormalization` overwrites it at each call.) The norm is that of the kernel as a matrix
    of outputs by everything else, found by power iteration: one a training call, or one a call
    of `iterate`. Calls with `training=False` change nothing.

    Args:
        layer: a layer with a `kernel`: Dense, a convolution, or a transposed one.
        iterate_in_calls: bool. Whether training calls iterate. Where several belong to one step
            of training, they are to use the same norm: then the step calls `iterate`. Defaults
            to True.
        seed: int. What the first vector of the power iteration is drawn from. Defaults to 0.
        **kwargs: `name`, as for `keras.layers.Layer`. The norm is always computed in float32; the
            layer within keeps its own dtype.

    Example:

    ```python
    x = SpectralNorm(keras.layers.Conv2D(64, 3, padding="same"))(x)
    ```

    Reference:
        Miyato, Kataoka, Koyama, Yoshida: Spectral Normalization for Generative Adversarial
        Networks, 2018.
    """

    def __init__(self, layer, iterate_in_calls=True, seed=0, **kwargs):
        super().__init__(layer, **{**kwargs, "dtype": "float32"})
        self.autocast = False  # neither the inputs nor the kernel's own precision change
        self.iterate_in_calls = iterate_in_calls
        self.seed = seed

    def build(self, input_shape=None):
        super().build(input_shape)
        self.left = self.add_weight(
            name="left",
            shape=(1, self._matrix().shape[0]),
            initializer=keras.initializers.RandomNormal(seed=self.seed),
            trainable=False,
            aggregation="mean",
        )

    def iterate(self):
        """Does one power iteration."""
        matrix = tf.stop_gradient(self._matrix())
        self.left.assign(_unit(_unit(self.left.value @ matrix) @ tf.transpose(matrix)))

    def call(self, inputs, training=False):
        if training and self.iterate_in_calls:
            self.iterate()
        matrix, left = self._matrix(), _unit(self.left.value)
        right = _unit(left @ tf.stop_gradient(matrix))
        norm = tf.reduce_sum((left @ matrix) * right)
        kernel = self.layer.kernel
        with keras.StatelessScope([(kernel, kernel.value / norm)]):
            return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {
            "iterate_in_calls": self.iterate_in_calls,
            "seed": self.seed,
            **super().get_config(),
        }

    def _matrix(self):
        """The kernel as a float32 matrix, a row for each output channel."""
        kernel = self.layer.kernel.value
        if isinstance(self.layer, keras.layers.Conv2DTranspose):
            kernel = tf.transpose(kernel, [0, 1, 3, 2])
        return tf.transpose(tf.reshape(kernel, [-1, kernel.shape[-1]]))


def _unit(rows):
    return rows / tf.maximum(tf.norm(rows), EPSILON)
