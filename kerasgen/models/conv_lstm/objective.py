"""The loss of predicted frames: one of the zoo's by name, any of Keras', or a weighted sum."""

import math
import numbers

import keras
import tensorflow as tf

from kerasgen.losses import get_reconstruction
from kerasgen.losses.reconstruction import ReconstructionLoss, image_losses


@keras.saving.register_keras_serializable("kerasgen")
class WeightedLoss(ReconstructionLoss):
    """A weighted sum of reconstruction losses, one value a picture.

    Args:
        weights: dict of a loss's name ("mse", "mae", "bce", "ssim", or a Keras loss) to its
            weight, a positive number, such as `{"mse": 1.0, "ssim": 0.1}`.
        name: str. Defaults to "weighted".
        **kwargs: `reduction` and `dtype` as for `keras.losses.Loss`.

    Raises:
        ValueError: no losses, an unknown one, or a weight that isn't positive.
    """

    def __init__(self, weights, name="weighted", **kwargs):
        super().__init__(name=name, **kwargs)
        if not weights or not all(_is_weight(weight) for weight in weights.values()):
            raise ValueError(
                "A weighted sum needs at least one loss, each with a positive number as weight. "
                f"Received: loss={weights!r}"
            )
        self.weights = {str(key): float(weight) for key, weight in weights.items()}
        self.losses = {key: get_reconstruction(key) for key in self.weights}

    def check_shape(self, image_shape):
        for loss in self.losses.values():
            if isinstance(loss, ReconstructionLoss):
                loss.check_shape(image_shape)

    def call(self, y_true, y_pred):
        return tf.add_n(
            [
                weight * image_losses(self.losses[key], y_true, y_pred)
                for key, weight in self.weights.items()
            ]
        )

    def get_config(self):
        return {"weights": self.weights, **super().get_config()}


def _is_weight(value):
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and 0 < value < math.inf


def get_frame_loss(identifier):
    """Resolves the loss of frames.

    Args:
        identifier: what `kerasgen.losses.get_reconstruction` takes, or a dict of such names to
            their weights.

    Returns:
        A `keras.losses.Loss`, or the function that a name stands for in Keras.

    Raises:
        ValueError: an unknown name, or something else than described here.
    """
    if isinstance(identifier, dict) and "class_name" not in identifier:
        return WeightedLoss(identifier)
    return get_reconstruction(identifier)
