"""Keras layers that models share."""

from kerasgen.layers.conditional_batch_normalization import ConditionalBatchNormalization
from kerasgen.layers.doubled_conv import DoubledConv2D
from kerasgen.layers.minibatch_stddev import MinibatchStdDev
from kerasgen.layers.spectral_norm import SpectralNorm

__all__ = ["ConditionalBatchNormalization", "DoubledConv2D", "MinibatchStdDev", "SpectralNorm"]
