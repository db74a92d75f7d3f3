"""`ConditionalBatchNormalization`: a scale and a shift for each class."""

import keras
import tensorflow as tf

from kerasgen.layers.batch_normalization import BatchNormalization


@keras.saving.register_keras_serializable("kerasgen")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch normalisation whose scale and shift depend on a label.

    The statistics are those of the whole batch. Called on a list: features `(B, ..., C)` and
    int labels `(B,)`, or float weights of the classes `(B, num_classes)`; returns features of the
    same shape.

    Args:
        num_classes: int.
        momentum: float. Of the moving statistics. Defaults to 0.99.
        epsilon: float. Added to the variance. Defaults to 1e-3.
        synchronized: bool. Whether the statistics are those of all replicas' batches. Defaults to
            False.
        **kwargs: `name` and `dtype`, as for `keras.layers.Layer`.

    Example:

    ```python
    x = ConditionalBatchNormalization(10)([x, labels])
    ```

    Reference:
        Dumoulin, Shlens, Kudlur: A Learned Representation for Artistic Style, 2017. Miyato,
        Koyama: cGANs with Projection Discriminator, 2018.
    """

    def __init__(self, num_classes, momentum=0.99, epsilon=1e-3, synchronized=False, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized
        self.norm = BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            synchronized=synchronized,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        features, _ = input_shape
        self.norm.build(features)
        shape = (self.num_classes, features[-1])
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")
        self.shift = self.add_weight(name="shift", shape=shape, initializer="zeros")

    def call(self, inputs, training=False):
        features, labels = inputs
        features = self.norm(features, training=training)
        new_shape = [-1, *[1] * (features.shape.rank - 2), features.shape[-1]]

        def choose(table):
            table = tf.cast(table, features.dtype)
            if labels.dtype.is_integer:
                return tf.gather(table, labels)
            return tf.cast(labels, features.dtype) @ table

        scale, shift = (tf.reshape(choose(table), new_shape) for table in (self.scale, self.shift))
        return features * scale + shift

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {
            "num_classes": self.num_classes,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
            **super().get_config(),
        }
