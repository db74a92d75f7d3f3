"""Callbacks that watch a `fit`."""

from kerasgen.callbacks.sample_images import SampleImages
from kerasgen.callbacks.time_limit import TimeLimit

__all__ = ["SampleImages", "TimeLimit"]
