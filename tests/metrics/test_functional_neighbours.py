"""Neighbours, PRDC and the tests for copies, against brute force and the prdc package."""

import warnings

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from kerasgen.metrics.functional import (
    PRDC,
    authenticity,
    ct_score,
    nearest_neighbours,
    prdc,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from prdc import compute_prdc


def normal(count, width=8, seed=0, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(shift, scale, (count, width))


def lattice(count, seed, width=2, side=6):
    return np.random.default_rng(seed).integers(0, side, (count, width)).astype(float)


# Nearest neighbours


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("counts", [(50, 60), (1, 4), (2100, 4200)])
def test_neighbours_are_those_of_brute_force(counts, k):
    queries, points = normal(counts[0], 5, 0, shift=1e3), normal(counts[1], 5, 1, shift=1e3)
    distances, rows = nearest_neighbours(queries, points, k)
    brute = cdist(queries, points)
    np.testing.assert_array_equal(rows, np.argsort(brute, axis=1)[:, :k])
    np.testing.assert_allclose(distances, np.sort(brute, axis=1)[:, :k], rtol=1e-12)
    assert distances.dtype == np.float64 and rows.dtype == np.int64


def test_copies_have_no_distance():
    points = normal(500, 20, shift=1e4).astype(np.float32)
    distances, rows = nearest_neighbours(points[::-1], points, 2)
    np.testing.assert_array_equal(rows[:, 0], np.arange(500)[::-1])
    assert (distances[:, 0] == 0).all() and (distances[:, 1] > 1).all()


def test_more_neighbours_than_points_are_refused():
    with pytest.raises(ValueError, match="`points` must have at least 4 samples"):
        nearest_neighbours(normal(5), normal(3), k=4)


# Precision, recall, density, coverage


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("counts", [(300, 300), (250, 400), (2500, 120), (120, 2500)])
def test_prdc_is_that_of_its_package(counts, k):
    real, generated = normal(counts[0], 6), normal(counts[1], 6, 1, 0.9, 0.8)
    expected = compute_prdc(real, generated, k)
    result = prdc(real, generated, k)
    assert result.precision == expected["precision"]
    assert result.recall == expected["recall"]
    assert result.coverage == expected["coverage"]
    assert result.density == pytest.approx(expected["density"], rel=1e-14)
    assert 0 < result.coverage < 1 and 0 < result.recall < 1


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1 / 3])
def test_ties_fall_on_the_side_that_was_asked_for(inclusive, offset):
    # On a lattice many samples lie exactly on the bounds.
    real, generated, k = lattice(80, 0), lattice(60, 1), 3

    def radii(points):  # squared and whole: no rounding
        return np.sort(cdist(points, points, "sqeuclidean").round(), axis=1)[:, k]

    squares = cdist(real, generated, "sqeuclidean").round()
    compare = np.less_equal if inclusive else np.less
    inside, recalled = compare(squares, radii(real)[:, None]), compare(squares, radii(generated))
    expected = PRDC(
        inside.any(0).mean(), recalled.any(1).mean(), inside.sum(0).mean() / k, inside.any(1).mean()
    )
    result = prdc(real + offset, generated + offset, k, inclusive)
    assert result == pytest.approx(expected, rel=1e-14)
    assert result != prdc(real, generated, k, not inclusive)


@pytest.mark.parametrize("counts", [(1000, 1000), (1000, 400)])
def test_expectations_for_equal_distributions(counts):
    real, generated = normal(counts[0], 16), normal(counts[1], 16, 1)
    n, m = counts
    expected = 1 - np.prod([(n - i) / (n + m - i) for i in range(1, 6)])
    result = prdc(real, generated)
    assert result.coverage == pytest.approx(expected, abs=0.03)
    assert result.density == pytest.approx(1, abs=0.06)


def test_collapse_shows_in_recall_and_coverage_only():
    real = normal(500, 16)
    centre = np.argmin(np.linalg.norm(real, axis=1))
    collapsed = np.tile(real[centre], (500, 1)) + 1e-4 * normal(500, 16, 1)
    result = prdc(real, collapsed)
    assert result.precision == 1 and result.density > 2
    assert result.recall <= 1 / 500 and result.coverage < 0.2  # the real picture itself
    exact = prdc(real, np.tile(real[centre], (500, 1)))
    assert exact.recall == 0 and exact.coverage < 0.2


def test_missing_modes_show_in_recall_and_coverage_only():
    rng = np.random.default_rng(0)
    centres = 20 * np.eye(8)
    real = centres[rng.integers(8, size=600)] + rng.normal(size=(600, 8))
    half = centres[rng.integers(4, size=600)] + rng.normal(size=(600, 8))
    result = prdc(real, half)
    assert result.precision > 0.85 and result.density > 0.8
    assert result.recall < 0.55 and result.coverage < 0.55


