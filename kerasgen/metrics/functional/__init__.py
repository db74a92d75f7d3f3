"""Measures of generated pictures as functions of arrays: NumPy and SciPy only, no TensorFlow.

Features are float arrays `(N, D)`, one row a picture, from any extractor. Real ones come first in
every signature. Nothing draws from global random state.
"""

from kerasgen.metrics.functional.classes import (
    ClassifierScore,
    ModeCoverage,
    classifier_score,
    mode_coverage,
)
from kerasgen.metrics.functional.copying import authenticity, ct_score
from kerasgen.metrics.functional.diversity import ms_ssim_diversity, vendi_score
from kerasgen.metrics.functional.frechet import (
    FDInfinity,
    FeatureStats,
    fd_infinity,
    feature_stats,
    frechet_distance,
)
from kerasgen.metrics.functional.horizon import (
    FuturesQuality,
    HorizonQuality,
    futures_quality,
    horizon_quality,
)
from kerasgen.metrics.functional.kernel import KernelDistanceResult, kernel_distance
from kerasgen.metrics.functional.neighbours import PRDC, nearest_neighbours, prdc
from kerasgen.metrics.functional.similarity import ms_ssim, num_scales, psnr, ssim

__all__ = [
    "ClassifierScore",
    "FDInfinity",
    "FeatureStats",
    "FuturesQuality",
    "HorizonQuality",
    "KernelDistanceResult",
    "ModeCoverage",
    "PRDC",
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
    "num_scales",
    "prdc",
    "psnr",
    "ssim",
    "vendi_score",
]
