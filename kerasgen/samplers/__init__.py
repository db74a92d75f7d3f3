"""Samplers: distributions fitted to an autoencoder's codes after training."""

from kerasgen.samplers.flow import FlowSampler
from kerasgen.samplers.gaussian import GaussianSampler, MixtureSampler, NormalSampler
from kerasgen.samplers.registry import get
from kerasgen.samplers.sampler import Sampler

__all__ = [
    "FlowSampler",
    "GaussianSampler",
    "MixtureSampler",
    "NormalSampler",
    "Sampler",
    "get",
]
