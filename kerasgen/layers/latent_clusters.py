"""`LatentClusters`: which of several clusters a latent vector stands for."""

import keras
import tensorflow as tf

TEMPERATURE = 0.1
RAREST = 1e-9  # keeps the logarithm of an empty cluster's share finite


def _all_in_the_first(shape, dtype=None):
    return tf.one_hot(0, shape[0], dtype=dtype)


@keras.saving.register_keras_serializable("kerasgen")
class LatentClusters(keras.layers.Layer):
    """Weights of clusters, nearly one for one of them, from a latent vector's first entries.

    Normal latents choose each cluster as often as its share says: the entries become Gumbel
    variables, to which the logarithms of the shares are added, and the largest wins. The softmax
    of the sums keeps the way from one cluster to another without jumps.

    Args:
        num_clusters: int.
        **kwargs: `name`, as for `keras.layers.Layer`; the dtype is float32.

    Attributes:
        shares: float32 weight `(num_clusters,)`, not trained. At first the first cluster
            has all.

    Input: floats `(B, D)`, D at least `num_clusters`. Output: float32 `(B, num_clusters)`.

    Example:

    ```python
    weights = kerasgen.layers.LatentClusters(10)(tf.random.normal((64, 100)))  # (64, 10)
    ```

    Reference:
        Jang, Gu, Poole: Categorical Reparameterization with Gumbel-Softmax, 2017.
    """

    def __init__(self, num_clusters, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_clusters = num_clusters

    def build(self, input_shape):
        self.shares = self.add_weight(
            name="shares",
            shape=(self.num_clusters,),
            initializer=_all_in_the_first,
            trainable=False,
        )

    def call(self, latents):
        normal = latents[:, : self.num_clusters]
        uniform = tf.clip_by_value(0.5 * tf.math.erfc(-normal / 2**0.5), 1e-6, 1 - 1e-6)
        gumbel = -tf.math.log(-tf.math.log(uniform))
        logits = gumbel + tf.math.log(tf.maximum(self.shares.value, RAREST))
        return tf.nn.softmax(logits / TEMPERATURE)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_clusters)

    def get_config(self):
        return {"num_clusters": self.num_clusters, **super().get_config()}
