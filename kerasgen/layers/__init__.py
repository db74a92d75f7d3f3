"""Keras layers that models share."""

from kerasgen.layers.batch_normalization import BatchNormalization
from kerasgen.layers.conditional_batch_normalization import ConditionalBatchNormalization
from kerasgen.layers.doubled_conv import DoubledConv2D
from kerasgen.layers.latent_clusters import LatentClusters
from kerasgen.layers.leaky_relu import LeakyReLU
from kerasgen.layers.minibatch_stddev import MinibatchStdDev
from kerasgen.layers.spectral_norm import SpectralNorm
from kerasgen.layers.strided_conv import Conv2D, Conv2DTranspose

__all__ = [
    "BatchNormalization",
    "ConditionalBatchNormalization",
    "Conv2D",
    "Conv2DTranspose",
    "DoubledConv2D",
    "LatentClusters",
    "LeakyReLU",
    "MinibatchStdDev",
    "SpectralNorm",
]
