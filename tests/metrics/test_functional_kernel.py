"""The kernel distance against loops and scikit-learn's kernel, and its standard error."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from kerasgen.metrics.functional import kernel, kernel_distance


def features(count, width=12, seed=0, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(0.3 + shift, scale, (count, width))


def by_loops(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(z):
        pairs = [k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]
        return sum(pairs) / len(pairs)

    across = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


def by_sklearn(x, y):
    settings = {"degree": 3, "coef0": 1, "gamma": 1 / x.shape[1]}
    within = 0
    for z in (x, y):
        k = polynomial_kernel(z, **settings)
        within += (k.sum() - np.trace(k)) / (len(z) * (len(z) - 1))
    return within - 2 * polynomial_kernel(x, y, **settings).mean()


def test_full_by_loops():
    x, y = features(13, 4), features(9, 4, 1, 0.2)
    assert kernel_distance(x, y).value == pytest.approx(by_loops(x.tolist(), y.tolist()), rel=1e-10)


@pytest.mark.parametrize("counts", [(50, 50), (2, 30), (1030, 2100)])
def test_full_by_sklearn(counts):
    x, y = features(counts[0]), features(counts[1], seed=1, shift=0.1)
    result = kernel_distance(x, y)
    assert result.value == pytest.approx(by_sklearn(x, y), rel=1e-10, abs=1e-12)
    assert result.subset_spread is None


# The last one has more pairs than its subsets, which are then taken one by one.
@pytest.mark.parametrize("counts, size", [((60, 80), 25), ((1100, 40), 30), ((900, 1500), 20)])
def test_subsets_by_sklearn(counts, size):
    x, y = features(counts[0]), features(counts[1], seed=1, shift=0.1)
    rows = kernel.draw_subsets(*counts, 50, size, 7)
    for part, count in zip(rows, counts, strict=True):
        assert part.shape == (50, size) and part.max() < count
        assert all(len(np.unique(subset)) == size for subset in part)
    values = [by_sklearn(x[i], y[j]) for i, j in zip(*rows, strict=True)]
    result = kernel_distance(x, y, "subsets", subsets=50, subset_size=size, seed=7)
    assert result.value == pytest.approx(np.mean(values), rel=1e-10)
    assert result.subset_spread == pytest.approx(np.std(values), rel=1e-10)
    assert result.standard_error is None


def test_both_ways_to_take_subsets_agree():
    x, y = features(300), features(200, seed=1, shift=0.1)
    rows = kernel.draw_subsets(300, 200, 20, 60, 0)
    together = kernel._of_all(x, y, *rows)
    np.testing.assert_allclose(together, kernel._of_each(x, y, zip(*rows, strict=True)), rtol=1e-10)
    assert len(np.unique(together)) == 20


@pytest.mark.parametrize("estimator", ["full", "subsets", "blocks"])
def test_tiles_change_nothing(estimator, monkeypatch):
    x, y = features(65), features(47, seed=1, shift=0.3)
    settings = {"estimator": estimator, "subsets": 30, "subset_size": 20}
    whole = kernel_distance(x, y, **settings)
    monkeypatch.setattr(kernel, "_TILE", 7)
    for got, expected in zip(kernel_distance(x, y, **settings), whole, strict=True):
        assert got is expected is None or got == pytest.approx(expected, rel=1e-10)


def test_blocks_are_disjoint_and_hold_everything(monkeypatch):
    x, y = features(101), features(50, seed=1, shift=0.2)
    taken = []

    def watched(a, b, rows):
        taken.extend(rows)
        return np.array([by_sklearn(a[i], b[j]) for i, j in taken])

    of_each = kernel._of_each
    monkeypatch.setattr(kernel, "_of_each", watched)
    expected = kernel_distance(x, y, "blocks", subset_size=25, seed=2)
    assert len(taken) == 5
    for side, count in ((0, 101), (1, 50)):
        assert sorted(np.concatenate([rows[side] for rows in taken])) == list(range(count))
        assert max(len(rows[side]) for rows in taken) <= 25
    monkeypatch.setattr(kernel, "_of_each", of_each)
    result = kernel_distance(x, y, "blocks", subset_size=25, seed=2)
    assert result.value == pytest.approx(expected.value, rel=1e-10)
    values = np.array([by_sklearn(x[i], y[j]) for i, j in taken])
    assert result.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(5), rel=1e-10)


def test_single_precision_stays_close_to_double():
    x, y = features(400, 64), features(300, 64, 1, 0.05)
    for estimator in ("full", "subsets", "blocks"):
        settings = {"estimator": estimator, "subset_size": 100}
        double = kernel_distance(x, y, **settings)
        single = kernel_distance(x.astype(np.float32), y.astype(np.float32), **settings)
        half = kernel_distance(x.astype(np.float16), y.astype(np.float16), **settings)
        assert single.value == pytest.approx(double.value, abs=1e-6)
        rounded = (part.astype(np.float32).astype(np.float64) for part in (x, y))
        assert single.value != kernel_distance(*rounded, **settings).value
        assert half.value == pytest.approx(double.value, abs=1e-3)
        for got, expected in zip(single[1:], double[1:], strict=True):
            assert got is expected is None or got == pytest.approx(expected, rel=1e-4)


def test_unbiased_and_never_clamped():
    values = [
        kernel_distance(*(features(30, 4, 2 * s + i) for i in (0, 1))).value for s in range(300)
    ]
    error = np.std(values) / np.sqrt(300)
    assert abs(np.mean(values)) < 3 * error
    assert 90 < np.sum(np.array(values) < 0) < 230


@pytest.mark.parametrize(
    "counts, shift, scale", [((60, 60), 0, 1), ((80, 50), 0.3, 1), ((50, 100), 0.1, 1.3)]
)
def test_standard_error_is_the_spread_of_redraws(counts, shift, scale):
    results = [
        kernel_distance(
            features(counts[0], 8, 2 * s), features(counts[1], 8, 2 * s + 1, shift, scale)
        )
        for s in range(1200)
    ]
    spread = np.std([result.value for result in results])
    stated = np.array([result.standard_error for result in results])
    assert 0.9 < np.sqrt(np.mean(np.square(stated))) / spread < 1.2
    assert stated.min() > spread / 4


def test_block_error_is_the_spread_of_redraws():
    results = [
        kernel_distance(
            features(120, 8, 2 * s), features(120, 8, 2 * s + 1, 0.2), "blocks", subset_size=20
        )
        for s in range(200)
    ]
    spread = np.std([result.value for result in results])
    stated = np.sqrt(np.mean(np.square([result.standard_error for result in results])))
    assert 0.85 < stated / spread < 1.15


def test_subset_spread_is_no_standard_error():
    x, y = features(500, 8), features(500, 8, 1)
    spread = kernel_distance(x, y, "subsets", subset_size=50).subset_spread
    assert spread > 4 * kernel_distance(x, y).standard_error


def test_faults_are_seen_beyond_the_error():
    rng = np.random.default_rng(0)
    centres = 3 * np.eye(8)
    real, other = (centres[rng.integers(8, size=400)] + rng.normal(size=(400, 8)) for _ in "ab")
    half = centres[rng.integers(4, size=400)] + rng.normal(size=(400, 8))
    collapsed = np.tile(other[:1], (400, 1))
    same = kernel_distance(real, other)
    assert abs(same.value) < 3 * same.standard_error
    for faulty in (half, collapsed, other + rng.normal(size=other.shape)):
        result = kernel_distance(real, faulty)
        assert result.value > 4 * result.standard_error


def test_what_cannot_be_estimated_is_refused():
    x, y = features(30), features(20)
    with pytest.raises(ValueError, match="'full', 'subsets' or 'blocks'. Did you mean 'subsets'"):
        kernel_distance(x, y, "subset")
    with pytest.raises(ValueError, match="30 real and 20 generated samples, subset_size=1000$"):
        kernel_distance(x, y, "subsets")
    with pytest.raises(ValueError, match="15 blocks need at least 30 samples.*subset_size=2$"):
        kernel_distance(x, y, "blocks", subset_size=2)
