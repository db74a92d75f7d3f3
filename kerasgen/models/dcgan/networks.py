"""The two networks of a DCGAN, for any image size that their stride divides."""

import keras
from keras import layers

from kerasgen.layers import (
    BatchNormalization,
    ConditionalBatchNormalization,
    Conv2D,
    Conv2DTranspose,
    DoubledConv2D,
    LatentClusters,
    LeakyReLU,
    MinibatchStdDev,
    SpectralNorm,
)
from kerasgen.models.stages import num_stages, stage_filters

BATCH_NORM_MOMENTUM = 0.9  # a short training must not wait a thousand steps for its statistics
UPSAMPLINGS = ("transposed", "resize")
NORMALIZATIONS = ("batch", "spectral", None)


class _Parts:
    """Layers that are initialised, computed and named as all of a network are.

    Names are fixed: Keras' own count all layers of the process, and graphs are rounded by them.

    Args:
        seed: int. Every initial weight is derived from it.
        dtype: str or `keras.DTypePolicy`.
        synchronized: bool. Whether batch normalisation is by the batches of all replicas.
        spectral: bool. Whether kernels are divided by their spectral norm.
    """

    def __init__(self, seed, dtype, synchronized, spectral=False):
        self.seed = seed * 1009
        self.dtype = dtype
        self.synchronized = synchronized
        self.spectral = spectral
        self.count = 0

    def __call__(self, kind, *args, **kwargs):
        self.count += 1
        name = f"{kind.__name__.lower()}_{self.count}"
        return kind(*args, name=name, **{"dtype": self.dtype, **kwargs})

    def normal(self):
        self.seed += 1
        return keras.initializers.RandomNormal(stddev=0.02, seed=self.seed)

    def convolution(self, filters, kernel_size, stride=1, bias=True, transposed=False):
        return self._normed(
            self(
                Conv2DTranspose if transposed else Conv2D,
                filters,
                kernel_size,
                strides=stride,
                padding="same",
                use_bias=bias,
                kernel_initializer=self.normal(),
            )
        )

    def doubled_convolution(self, filters, bias=True):
        return self(DoubledConv2D, filters, use_bias=bias, kernel_initializer=self.normal())

    def dense(self, units, bias=True, **kwargs):
        return self._normed(
            self(layers.Dense, units, use_bias=bias, kernel_initializer=self.normal(), **kwargs)
        )

    def embedding(self, num_classes, size, **kwargs):
        return self(
            layers.Embedding, num_classes, size, embeddings_initializer=self.normal(), **kwargs
        )

    def relu(self, slope=0.0):
        return self(LeakyReLU, slope) if slope else self(layers.ReLU)

    def batch_norm(self, num_classes=None):
        kwargs = {"momentum": BATCH_NORM_MOMENTUM, "synchronized": self.synchronized}
        if num_classes:
            return self(ConditionalBatchNormalization, num_classes, **kwargs)
        return self(BatchNormalization, **kwargs)

    def _normed(self, layer):
        if not self.spectral:
            return layer
        return SpectralNorm(layer, iterate_in_calls=False, seed=self.seed, name=f"sn_{layer.name}")


