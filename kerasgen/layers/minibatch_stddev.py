"""`MinibatchStdDev`: how different the pictures of a batch are, as one more channel."""

import keras
import tensorflow as tf

EPSILON = 1e-8


@keras.saving.register_keras_serializable("kerasgen")
class MinibatchStdDev(keras.layers.Layer):
    """Appends a channel that says how much the pictures of a group differ.

    The standard deviation of each feature over the group, averaged over the features: a
    discriminator that sees it knows generators that always draw the same. A batch is split into
    groups of neighbours; the last one may be smaller. Computed in float32.

    Args:
        group_size: int. Pictures of a group. Defaults to 4.
        **kwargs: `name` and `dtype`, as for `keras.layers.Layer`.

    Reference:
        Karras, Aila, Laine, Lehtinen: Progressive Growing of GANs, 2018.
    """

    def __init__(self, group_size=4, **kwargs):
        super().__init__(**kwargs)
        self.group_size = group_size

    def call(self, inputs):
        features = tf.cast(inputs, tf.float32)
        batch = tf.shape(features)[0]
        groups = tf.range(batch) // self.group_size
        axes = list(range(1, features.shape.rank))
        mean = tf.gather(tf.math.segment_mean(features, groups), groups)
        variance = tf.math.segment_mean((features - mean) ** 2, groups)
        deviation = tf.reduce_mean(tf.sqrt(variance + EPSILON), axis=axes, keepdims=True)
        shape = tf.concat([tf.shape(features)[:-1], [1]], axis=0)
        channel = tf.broadcast_to(tf.gather(deviation, groups), shape)
        return tf.concat([inputs, tf.cast(channel, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return {"group_size": self.group_size, **super().get_config()}