def test_noise_shows_in_precision_and_density():
    real = normal(600, 8)
    result = prdc(real, normal(600, 8, 1, scale=3))
    assert result.precision < 0.2 and result.density < 0.2
    assert result.recall > 0.9


def test_a_sample_gone_astray_moves_nothing_else():
    real, generated = normal(300, 6), normal(300, 6, 1)
    astray = np.vstack([generated[:-1], np.full((1, 6), 1e6)])
    for got, expected in zip(prdc(real, astray), prdc(real, generated), strict=True):
        # But recall: of an outlier's neighbourhood everything is part.
        assert got == pytest.approx(expected, abs=0.02) or got == 1


def test_single_precision_features():
    real, generated = normal(300).astype(np.float32), normal(300, seed=1).astype(np.float32)
    assert prdc(real, generated) == prdc(real.astype(float), generated.astype(float))


def test_too_few_samples_for_k_are_refused():
    assert prdc(normal(6), normal(6, seed=1), k=5).density > 0
    with pytest.raises(ValueError, match="`generated` must have at least 6 samples"):
        prdc(normal(6), normal(5), k=5)


# Copies


def test_authenticity_by_brute_force():
    train, generated = normal(200, 3), normal(150, 3, 1)
    across, within = cdist(generated, train), cdist(train, train)
    np.fill_diagonal(within, np.inf)
    expected = np.mean(across.min(1) > within.min(1)[across.argmin(1)])
    assert authenticity(train, generated) == expected
    assert 0.2 < expected < 0.8


def test_copies_are_not_authentic():
    train, held_out = normal(400, 8), normal(400, 8, 1)
    copies = train[np.random.default_rng(0).integers(400, size=300)]
    assert authenticity(train, copies) == 0
    assert authenticity(train, copies + 1e-3) == 0
    half = np.vstack([copies, held_out[:300]])
    assert authenticity(train, half) == authenticity(train, held_out[:300]) / 2 > 0.25
    assert authenticity(train, held_out + 100) == 1
    doubled = np.vstack([train, train])
    assert authenticity(doubled, copies) == 0  # no farther than the nearest other: 0


def z_score(train, held_out, generated):
    fake, real = (cdist(part, train).min(1) for part in (generated, held_out))
    larger = mannwhitneyu(fake, real).statistic
    n, m = len(real), len(fake)
    return (larger - (n * m / 2 - 0.5)) / np.sqrt(n * m * (n + m + 1) / 12)


def test_ct_score_of_one_cell_is_a_mann_whitney_score():
    train, held_out, generated = normal(200), normal(150, seed=1), normal(100, seed=2, scale=0.9)
    expected = z_score(train, held_out, generated)
    assert ct_score(train, held_out, generated, cells=1) == pytest.approx(expected, rel=1e-12)


def test_ct_score_of_cells_and_components():
    rng = np.random.default_rng(0)
    centres = 10 * rng.normal(size=(3, 90))
    shares = [0.5, 0.3, 0.2]
    train, held_out, generated = (
        centres[rng.choice(3, count, p=shares)] + rng.normal(size=(count, 90))
        for count in (300, 200, 150)
    )
    # Of one cell's samples only 20 are left: the cell is left out.
    nearest = cdist(generated, centres).argmin(1)
    generated = np.delete(generated, np.flatnonzero(nearest == 2)[20:], axis=0)
    parts = [PCA(16, random_state=0).fit(train).transform(p) for p in (train, held_out, generated)]
    means = KMeans(3, n_init=10, random_state=0).fit(parts[0])
    labels = [means.predict(part) for part in parts]
    weighted = []
    for cell in range(3):
        cells = [part[label == cell] for part, label in zip(parts, labels, strict=True)]
        if len(cells[2]) > 20:
            weighted.append((len(cells[1]), z_score(*cells)))
    assert len(weighted) == 2
    weights, scores = np.transpose(weighted)
    expected = (weights * scores).sum() / weights.sum()
    got = ct_score(train, held_out, generated, components=16)
    assert got == pytest.approx(expected, rel=1e-6)


def test_ct_score_tells_copies_from_samples_and_from_noise():
    train, held_out, fresh = normal(600), normal(300, seed=1), normal(300, seed=2)
    rng = np.random.default_rng(0)
    near = train[rng.integers(600, size=300)] + 0.05 * rng.normal(size=(300, 8))
    assert ct_score(train, held_out, near) < -5
    assert ct_score(train, held_out, train[:300]) < -5
    assert abs(ct_score(train, held_out, fresh)) < 3
    assert ct_score(train, held_out, 2 * fresh) > 5


def test_ct_score_needs_samples_in_its_cells():
    two = np.vstack([normal(50), normal(50, seed=1, shift=50)])
    with pytest.raises(ValueError, match=r"holds no held-out sample.*cells=2$"):
        ct_score(two, two[:50], two, cells=2)
    with pytest.raises(ValueError, match="more than 20 generated samples.*cells=10$"):
        ct_score(normal(200), normal(200, seed=1), normal(40, seed=2), cells=10)
