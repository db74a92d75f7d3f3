"""Callbacks that watch a `fit`."""

from kerasgen.callbacks.collapse_guard import CollapseGuard
from kerasgen.callbacks.evaluate_samples import EvaluateSamples
from kerasgen.callbacks.sample_images import SampleImages
from kerasgen.callbacks.time_limit import TimeLimit

__all__ = ["CollapseGuard", "EvaluateSamples", "SampleImages", "TimeLimit"]
