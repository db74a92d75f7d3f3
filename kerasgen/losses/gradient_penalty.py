"""Gradient penalties: what keeps a discriminator from becoming too steep."""

import keras
import tensorflow as tf

from kerasgen.checks import number, whole
from kerasgen.names import nearest

# Under the square root, whose slope at zero is infinite.
EPSILON = 1e-12


class GradientPenalty:
    """A penalty on the gradient of the discriminator's logits with respect to pictures.

    Subclasses say where the gradient is taken and what is made of it. The model computes the
    gradients, from the logits that it has anyway for real and fake pictures.

    Args:
        weight: float, at least 0. Factor of the penalty in the discriminator's loss.

    Attributes:
        places: tuple of str. Where gradients are taken: "real" and "fake" pictures, or "between".
        interval: int. Every how many steps the penalty is applied, as many times as heavy.
    """

    places = ()
    interval = 1

    def __init__(self, weight):
        number("weight", weight)
        self.weight = float(weight)

    def values(self, gradients):
        """The penalty of gradients at one place.

        Args:
            gradients: float tensor `(B, H, W, C)`, of the logits with respect to the pictures.

        Returns:
            float32 tensor `(B,)`, the weight included.
        """
        raise NotImplementedError

    def get_config(self):
        """Arguments to build the penalty again."""
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config):
        """Builds the penalty from `get_config()`'s result."""
        return cls(**config)


class _ZeroCentred(GradientPenalty):
    """Half the squared length of the gradient."""

    def __init__(self, weight=1.0):
        super().__init__(weight)

    def values(self, gradients):
        return self.weight / 2 * _squared_lengths(gradients)


@keras.saving.register_keras_serializable("kerasgen")
class R1(_ZeroCentred):
    """Half the squared length of the gradient at real pictures. Named "r1".

    Args:
        weight: float, at least 0. Defaults to 1.
        interval: int. Applied only every so many steps and then so many times as heavily, which
            saves most of its time. Sound for losses that judge pictures alone; relativistic ones
            need it at each step. Defaults to 1.

    Reference:
        Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge?, 2018.
        Karras, Laine, Aittala, Hellsten, Lehtinen, Aila: Analyzing and Improving the Image
        Quality of StyleGAN, 2020 (the interval).
    """

    places = ("real",)

    def __init__(self, weight=1.0, interval=1):
        super().__init__(weight)
        whole("interval", interval, 1)
        self.interval = int(interval)

    def get_config(self):
        return {**super().get_config(), "interval": self.interval}


@keras.saving.register_keras_serializable("kerasgen")
class R2(_ZeroCentred):
    """Half the squared length of the gradient at fake pictures. Named "r2".

    Args:
        weight: float, at least 0. Defaults to 1.

    Reference:
        As for `R1`.
    """

    places = ("fake",)


@keras.saving.register_keras_serializable("kerasgen")
class R1R2(_ZeroCentred):
    """`R1` and `R2` with the same weight: what the relativistic loss wants. Named "r1_r2".

    Args:
        weight: float, at least 0. Defaults to 1.

    Reference:
        Huang, Gokaslan, Kuleshov, Tompkin: The GAN is Dead; Long Live the GAN!, 2024.
    """

    places = ("real", "fake")


@keras.saving.register_keras_serializable("kerasgen")
class WassersteinGradientPenalty(GradientPenalty):
    """The squared difference of the gradient's length from 1, at pictures between. Named "wgan_gp".

    They lie on straight lines between real and fake pictures, at a place that is uniformly drawn.

    Args:
        weight: float, at least 0. Defaults to 10.

    Reference:
        Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville: Improved Training of Wasserstein GANs,
        2017.
    """

    places = ("between",)

    def __init__(self, weight=10.0):
        super().__init__(weight)

    def values(self, gradients):
        return self.weight * (tf.sqrt(_squared_lengths(gradients) + EPSILON) - 1) ** 2


_BY_NAME = {"r1": R1, "r2": R2, "r1_r2": R1R2, "wgan_gp": WassersteinGradientPenalty}


def get_penalty(identifier):
    """Resolves a penalty: a `GradientPenalty`, its config as Keras serialises it, a name, or None.

    Args:
        identifier: `GradientPenalty`, dict, str ("r1", "r2", "r1_r2" or "wgan_gp"), or None.

    Returns:
        A `GradientPenalty`, or None.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if identifier is None or isinstance(identifier, GradientPenalty):
        return identifier
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]()
    raise ValueError(
        f"Unknown gradient penalty: expected a GradientPenalty, None or one of {sorted(_BY_NAME)}."
        f"{nearest(identifier, _BY_NAME)} Received: penalty={identifier!r}"
    )


def _squared_lengths(gradients):
    gradients = tf.cast(gradients, tf.float32)
    return tf.reduce_sum(gradients**2, axis=list(range(1, gradients.shape.rank)))
