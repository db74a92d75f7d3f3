"""The Fréchet distance against the square root of a matrix product, and against closed forms."""

import warnings

import numpy as np
import pytest
import scipy.linalg

from kerasgen.metrics.functional import (
    FeatureStats,
    fd_infinity,
    feature_stats,
    frechet_distance,
)


def sample(count, width, seed, decay=0.0, shift=0.0, dtype=np.float64):
    """Correlated normal samples whose standard deviations fall exponentially."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.normal(size=(width, width)))[0] * np.exp(-decay * np.arange(width))
    return (rng.normal(size=(count, width)) @ mixing.T + shift).astype(dtype)


def by_square_root(real, generated):
    """The distance as published: `tr (S1 S2)^½` by SciPy's square root of the product."""
    (m1, s1), (m2, s2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (real, generated))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy tells singular matrices
        root = scipy.linalg.sqrtm(s1 @ s2)
    root = root[0] if isinstance(root, tuple) else root
    return np.square(m1 - m2).sum() + np.trace(s1 + s2) - 2 * np.trace(root).real


def by_singular_values(real, generated):
    """The distance from the centred samples, without forming a covariance."""
    a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (real, generated))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    means = np.square(real.mean(0) - generated.mean(0)).sum()
    return means + np.square(a).sum() + np.square(b).sum() - 2 * shared


def with_moments(mean, covariance, count, seed=0):
    """Samples that have exactly these moments, but for rounding."""
    noise = np.random.default_rng(seed).normal(size=(count, len(mean)))
    noise -= noise.mean(0)
    white = np.linalg.inv(np.linalg.cholesky(np.cov(noise, rowvar=False)))
    return noise @ white.T @ np.linalg.cholesky(covariance).T + mean


def covariance(width, seed):
    root = np.random.default_rng(seed).normal(size=(width, width))
    return root @ root.T + np.eye(width)


few = pytest.mark.filterwarnings("ignore:A Fréchet distance from")


@pytest.mark.parametrize("counts", [(200, 200), (300, 60), (51, 2100)])
@pytest.mark.parametrize("decay", [0.0, 0.06])
def test_many_samples_match_the_square_root(counts, decay):
    real, generated = sample(counts[0], 50, 0, decay), sample(counts[1], 50, 1, decay, 0.1)
    expected = by_square_root(real, generated)
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-10)
    stats = feature_stats(real), feature_stats(generated)
    assert frechet_distance(*stats) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(stats[0], generated) == pytest.approx(expected, rel=1e-10)


@few
@pytest.mark.parametrize("counts", [(20, 20), (30, 150), (150, 30), (50, 50), (2, 2)])
def test_few_samples_match_the_square_root(counts):
    real, generated = sample(counts[0], 50, 0), sample(counts[1], 50, 1, shift=0.1)
    expected = by_square_root(real, generated)
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-5)
    # With singular covariances SciPy's root keeps few digits: more of ours agree with another.
    from_stats = frechet_distance(feature_stats(real), feature_stats(generated))
    assert frechet_distance(real, generated) == pytest.approx(from_stats, rel=1e-9)


def test_equal_covariances_leave_the_means():
    shape = covariance(8, 0)
    mean = np.linspace(-2, 2, 8)
    stats = [FeatureStats(m, shape, 50) for m in (np.zeros(8), mean)]
    assert frechet_distance(*stats) == pytest.approx(mean @ mean, abs=1e-10)
    samples = [with_moments(m, shape, 50, seed) for seed, m in enumerate((np.zeros(8), mean))]
    assert frechet_distance(*samples) == pytest.approx(mean @ mean, abs=1e-10)


@pytest.mark.parametrize("zeros", [0, 3])
def test_commuting_covariances(zeros):
    # With common eigenvectors it is the distance of the standard deviations along each.
    rng = np.random.default_rng(2)
    axes = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    first, second = rng.uniform(0.1, 3, 9), rng.uniform(0.1, 3, 9)
    first[:zeros], second[zeros : 2 * zeros] = 0, 0
    stats = [FeatureStats(np.zeros(9), axes * v @ axes.T, 30) for v in (first, second)]
    expected = np.square(np.sqrt(first) - np.sqrt(second)).sum()
    assert frechet_distance(*stats) == pytest.approx(expected, abs=1e-10)
    assert frechet_distance(*stats[::-1]) == pytest.approx(expected, abs=1e-10)


