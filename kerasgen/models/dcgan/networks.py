"""The two networks of a DCGAN, for any image size that their stride divides."""

import keras
from keras import layers

from kerasgen.models.stages import num_stages, stage_filters

BATCH_NORM_MOMENTUM = 0.9  # a short training must not wait a thousand steps for its statistics


class _Seeds:
    """Hands out one initialiser seed after another, all derived from one."""

    def __init__(self, seed):
        self.seed = seed
        self.drawn = 0

    def normal(self, stddev=0.02):
        self.drawn += 1
        return keras.initializers.RandomNormal(stddev=stddev, seed=self.seed * 1009 + self.drawn)


def build_generator(image_shape, latent_dim, filters, num_classes, seed, dtype):
    """Builds the network from latent vectors to pictures in [-1, 1].

    Args:
        image_shape: tuple of 3 ints. Height, width and channels, sides in pixels.
        latent_dim: int. Length of the latent vector.
        filters: int. Width of the stage next to the picture; it doubles inwards.
        num_classes: int or None. With classes the network has a second input, the labels.
        seed: int. Every initial weight is derived from it.
        dtype: str or `keras.DTypePolicy`. The compute policy; the output is float32 always.

    Returns:
        A functional `keras.Model`: latents `(B, latent_dim)` (and int labels `(B,)`) to
        float32 pictures `(B, H, W, C)` in [-1, 1].
    """
    height, width, channels = image_shape
    stages = num_stages(image_shape)
    widths = stage_filters(filters, stages)[::-1]
    seeds = _Seeds(seed)

    latent = keras.Input((latent_dim,), name="latent")
    inputs, x = latent, latent
    if num_classes:
        label = keras.Input((), dtype="int32", name="label")
        inputs = [latent, label]
        embedding = layers.Embedding(
            num_classes, latent_dim, embeddings_initializer=seeds.normal(1.0), dtype=dtype
        )(label)
        x = layers.Concatenate(dtype=dtype)([latent, embedding])

    def normalise(x):
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, dtype=dtype)(x)
        return layers.ReLU(dtype=dtype)(x)

    base = (height >> stages, width >> stages, widths[0])
    x = layers.Dense(
        base[0] * base[1] * base[2], use_bias=False, kernel_initializer=seeds.normal(), dtype=dtype
    )(x)
    x = normalise(layers.Reshape(base, dtype=dtype)(x))
    for width_ in widths[1:]:
        x = layers.Conv2DTranspose(
            width_,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=seeds.normal(),
            dtype=dtype,
        )(x)
        x = normalise(x)
    x = layers.Conv2DTranspose(
        channels, 4, strides=2, padding="same", kernel_initializer=seeds.normal(), dtype=dtype
    )(x)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model(inputs, image, name="generator")


def build_discriminator(image_shape, filters, num_classes, seed, dtype):
    """Builds the network from pictures to one logit: the higher, the more real.

    With classes, the logit is that of a projection discriminator.

    Args:
        image_shape: tuple of 3 ints. Height, width and channels, sides in pixels.
        filters: int. Width of the stage next to the picture; it doubles inwards.
        num_classes: int or None. With classes the network has a second input, the labels.
        seed: int. Every initial weight is derived from it.
        dtype: str or `keras.DTypePolicy`. The compute policy; the logit is float32 always.

    Returns:
        A functional `keras.Model`: pictures `(B, H, W, C)` in [-1, 1] (and int labels `(B,)`)
        to float32 logits `(B, 1)`.

    Reference:
        Miyato, Koyama: cGANs with Projection Discriminator, 2018 (the conditional logit).
    """
    seeds = _Seeds(seed)
    image = keras.Input(image_shape, name="image")
    inputs, x = image, image
    for stage, width in enumerate(stage_filters(filters, num_stages(image_shape))):
        x = layers.Conv2D(
            width,
            4,
            strides=2,
            padding="same",
            use_bias=stage == 0,
            kernel_initializer=seeds.normal(),
            dtype=dtype,
        )(x)
        if stage:
            x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, dtype=dtype)(x)
        x = layers.LeakyReLU(0.2, dtype=dtype)(x)
    features = layers.Flatten(dtype=dtype)(x)
    logit = layers.Dense(1, kernel_initializer=seeds.normal(), dtype="float32")(features)
    if num_classes:
        label = keras.Input((), dtype="int32", name="label")
        inputs = [image, label]
        embedding = layers.Embedding(
            num_classes,
            features.shape[-1],
            embeddings_initializer=seeds.normal(),
            dtype="float32",
        )(label)
        match = layers.Dot(axes=1, dtype="float32")([features, embedding])
        logit = layers.Add(dtype="float32")([logit, match])
    return keras.Model(inputs, logit, name="discriminator")
