"""Keras layers that models share."""

from kerasgen.layers.spectral_norm import SpectralNorm

__all__ = ["SpectralNorm"]