@few
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("count", [20, 64, 65, 500])
def test_a_set_has_no_distance_to_itself(count, decay):
    features = sample(count, 64, 0, decay, shift=3.0)
    for side in (features, feature_stats(features)):
        assert 0 <= frechet_distance(side, side) < 1e-10
    assert 0 <= frechet_distance(features, features[::-1]) < 1e-10


def test_dead_and_repeated_features():
    real, generated = sample(200, 10, 0), sample(200, 10, 1, shift=0.2)
    padded = [np.hstack([x, x[:, :2], np.full((200, 3), 7.0)]) for x in (real, generated)]
    assert 0 <= frechet_distance(padded[0], padded[0]) < 1e-10
    # Of the constants nothing is added, of the repetitions exactly their own distance.
    assert frechet_distance(real, generated) == pytest.approx(
        frechet_distance(*(np.hstack([x, np.full((200, 3), 7.0)]) for x in (real, generated))),
        rel=1e-9,
    )


@pytest.mark.parametrize("seed", range(8))
def test_linearly_dependent_features(seed):
    # Whether a Cholesky factor of such a covariance exists is up to rounding.
    real, generated = sample(60, 6, 2 * seed), sample(50, 6, 2 * seed + 1, shift=0.2)
    mixing = np.random.default_rng(seed).normal(size=(6, 7))
    pair = real @ mixing, generated @ mixing
    expected = by_singular_values(*pair)
    assert frechet_distance(*pair) == pytest.approx(expected, rel=1e-11)
    stats = FeatureStats(np.zeros(7), np.eye(7), 50), feature_stats(pair[0])
    roots = np.linalg.svd((pair[0] - pair[0].mean(0)) / np.sqrt(59), compute_uv=False)[:6]
    expected = np.square(pair[0].mean(0)).sum() + np.square(roots).sum() + 7 - 2 * roots.sum()
    assert frechet_distance(*stats) == pytest.approx(expected, rel=1e-11)


@few
def test_few_samples_keep_small_directions():
    scales = np.where(np.arange(20) < 3, 1, 1e-8)
    real, generated = sample(10, 20, 0) * scales, sample(10, 20, 1) * scales[::-1]
    without = [x * (scales == 1) for x in (real, generated[:, ::-1])]
    without = without[0], without[1][:, ::-1]
    expected = by_singular_values(real, generated)
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-13)
    assert expected != pytest.approx(by_singular_values(*without), rel=1e-9)


def test_collapse_to_a_point():
    real = sample(300, 10, 0)
    collapsed = np.tile(real[:1], (300, 1))
    expected = np.square(real.mean(0) - real[0]).sum() + np.trace(np.cov(real, rowvar=False))
    assert frechet_distance(real, collapsed) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(collapsed, collapsed + 1) == pytest.approx(10, rel=1e-12)


def test_missing_modes_and_noise_cost():
    rng = np.random.default_rng(0)
    centres = 4 * np.eye(8)
    real, other = (centres[rng.integers(8, size=800)] + rng.normal(size=(800, 8)) for _ in "ab")
    half = centres[rng.integers(4, size=800)] + rng.normal(size=(800, 8))
    floor = frechet_distance(real, other)
    assert frechet_distance(real, half) > 10 * floor
    assert frechet_distance(real, other + 2 * rng.normal(size=other.shape)) > 10 * floor


def test_far_from_the_origin_nothing_is_lost():
    real, generated = sample(300, 6, 0), sample(400, 6, 1, shift=0.5)
    expected = frechet_distance(real, generated)
    assert frechet_distance(real + 1e6, generated + 1e6) == pytest.approx(expected, rel=1e-8)


def test_single_precision_features_are_measured_in_double():
    real, generated = (sample(300, 20, s, shift=100 + s, dtype=np.float32) for s in (0, 1))
    doubles = [x.astype(np.float64) for x in (real, generated)]
    assert frechet_distance(real, generated) == pytest.approx(by_square_root(*doubles), rel=1e-10)


