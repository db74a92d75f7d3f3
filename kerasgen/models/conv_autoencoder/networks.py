"""Encoder and decoder of a convolutional autoencoder, for any size that their stride divides.

Without normalisation: with batch normalisation, the same time of training left a squared error a
fifth larger on Fashion-MNIST, and pictures would depend on their batch.
"""

import keras
from keras import layers

from kerasgen.layers import Conv2D, Conv2DTranspose, LeakyReLU, SpectralNorm
from kerasgen.models.stages import num_stages, stage_filters


class _Initializers:
    """Hands out one initialiser after another, their seeds all derived from one."""

    def __init__(self, seed):
        self.seed = seed
        self.drawn = 0

    def __call__(self, gain=2.0, transposed=False):
        self.drawn += 1
        # Keras takes a transposed convolution's outputs for its inputs, and doesn't know that
        # with stride 2 every output pixel sees a quarter of the kernel.
        mode, scale = ("fan_out", 4 * gain) if transposed else ("fan_in", gain)
        return keras.initializers.VarianceScaling(
            scale, mode, "truncated_normal", seed=self.seed * 1009 + self.drawn
        )


def _activation(x, dtype):
    return LeakyReLU(0.2, dtype=dtype)(x)


def build_encoder(image_shape, outputs, filters, seed, dtype):
    """Builds the network from pictures to vectors.

    Args:
        image_shape: tuple of 3 ints. Height, width and channels, sides in pixels.
        outputs: int. Length of the vector.
        filters: int. Width of the stage next to the picture; it doubles inwards.
        seed: int. Every initial weight is derived from it.
        dtype: str or `keras.DTypePolicy`. The compute policy; the output is float32 always.

    Returns:
        A functional `keras.Model`: pictures `(B, H, W, C)` in [-1, 1] to float32 `(B, outputs)`.
    """
    initializer = _Initializers(seed)
    image = x = keras.Input(image_shape, name="image")
    for width in stage_filters(filters, num_stages(image_shape)):
        x = Conv2D(
            width, 4, strides=2, padding="same", kernel_initializer=initializer(), dtype=dtype
        )(x)
        x = _activation(x, dtype)
    x = layers.Flatten(dtype=dtype)(x)
    x = layers.Dense(outputs, kernel_initializer=initializer(1.0), dtype=dtype)(x)
    code = layers.Activation("linear", dtype="float32", name="code")(x)
    return keras.Model(image, code, name="encoder")


def build_decoder(image_shape, latent_dim, filters, seed, dtype, spectral_norm=False):
    """Builds the network from codes to pictures in [-1, 1], the encoder's mirror image.

    Args:
        image_shape: tuple of 3 ints. Height, width and channels, sides in pixels.
        latent_dim: int. Length of the code.
        filters: int. Width of the stage next to the picture; it doubles inwards.
        seed: int. Every initial weight is derived from it.
        dtype: str or `keras.DTypePolicy`. The compute policy; the output is float32 always.
        spectral_norm: bool. Whether every kernel is normalised. Defaults to False.

    Returns:
        A functional `keras.Model`: codes `(B, latent_dim)` to float32 pictures `(B, H, W, C)`.
    """
    initializer = _Initializers(seed)
    stages = num_stages(image_shape)
    widths = stage_filters(filters, stages)[::-1]
    base = (image_shape[0] >> stages, image_shape[1] >> stages, widths[0])

    def normalised(layer):
        return SpectralNorm(layer, seed=initializer.drawn) if spectral_norm else layer

    code = x = keras.Input((latent_dim,), name="code")
    dense = layers.Dense(base[0] * base[1] * base[2], kernel_initializer=initializer(), dtype=dtype)
    x = _activation(layers.Reshape(base, dtype=dtype)(normalised(dense)(x)), dtype)
    # A stride of 2 divides the side of 4: every pixel is made of as many others, and there is no
    # checkerboard.
    for width in widths[1:]:
        x = normalised(_upwards(width, initializer(transposed=True), dtype))(x)
        x = _activation(x, dtype)
    x = normalised(_upwards(image_shape[2], initializer(1.0, transposed=True), dtype))(x)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model(code, image, name="decoder")


def _upwards(width, initializer, dtype):
    return Conv2DTranspose(
        width, 4, strides=2, padding="same", kernel_initializer=initializer, dtype=dtype
    )
