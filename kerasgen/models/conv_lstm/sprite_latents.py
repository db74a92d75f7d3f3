"""The latents of a model with sprites: what pushes each of them, beyond what the past decides."""

import keras
import tensorflow as tf

from kerasgen.models.conv_lstm.sprites import FACTS, WIDTH

# Of the log-variances of latents, far beyond what is of use: their exponential must be finite.
LOG_VARIANCE = 10.0


class SpriteLatents(keras.layers.Layer):
    """Distributions of each sprite's latent, and what a latent does: it changes the speed.

    The prior goes by what is known of the sprite. The posterior also looks, where the sprite is,
    at the frame and the one that follows. All in float32.

    Args:
        count: int. Number of sprites.
        patches_shape: tuple of 3 ints, of folded frames.
        latent_dim: int. Length of a sprite's latent.
        seed: int. What the initial weights are drawn from.

    Reference:
        Denton, Fergus: Stochastic Video Generation with a Learned Prior, 2018, whose latents are
        of whole frames.
    """

    def __init__(self, count, patches_shape, latent_dim, seed):
        super().__init__(dtype="float32", autocast=False, name="sprites_latents")
        self.count = count
        self.latent_dim = latent_dim
        self.number = 0

        def build(kind, name, inputs, outputs, *arguments, scale=2.0, **settings):
            self.number += 1
            initializer = keras.initializers.VarianceScaling(
                scale, seed=1009 * seed + 800 + self.number
            )
            # By their names the default optimizer knows what isn't for Muon.
            layer = kind(
                outputs,
                *arguments,
                kernel_initializer=initializer,
                dtype="float32",
                name=f"sprites_{name}",
                **settings,
            )
            layer.build((*[None] * (1 if kind is keras.layers.Dense else 3), inputs))
            return layer

        def network(name, inputs):
            return [
                build(keras.layers.Dense, f"{name}_features", inputs, WIDTH, activation="relu"),
                build(keras.layers.Dense, name, WIDTH, 2 * latent_dim, scale=0.1),
            ]

        self.views = [
            build(
                keras.layers.Conv2D,
                f"view_{number}",
                inputs,
                WIDTH,
                5,
                padding="same",
                activation="relu",
            )
            for number, inputs in enumerate((3 * patches_shape[2], WIDTH))
        ]
        self.prior_layers = network("prior", FACTS)
        self.posterior_layers = network("posterior", FACTS + WIDTH)
        self.speed = build(keras.layers.Dense, "push", latent_dim, 2, scale=1.0, use_bias=False)
        self.built = True

    def prior(self, facts):
        """What a latent may be.

        Args:
            facts: float32 tensor `(B * count, FACTS)`, as `Sprites.move` knows them.

        Returns:
            Tuple of mean and log-variance, float32 `(B * count, latent_dim)` each.
        """
        return _distribution(self.prior_layers, facts)

    def posterior(self, facts, where, patches, target):
        """What a latent was.

        Args:
            facts: as for `prior`.
            where: float32 tensor `(B, h, w, count)`. The share of each position in a sprite.
            patches: float32 tensor `(B, h, w, c)` in [-1, 1], the frame.
            target: the same of the next one.

        Returns:
            As `prior`.
        """
        x = tf.concat([patches + 1, target + 1, 2 * (target - patches)], axis=-1)
        for view in self.views:
            x = view(x)
        seen = tf.reshape(tf.einsum("bhwk,bhwc->bkc", where, x), (-1, WIDTH))
        return _distribution(self.posterior_layers, tf.concat([seen, facts], axis=-1))

    def push(self, latents):
        """Changes of speed: `(B * count, latent_dim)` to `(B, count, 2)`, pixels a frame of 64."""
        return tf.reshape(self.speed(latents), (-1, self.count, 2))


def _distribution(layers, x):
    for layer in layers:
        x = layer(x)
    return as_distribution(x)


def as_distribution(output):
    """Mean and log-variance of latents, halves of a layer's output `(B, 2 * latent_dim)`."""
    mean, log_variance = tf.split(output, 2, axis=-1)
    return mean, tf.clip_by_value(log_variance, -LOG_VARIANCE, LOG_VARIANCE)