@pytest.mark.parametrize("count", [5, 2048, 5000])
def test_stats_are_numpys(count):
    features = sample(count, 4, 0, shift=50, dtype=np.float32)
    mean, shape, number = feature_stats(features)
    assert number == count and mean.dtype == shape.dtype == np.float64
    np.testing.assert_allclose(mean, features.astype(float).mean(0), rtol=1e-13)
    np.testing.assert_allclose(shape, np.cov(features.astype(float), rowvar=False), atol=1e-12)


def test_few_samples_warn_and_enough_do_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frechet_distance(sample(30, 30, 0), sample(31, 30, 1))
    for pair in ((29, 200), (200, 29)):
        real, generated = (sample(count, 30, seed) for seed, count in enumerate(pair))
        with pytest.warns(UserWarning, match="29 samples of 30 features is mostly bias"):
            frechet_distance(real, generated)
        with pytest.warns(UserWarning, match="use kernel_distance") as caught:
            frechet_distance(feature_stats(real), feature_stats(generated))
        assert caught[0].filename == __file__


GOOD = FeatureStats(np.zeros(3), np.eye(3), 10)


@pytest.mark.parametrize(
    "stats, message",
    [
        (GOOD._replace(covariance=np.eye(4)), r"Received: mean.shape=\(3,\), covariance.shape"),
        (GOOD._replace(mean=np.zeros((1, 3))), r"mean \(D,\) and a covariance"),
        (GOOD._replace(covariance=np.full((3, 3), np.nan)), "must be finite"),
        (GOOD._replace(covariance=np.eye(3) + np.eye(3, k=1)), "symmetric"),
        (GOOD._replace(covariance=np.diag([1.0, 1, -0.1])), "semi-definite.*from -0.1 to 1"),
        (GOOD._replace(covariance=-np.eye(3)), "semi-definite"),
        (GOOD._replace(count=1), "`real.count` must be at least 2. Received: real.count=1"),
        (FeatureStats(np.zeros(2), np.eye(2), 10), "real with 2 features, generated with 3"),
    ],
)
def test_stats_that_are_none_are_refused(stats, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(stats, GOOD)


# Infinitely many samples


def test_infinity_takes_the_generated_sets_bias_away():
    width = 20
    truth = FeatureStats(np.zeros(width), np.eye(width), 10**9)
    rng = np.random.default_rng(0)
    for shift, scale in ((0.0, 1.0), (0.2, 1.5)):
        generated = rng.normal(shift, scale, (4000, width))
        expected = width * (shift**2 + (scale - 1) ** 2)
        result = fd_infinity(truth, generated)
        assert result.value == pytest.approx(expected, abs=0.15)
        plain = frechet_distance(truth, generated[:400]) - expected
        assert plain > 3 * abs(result.value - expected)
        # The mean adds scale² D / N, the covariance another term over N.
        assert result.slope > scale**2 * width
        assert 0 < result.residual < 0.1


def test_infinity_is_a_straight_line_through_the_subsamples():
    real, generated = sample(300, 5, 0), sample(1000, 5, 1, shift=0.3)
    all_of_it = frechet_distance(real, generated)
    value, slope, residual = fd_infinity(real, generated, points=2, seed=3)
    assert residual == pytest.approx(0, abs=1e-10)
    assert value + slope / 1000 == pytest.approx(all_of_it, rel=1e-9)
    small = generated[np.random.default_rng(3).choice(1000, 100, replace=False)]
    assert value + slope / 100 == pytest.approx(frechet_distance(real, small), rel=1e-9)


def test_infinity_warns_of_subsamples_smaller_than_the_features():
    with pytest.warns(UserWarning, match="from 20 samples of 30 features") as caught:
        fd_infinity(sample(200, 30, 0), sample(200, 30, 1))
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"different sizes.*generated.shape=\(2, 5\)"):
        fd_infinity(sample(20, 5, 0), sample(2, 5, 1))


def test_a_side_without_variance():
    real = np.random.default_rng(0).normal(size=(50, 4))
    constant = np.ones((50, 4))
    expected = np.square(real.mean(0) - 1).sum() + real.var(0, ddof=1).sum()
    assert frechet_distance(real, constant) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(constant, constant) == 0
