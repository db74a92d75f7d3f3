"""The Fréchet distance between two sets of features, and its limit for many samples."""

import warnings
from typing import NamedTuple

import numpy as np
import scipy.linalg

from kerasgen.metrics.functional._checks import (
    check_count,
    check_features,
    check_widths,
    row_slices,
)

_LARGEST_FIRST_SUBSAMPLE = 5000
_SMALLEST_PIVOT = 1e-10
# A covariance with an eigenvalue this far below zero, relative to the largest, is none.
_INDEFINITE = 1e-6
_WELL_CONDITIONED = 1e-10  # of squared singular values: below, their roots lose digits


class FeatureStats(NamedTuple):
    """What the Fréchet distance needs to know of a set of features.

    Attributes:
        mean: float64 array `(D,)`.
        covariance: float64 array `(D, D)`, with the divisor `count - 1`.
        count: int. Number of samples.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int


class FDInfinity(NamedTuple):
    """Fréchet distance extrapolated to infinitely many generated samples.

    Attributes:
        value: float. Where the line through the distances meets 1/N = 0.
        slope: float. Change of the distance per 1/N: what the number of samples adds.
        residual: float. Root mean square of the distances' deviations from the line.
    """

    value: float
    slope: float
    residual: float


def feature_stats(features):
    """Mean and covariance of features, in float64 whatever the features are.

    Rows are worked through in chunks, centred before they are multiplied, so that neither large
    means nor large sets do harm: the additional memory is about `2 * D² * 8` bytes.

    Args:
        features: float array `(N, D)`, N at least 2.

    Returns:
        A `FeatureStats`, the covariance with the divisor N - 1.

    Raises:
        TypeError, ValueError: features that aren't floating point, finite and `(N, D)`.

    Example:

    ```python
    stats = feature_stats(extractor(real_images))
    frechet_distance(stats, extractor(generated_images))
    ```
    """
    return _stats(check_features(features, "features"))


def frechet_distance(real, generated):
    """Fréchet distance between two sets of features, taken as normal distributions.

    `|m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½)` of their means and covariances: 0 for equal ones,
    lower is better. With the features of the Inception network of 2015 it is the FID.

    The last trace is computed as the sum of the singular values of `F1 F2ᵀ`, where `F1ᵀ F1 = S1`
    and `F2ᵀ F2 = S2`. Unlike the square root of a product of matrices it stays real and keeps its
    digits where the covariances are singular. F is the Cholesky factor of a covariance, or, where
    a set has no more samples than features, its centred samples themselves.

    The expectation exceeds the distance of the distributions by about a constant over N, which
    for N below D is most of the value: compare only values of equal N, or use `kernel_distance`,
    which is unbiased.

    Args:
        real: float array `(N, D)`, N at least 2, or a `FeatureStats`.
        generated: likewise, of the same D.

    Returns:
        Float, at least 0, in squared units of the features. A value below zero by no more than
        rounding is given as 0.

    Raises:
        TypeError: features that aren't floating point.
        ValueError: features that aren't finite and `(N, D)`, different numbers of features, or
            a covariance that isn't symmetric and positive semi-definite.

    Warns:
        UserWarning: fewer samples than features on a side.

    Example:

    ```python
    frechet_distance(extractor(real_images), extractor(generated_images))
    ```

    Reference:
        Heusel et al.: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
        Equilibrium, 2017. Dowson and Landau: The Fréchet Distance between Multivariate Normal
        Distributions, 1982.
    """
    sides = [_Side.of(side) for side in _check_sides(real, generated)]
    _warn_of_bias(len(sides[0].mean), min(side.count for side in sides))
    return _distance(*sides)


def fd_infinity(real, generated, points=15, seed=0):
    """Fréchet distance extrapolated to infinitely many generated samples.

    A line is fitted to the distances of random subsamples of the generated set against 1/N, N
    from min(5000, a tenth of them) to all. The real set stays whole: its own size still adds to
    the value.

    Args:
        real: float array `(N, D)` or a `FeatureStats`.
        generated: float array `(M, D)`. Subsamples should be larger than D, or the distances lie
            on no line: see `residual`.
        points: int. Number of subsamples, at least 2. Defaults to 15.
        seed: int. What the subsamples derive from. Defaults to 0.

    Returns:
        An `FDInfinity`. Unlike a distance its value may be below zero.

    Raises:
        TypeError, ValueError: as `frechet_distance`, and too few samples for subsamples of
            different sizes.

    Warns:
        UserWarning: the smallest subsample, or the real set, has fewer samples than features.

    Example:

    ```python
    fd_infinity(real_features, generated_features).value
    ```

    Reference:
        Chong and Forsyth: Effectively Unbiased FID and Inception Score and Where to Find Them,
        2020.
    """
    points = check_count(points, "points", 2)
    real, generated = _check_sides(real, check_features(generated, "generated"))
    smallest = min(_LARGEST_FIRST_SUBSAMPLE, max(len(generated) // 10, 2))
    sizes = np.linspace(smallest, len(generated), points).astype(int)
    if sizes[0] == sizes[-1]:
        raise ValueError(
            "A line needs subsamples of different sizes: give more generated samples. "
            f"Received: generated.shape={generated.shape}"
        )
    real = _Side.of(real)
    _warn_of_bias(len(real.mean), min(real.count, smallest))
    rng = np.random.default_rng(seed)
    distances = [
        _distance(real, _Side.of(generated[rng.choice(len(generated), size, replace=False)]))
        for size in sizes
    ]
    slope, value = np.polyfit(1 / sizes, distances, 1)
    residuals = distances - (value + slope / sizes)
    return FDInfinity(float(value), float(slope), float(np.sqrt(np.square(residuals).mean())))


class _Side(NamedTuple):
    """One of the two sets, brought to what the distance is made of.

    Attributes:
        mean: float64 array `(D,)`.
        variance: float. Trace of the covariance.
        factor: float64 array `(R, D)`; `factor.T @ factor` is the covariance.
        count: int.
    """

    mean: np.ndarray
    variance: float
    factor: np.ndarray
    count: int

    @classmethod
    def of(cls, features):
        if isinstance(features, FeatureStats):
            mean, covariance, count = features
        elif len(features) > features.shape[1]:
            mean, covariance, count = _stats(features)
        else:
            mean, count = features.mean(axis=0, dtype=np.float64), len(features)
            factor = (features - mean) / np.sqrt(count - 1)
            return cls(mean, float(np.square(factor).sum()), factor, count)
        return cls(mean, float(np.trace(covariance)), _factor(covariance), count)


def _check_sides(*sides):
    names = ("real", "generated")
    sides = [
        _check_stats(side, name) if isinstance(side, FeatureStats) else check_features(side, name)
        for side, name in zip(sides, names, strict=True)
    ]
    widths = [len(s.mean) if isinstance(s, FeatureStats) else s.shape[1] for s in sides]
    check_widths(*widths, names)
    return sides


def _check_stats(stats, name):
    mean, covariance = (np.asarray(part, np.float64) for part in stats[:2])
    if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
        raise ValueError(
            f"The statistics `{name}` must be a mean (D,) and a covariance (D, D). Received: "
            f"mean.shape={mean.shape}, covariance.shape={covariance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(
            f"The statistics `{name}` must be finite: look for NaN in the features they were "
            f"made of. Received: mean={mean}, covariance={covariance}"
        )
    if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=1e-6 * np.abs(covariance).max()):
        raise ValueError(
            f"The covariance of `{name}` must be symmetric. Received: covariance={covariance}"
        )
    return FeatureStats(mean, covariance, check_count(stats.count, f"{name}.count", 2))


def _warn_of_bias(width, count):
    if count < width:
        warnings.warn(
            f"A Fréchet distance from {count} samples of {width} features is mostly bias: give "
            f"at least {width} samples a side, or use kernel_distance, which is unbiased.",
            UserWarning,
            stacklevel=3,
        )


def _stats(features):
    count, width = features.shape
    slices = row_slices(count)
    mean = sum(features[rows].sum(axis=0, dtype=np.float64) for rows in slices) / count
    covariance = np.zeros((width, width))
    for rows in slices:
        centred = features[rows] - mean
        covariance += centred.T @ centred
    covariance /= count - 1
    return FeatureStats(mean, covariance, count)


def _factor(covariance):
    """A matrix whose product `factor.T @ factor` is the covariance."""
    try:
        factor = scipy.linalg.cholesky(covariance)
        # Rounding can hide that a matrix is singular, and its root would be in the distance.
        if np.diagonal(factor).min() ** 2 > _SMALLEST_PIVOT * np.diagonal(covariance).max():
            return factor
    except scipy.linalg.LinAlgError:
        pass
    values, vectors = scipy.linalg.eigh(covariance)
    if values[0] < -_INDEFINITE * max(values[-1], 0):
        raise ValueError(
            "A covariance must be positive semi-definite: take it from `feature_stats`. Received: "
            f"one with eigenvalues from {values[0]:g} to {values[-1]:g}"
        )
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    return (vectors[:, kept] * np.sqrt(values[kept])).T


def _distance(real, generated):
    shared = _nuclear_norm(real.factor @ generated.factor.T)
    variance = real.variance + generated.variance
    distance = np.square(real.mean - generated.mean).sum() + variance - 2 * shared
    rounding = 4 * len(real.mean) * np.finfo(np.float64).eps * variance
    return 0.0 if -rounding < distance < 0 else float(distance)


def _nuclear_norm(matrix):
    """Sum of the singular values."""
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    if not matrix.size:  # a side without any variance
        return 0.0
    squares = scipy.linalg.eigvalsh(matrix @ matrix.T)  # a third of the time
    if squares[0] > _WELL_CONDITIONED * squares[-1]:
        return np.sqrt(squares).sum()
    return scipy.linalg.svdvals(matrix).sum()
