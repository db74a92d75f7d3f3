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


_BY_NAME = {"non_saturating": NonSaturating}


def get(identifier):
    """Resolves a loss: an `AdversarialLoss`, its config as Keras serialises it, or a name.

    Args:
        identifier: `AdversarialLoss`, dict, or str ("non_saturating").

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