def build_generator(
    image_shape,
    latent_dim,
    filters,
    num_classes=None,
    num_clusters=1,
    upsampling="transposed",
    residual=False,
    seed=0,
    dtype="float32",
    synchronized=False,
):
    """Builds the network from latent vectors to pictures in [-1, 1].

    Args:
        image_shape: tuple of 3 ints. Height, width and channels, sides in pixels.
        latent_dim: int. Length of the latent vector.
        filters: int. Width of the stage next to the picture; it doubles inwards.
        num_classes: int or None. With classes the network has a second input, the labels: each
            batch normalisation has a scale and a shift for each. Labels go nowhere else: beside
            the latent they would be what makes the pictures of a batch differ, and batch
            normalisation would no longer keep those of a class apart. Defaults to None.
        num_clusters: int. With more than one, the first entries of the latent choose one
            (`LatentClusters`), which takes the label's place. Defaults to 1.
        upsampling: "transposed", each stage is a transposed convolution; "resize", each is a
            `DoubledConv2D`. Defaults to "transposed".
        residual: bool. Whether each stage is a residual block, whose upsampling is "resize".
            Defaults to False.
        seed: int. Every initial weight is derived from it. Defaults to 0.
        dtype: str or `keras.DTypePolicy`. The compute policy; the output is float32 always.
            Defaults to "float32".
        synchronized: bool. Whether batch normalisation is by the batches of all replicas.
            Defaults to False.

    Returns:
        A functional `keras.Model`: latents `(B, latent_dim)` (and int labels `(B,)`) to
        float32 pictures `(B, H, W, C)` in [-1, 1].
    """
    height, width, channels = image_shape
    stages = num_stages(image_shape)
    widths = stage_filters(filters, stages)[::-1]
    make = _Parts(seed, dtype, synchronized)

    latent = keras.Input((latent_dim,), name="latent")
    label = keras.Input((), dtype="int32", name="label") if num_classes else None
    inputs, x = [latent, label] if num_classes else latent, latent
    condition = make(LatentClusters, num_clusters)(latent) if num_clusters > 1 else label

    def normalise(x):
        if condition is not None:
            return make.relu()(make.batch_norm(num_classes or num_clusters)([x, condition]))
        return make.relu()(make.batch_norm()(x))

    def upsample(x, width_, bias=False):
        if upsampling == "transposed":
            return make.convolution(width_, 4, stride=2, bias=bias, transposed=True)(x)
        return make.doubled_convolution(width_, bias=bias)(x)

    base = (height >> stages, width >> stages, widths[0])
    x = make.dense(base[0] * base[1] * base[2], bias=residual)(x)
    x = make(layers.Reshape, base)(x)
    if residual:
        for width_ in [*widths[1:], filters]:
            main = make.doubled_convolution(width_, bias=False)(normalise(x))
            main = make.convolution(width_, 3)(normalise(main))
            short = x if x.shape[-1] == width_ else make.convolution(width_, 1)(x)
            x = make(layers.Add)([main, make(layers.UpSampling2D)(short)])
        x = make.convolution(channels, 3)(normalise(x))
    else:
        x = normalise(x)
        for width_ in widths[1:]:
            x = normalise(upsample(x, width_))
        x = upsample(x, channels, bias=True)
    image = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model(inputs, image, name="generator")


def build_discriminator(
    image_shape,
    filters,
    num_classes=None,
    normalization="batch",
    residual=False,
    minibatch_stddev=False,
    seed=0,
    dtype="float32",
    synchronized=False,
):
    """Builds the network from pictures to one logit: the higher, the more real.

    With classes, the logit is that of a projection discriminator.

    Args:
        image_shape: tuple of 3 ints. Height, width and channels, sides in pixels.
        filters: int. Width of the stage next to the picture; it doubles inwards.
        num_classes: int or None. With classes the network has a second input, the labels.
            Defaults to None.
        normalization: "batch", "spectral" or None. Defaults to "batch".
        residual: bool. Whether each stage is a residual block. Defaults to False.
        minibatch_stddev: bool. Whether the last features say how different the pictures of a
            batch are. Defaults to False.
        seed: int. Every initial weight is derived from it. Defaults to 0.
        dtype: str or `keras.DTypePolicy`. The compute policy; the logit is float32 always.
            Defaults to "float32".
        synchronized: as for `build_generator`. Defaults to False.

    Returns:
        A functional `keras.Model`: pictures `(B, H, W, C)` in [-1, 1] (and int labels `(B,)`)
        to float32 logits `(B, 1)`.

    Reference:
        Miyato, Koyama: cGANs with Projection Discriminator, 2018 (the conditional logit).
    """
    make = _Parts(seed, dtype, synchronized, spectral=normalization == "spectral")
    image = keras.Input(image_shape, name="image")
    inputs, x = image, image

    def normalise(x):
        if normalization != "batch":
            return x
        return make.batch_norm()(x)

    def halve(x):
        return make(layers.AveragePooling2D, 2)(x)

    for stage, width in enumerate(stage_filters(filters, num_stages(image_shape))):
        if residual:
            main = x if stage == 0 else make.relu(0.2)(normalise(x))
            main = make.relu(0.2)(normalise(make.convolution(width, 3)(main)))
            main = halve(make.convolution(width, 3)(main))
            x = make(layers.Add)([main, make.convolution(width, 1)(halve(x))])
        else:
            x = make.convolution(width, 4, stride=2, bias=stage == 0 or normalization != "batch")(x)
            x = make.relu(0.2)(normalise(x) if stage else x)
    if residual:
        x = make.relu(0.2)(x)
    if minibatch_stddev:
        x = make(MinibatchStdDev)(x)
    features = make(layers.Flatten)(x)
    logit = make.dense(1, dtype="float32")(features)
    if num_classes:
        label = keras.Input((), dtype="int32", name="label")
        inputs = [image, label]
        embedding = make.embedding(num_classes, features.shape[-1], dtype="float32")(label)
        match = make(layers.Dot, axes=1, dtype="float32")([features, embedding])
        logit = make(layers.Add, dtype="float32")([logit, match])
    return keras.Model(inputs, logit, name="discriminator")
