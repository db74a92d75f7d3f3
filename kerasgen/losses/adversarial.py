"""Adversarial losses: what generator and discriminator minimise, given the logits."""

import keras
import tensorflow as tf

from kerasgen.names import nearest


class AdversarialLoss:
    """Two sides of one game. Subclasses say what each side minimises.

    Both methods take logits `(B, 1)` and return one float32 value an example, `(B,)`, which the
    model averages. The generator's side sees the real logits too: relativistic losses need them.
    """

    def discriminator(self, real_logits, fake_logits):
        """What the discriminator minimises, float32 `(B,)`."""
        raise NotImplementedError

    def generator(self, real_logits, fake_logits):
        """What the generator minimises, float32 `(B,)`."""
        raise NotImplementedError

    def scores(self, real_logits, fake_logits):
        """How real both kinds of pictures look to the discriminator, 0.5 where it can't tell.

        Returns:
            Tuple of two float32 tensors `(B,)` in [0, 1]: of the real and of the fake pictures.
        """
        return tf.sigmoid(_flat(real_logits)), tf.sigmoid(_flat(fake_logits))

    def get_config(self):
        """Arguments to build the loss again."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Builds the loss from `get_config()`'s result."""
        return cls(**config)


@keras.saving.register_keras_serializable("kerasgen")
class NonSaturating(AdversarialLoss):
    """Cross-entropy for the discriminator, and its non-saturating form for the generator.

    The discriminator minimises `softplus(-real) + softplus(fake)`, the generator
    `softplus(-fake)`. Where no side can win both are at 2 ln 2 = 1.386 and ln 2 = 0.693 nats.

    Reference:
        Goodfellow et al.: Generative Adversarial Nets, 2014.
    """

    def discriminator(self, real_logits, fake_logits):
        real, fake = _flat(real_logits), _flat(fake_logits)
        return tf.nn.softplus(-real) + tf.nn.softplus(fake)

    def generator(self, real_logits, fake_logits):
        return tf.nn.softplus(-_flat(fake_logits))


@keras.saving.register_keras_serializable("kerasgen")
class LeastSquares(AdversarialLoss):
    """Half the squared distance of the logits from 1 for real pictures and 0 for fake ones.

    The discriminator minimises `((real - 1)² + fake²) / 2`, the generator `(fake - 1)² / 2`.

    Reference:
        Mao, Li, Xie, Lau, Wang, Smolley: Least Squares Generative Adversarial Networks, 2017.
    """

    def discriminator(self, real_logits, fake_logits):
        return ((_flat(real_logits) - 1) ** 2 + _flat(fake_logits) ** 2) / 2

    def generator(self, real_logits, fake_logits):
        return (_flat(fake_logits) - 1) ** 2 / 2

    def scores(self, real_logits, fake_logits):
        logits = _flat(real_logits), _flat(fake_logits)
        return tuple(tf.clip_by_value(values, 0.0, 1.0) for values in logits)


@keras.saving.register_keras_serializable("kerasgen")
class Hinge(AdversarialLoss):
    """The discriminator is content where logits are beyond 1 on the right side.

    It minimises `max(0, 1 - real) + max(0, 1 + fake)`, the generator `-fake`.

    Reference:
        Lim, Ye: Geometric GAN, 2017.
    """

    def discriminator(self, real_logits, fake_logits):
        return tf.nn.relu(1 - _flat(real_logits)) + tf.nn.relu(1 + _flat(fake_logits))

    def generator(self, real_logits, fake_logits):
        return -_flat(fake_logits)


@keras.saving.register_keras_serializable("kerasgen")
class Wasserstein(AdversarialLoss):
    """The difference of the mean logits, an estimate of the Wasserstein distance.

    The discriminator, here a critic, minimises `fake - real`, the generator `-fake`. The critic
    has to be kept from growing without limit: by the gradient penalty "wgan_gp", or by spectral
    normalisation.

    Reference:
        Arjovsky, Chintala, Bottou: Wasserstein Generative Adversarial Networks, 2017.
    """

    def discriminator(self, real_logits, fake_logits):
        return _flat(fake_logits) - _flat(real_logits)

    def generator(self, real_logits, fake_logits):
        return -_flat(fake_logits)


@keras.saving.register_keras_serializable("kerasgen")
class RelativisticPaired(AdversarialLoss):
    """Each real picture is compared with a fake one: which of both looks more real?

    The discriminator minimises `softplus(fake - real)`, the generator `softplus(real - fake)`.
    It has fewer bad minima than losses that judge pictures alone, and wants gradient penalties on
    both sides ("r1_r2") to converge.

    Reference:
        Jolicoeur-Martineau: The Relativistic Discriminator, 2018. Sun, Fang, Schwing: Towards a
        Better Global Loss Landscape of GANs, 2020. Huang, Gokaslan, Kuleshov, Tompkin: The GAN is
        Dead; Long Live the GAN!, 2024.
    """

    def discriminator(self, real_logits, fake_logits):
        return tf.nn.softplus(_flat(fake_logits) - _flat(real_logits))

    def generator(self, real_logits, fake_logits):
        return tf.nn.softplus(_flat(real_logits) - _flat(fake_logits))

    def scores(self, real_logits, fake_logits):
        real = tf.sigmoid(_flat(real_logits) - _flat(fake_logits))
        return real, 1 - real


_BY_NAME = {
    "non_saturating": NonSaturating,
    "least_squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
    "relativistic_paired": RelativisticPaired,
}


def get(identifier):
    """Resolves a loss: an `AdversarialLoss`, its config as Keras serialises it, or a name.

    Args:
        identifier: `AdversarialLoss`, dict, or str: "non_saturating", "least_squares", "hinge",
            "wasserstein" or "relativistic_paired".

    Returns:
        An `AdversarialLoss`.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    if isinstance(identifier, AdversarialLoss):
        return identifier
    if identifier in _BY_NAME:
        return _BY_NAME[identifier]()
    raise ValueError(
        f"Unknown adversarial loss: expected an AdversarialLoss or one of {sorted(_BY_NAME)}."
        f"{nearest(identifier, _BY_NAME)} Received: loss={identifier!r}"
    )


def _flat(logits):
    return tf.reshape(tf.cast(logits, tf.float32), [-1])
