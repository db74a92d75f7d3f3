"""Callbacks that watch a `fit`, and one that lets it go on after a crash."""

from kerasgen.callbacks.collapse_guard import CollapseGuard
from kerasgen.callbacks.evaluate_samples import EvaluateSamples
from kerasgen.callbacks.full_state_backup import FullStateBackup
from kerasgen.callbacks.sample_images import SampleImages
from kerasgen.callbacks.tensorboard_samples import TensorBoardSamples
from kerasgen.callbacks.time_limit import TimeLimit

__all__ = [
    "CollapseGuard",
    "EvaluateSamples",
    "FullStateBackup",
    "SampleImages",
    "TensorBoardSamples",
    "TimeLimit",
]
