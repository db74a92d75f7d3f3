"""Measures of generated pictures: functions of feature arrays, Keras metrics, extractors.

Names are imported when first used: the functions need no TensorFlow.
"""

import importlib

_FUNCTIONS = (
    "FeatureStats",
    "FuturesQuality",
    "HorizonQuality",
    "authenticity",
    "classifier_score",
    "ct_score",
    "fd_infinity",
    "feature_stats",
    "frechet_distance",
    "futures_quality",
    "horizon_quality",
    "kernel_distance",
    "mode_coverage",
    "ms_ssim",
    "ms_ssim_diversity",
    "nearest_neighbours",
    "prdc",
    "psnr",
    "ssim",
    "vendi_score",
)
_NAMES = dict.fromkeys(_FUNCTIONS, "functional") | {
    "Evaluator": "evaluator",
    "FeatureExtractor": "extractors",
    "FrechetDistance": "distribution",
    "KernelDistance": "distribution",
    "MSSSIM": "image_quality",
    "PRDC": "distribution",
    "Panel": "panel",
    "PSNR": "image_quality",
    "SSIM": "image_quality",
    "evaluate_frames": "frames",
    "evaluate_panel": "panel",
    "get_extractor": "extractors",
}
__all__ = ["extractors", "functional", *_NAMES]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module 'kerasgen.metrics' has no attribute {name!r}")
    module = importlib.import_module(f"kerasgen.metrics.{_NAMES.get(name, name)}")
    return getattr(module, name) if name in _NAMES else module


def __dir__():
    return __all__
