"""The kernel distance: squared maximum mean discrepancy with a cubic kernel, unbiased."""

from typing import NamedTuple

import numpy as np

from kerasgen.metrics.functional._checks import check_count, check_pair, row_slices
from kerasgen.names import nearest

_TILE = 1024  # rows and columns of the part of a kernel matrix that exists at a time


class KernelDistanceResult(NamedTuple):
    """A kernel distance and how sure it is.

    Attributes:
        value: float. Unbiased, so that it falls below 0 about every second time where the
            distributions are equal.
        standard_error: float or None. Standard deviation of `value` over redraws of both sets;
            None for "subsets", which tells nothing about it.
        subset_spread: float or None. Standard deviation (ddof 0) over the random subsets, which
            most publications put behind a "±". The subsets overlap and are smaller than the sets:
            it is no confidence interval of `value`. None for the other estimators.
    """

    value: float
    standard_error: float | None
    subset_spread: float | None


def kernel_distance(real, generated, estimator="full", subsets=100, subset_size=1000, seed=0):
    """Kernel distance between two sets of features: 0 on average for equal distributions.

    The squared maximum mean discrepancy with the kernel `k(x, y) = (x·y/D + 1)³`: the mean of k
    over the pairs within each set, without those of a sample with itself, minus twice its mean
    over the pairs across. With the features of the Inception network of 2015 it is the KID. It is
    unbiased for any number of samples, and never clamped at 0.

    Kernels are computed in the features' own precision, float32 or float64, and summed in
    float64; only for "subsets" sums over at most 1,024 kernels have the features' precision too.

    Args:
        real: float array `(N, D)`, N at least 2.
        generated: float array `(M, D)`, M at least 2.
        estimator: str. "full" takes all pairs, has the least variance, and tells its standard
            error. "subsets" is the mean over random subsets, drawn without replacement, as in
            most publications. "blocks" is the mean over disjoint random blocks, whose spread
            gives the standard error; for sets too large for "full". Defaults to "full".
        subsets: int. Number of random subsets. Defaults to 100.
        subset_size: int, at least 2. Samples of each set in a subset, or at most in a block; there
            are always at least two blocks. Defaults to 1000.
        seed: int. What subsets and blocks derive from. Defaults to 0.

    Returns:
        A `KernelDistanceResult`.

    Raises:
        TypeError: features that aren't floating point.
        ValueError: features that aren't finite and `(N, D)`, different numbers of features, an
            unknown estimator, or fewer samples than a subset or two blocks take.

    Example:

    ```python
    result = kernel_distance(extractor(real_images), extractor(generated_images))
    print(f"{result.value:.5f} ± {result.standard_error:.5f}")
    ```

    Reference:
        Bińkowski, Sutherland, Arbel, Gretton: Demystifying MMD GANs, 2018. Gretton et al.: A
        Kernel Two-Sample Test, 2012. Zaremba, Gretton, Blaschko: B-tests: Low Variance Kernel
        Two-Sample Tests, 2013 (blocks).
    """
    if estimator not in ("full", "subsets", "blocks"):
        raise ValueError(
            "`estimator` must be 'full', 'subsets' or 'blocks'."
            f"{nearest(estimator, ('full', 'subsets', 'blocks'))} "
            f"Received: estimator={estimator!r}"
        )
    subsets = check_count(subsets, "subsets")
    subset_size = check_count(subset_size, "subset_size", 2)
    real, generated = check_pair(real, generated)
    dtype = np.result_type(real, generated, np.float32)
    real, generated = (np.ascontiguousarray(part, dtype) for part in (real, generated))
    if estimator == "full":
        return _full(real, generated)
    if estimator == "blocks":
        return _blocks(real, generated, subset_size, seed)
    return _subsets(real, generated, subsets, subset_size, seed)


def draw_subsets(num_real, num_generated, subsets, subset_size, seed):
    """Rows of the random subsets of "subsets".

    Returns:
        Two int arrays `(subsets, subset_size)`, of rows of the real and of the generated set.
    """
    rng = np.random.default_rng(seed)
    pairs = [
        [rng.choice(count, subset_size, replace=False) for count in (num_real, num_generated)]
        for _ in range(subsets)
    ]
    return tuple(np.stack(rows) for rows in zip(*pairs, strict=True))


# Estimators


def _full(real, generated):
    within = [_within_means(part) for part in (real, generated)]
    across = _across_means(real, generated)
    value = sum(part.mean for part in within) - 2 * across.mean
    return KernelDistanceResult(value, _standard_error(within, across), None)


def _blocks(real, generated, size, seed):
    counts = len(real), len(generated)
    blocks = max(2, -(-max(counts) // size))
    if min(counts) < 2 * blocks:
        raise ValueError(
            f"{blocks} blocks need at least {2 * blocks} samples of each set: give more, or a "
            f"larger `subset_size`. Received: {counts[0]} real and {counts[1]} generated samples, "
            f"subset_size={size}"
        )
    rng = np.random.default_rng(seed)
    rows = [np.array_split(rng.permutation(count), blocks) for count in counts]
    values = _of_each(real, generated, zip(*rows, strict=True))
    return KernelDistanceResult(
        float(values.mean()), float(values.std(ddof=1) / np.sqrt(blocks)), None
    )


def _subsets(real, generated, subsets, size, seed):
    counts = len(real), len(generated)
    if min(counts) < size:
        raise ValueError(
            "Subsets are drawn without replacement: give more samples, a smaller `subset_size`, "
            f"or estimator='full'. Received: {counts[0]} real and {counts[1]} generated samples, "
            f"subset_size={size}"
        )
    rows = draw_subsets(*counts, subsets, size, seed)
    # Each pair once for all subsets, unless that makes more pairs than there are in the subsets.
    if sum(counts) ** 2 <= subsets * (2 * size) ** 2:
        values = _of_all(real, generated, *rows)
    else:
        values = _of_each(real, generated, zip(*rows, strict=True))
    return KernelDistanceResult(float(values.mean()), None, float(values.std()))


def _of_each(real, generated, rows):
    """Kernel distances of subsets, one after another."""
    values = []
    for real_rows, generated_rows in rows:
        x, y = real[real_rows], generated[generated_rows]
        within = [_within_sum(part) / (len(part) * (len(part) - 1)) for part in (x, y)]
        across = sum(k.sum(dtype=np.float64) for _, _, k in _tiles(x, y)) / (len(x) * len(y))
        values.append(sum(within) - 2 * across)
    return np.array(values)


def _of_all(real, generated, real_rows, generated_rows):
    """Kernel distances of subsets, from one pass over all pairs.

    With Z the columns that say who is in which subset, the sums over the pairs of all subsets
    are the columns' sums of `Z * (K @ Z)`.
    """
    size = real_rows.shape[1]
    chosen = [
        _membership(rows, part) for rows, part in ((real_rows, real), (generated_rows, generated))
    ]
    within = sum(_chosen_within(*args) for args in zip((real, generated), chosen, strict=True))
    across = np.zeros(len(real_rows))
    for rows, columns, k in _tiles(real, generated):
        across += _chosen_sum(k, chosen[0][rows], chosen[1][columns])
    return within / (size * (size - 1)) - 2 * across / size**2


def _membership(rows, part):
    chosen = np.zeros((len(part), len(rows)), part.dtype)
    np.put_along_axis(chosen, rows.T, 1, axis=0)
    return chosen


def _chosen_within(part, chosen):
    sums = -chosen.T @ _diagonal(part)
    for rows, columns, k in _tiles(part):
        weight = 1 if rows == columns else 2
        sums += weight * _chosen_sum(k, chosen[rows], chosen[columns])
    return sums


def _chosen_sum(k, rows, columns):
    return np.einsum("is,is->s", rows, k @ columns, dtype=np.float64)


# Standard error


class _Means(NamedTuple):
    """Means of a kernel over pairs.

    Attributes:
        mean: float. Over all pairs.
        of_rows, of_columns: float64 arrays. Over the pairs of each sample.
        square: float. Mean of the squared kernel over all pairs.
    """

    mean: float
    of_rows: np.ndarray
    of_columns: np.ndarray
    square: float


def _within_means(part):
    count, diagonal = len(part), _diagonal(part)
    sums, square = -diagonal, -np.square(diagonal).sum()
    for rows, columns, k in _tiles(part):
        sums[rows] += k.sum(axis=1, dtype=np.float64)
        if rows != columns:
            sums[columns] += k.sum(axis=0, dtype=np.float64)
        square += (1 if rows == columns else 2) * _square_sum(k)
    means = sums / (count - 1)
    return _Means(float(means.mean()), means, means, square / (count * (count - 1)))


def _across_means(real, generated):
    of_rows, of_columns, square = np.zeros(len(real)), np.zeros(len(generated)), 0.0
    for rows, columns, k in _tiles(real, generated):
        of_rows[rows] += k.sum(axis=1, dtype=np.float64)
        of_columns[columns] += k.sum(axis=0, dtype=np.float64)
        square += _square_sum(k)
    of_rows /= len(generated)
    of_columns /= len(real)
    return _Means(float(of_rows.mean()), of_rows, of_columns, square / (len(real) * len(generated)))


def _standard_error(within, across):
    """Standard error of the full estimate, from the two orders of its Hoeffding decomposition.

    What single samples contribute is seen in their mean kernels. Those are means over finitely
    many partners, which adds exactly twice the variance that pairs contribute: once is taken off
    again. For equal distributions only the pairs' part is left, and the estimate, which never falls
    below that, is some 15 % too large.
    """
    counts = [len(part.of_rows) for part in within]
    pairs = [4 * _pair_variance(across) / (counts[0] * counts[1])]
    samples = []
    for part, count, partners in zip(
        within, counts, (across.of_rows, across.of_columns), strict=True
    ):
        samples.append(4 * np.var(part.of_rows - partners, ddof=1) / count)
        pairs.append(2 * _pair_variance(part) / (count * (count - 1)))
    return float(np.sqrt(max(sum(samples) - sum(pairs), sum(pairs))))


def _pair_variance(means):
    """Variance of the kernel that isn't in the means of either partner."""
    variance = means.square - means.mean**2
    return max(variance - np.var(means.of_rows) - np.var(means.of_columns), 0.0)


# Kernels


def _tiles(x, y=None):
    """The kernel matrix of two sets, or its upper triangle within one, tile by tile.

    Yields:
        Slice of rows, slice of columns, and the tile, which the next one overwrites.
    """
    other = x if y is None else y
    buffers = np.empty((2, min(_TILE, len(x)) * min(_TILE, len(other))), x.dtype)
    for rows in row_slices(len(x), _TILE):
        for columns in row_slices(len(other), _TILE):
            if y is not None or rows.start <= columns.start:
                yield rows, columns, _kernel(x[rows], other[columns], buffers)


def _kernel(x, y, buffers):
    # In place, and without `**`: in new arrays, powers take as long as the product itself.
    k, square = (b[: len(x) * len(y)].reshape(len(x), len(y)) for b in buffers)
    np.matmul(x, y.T, out=k)
    k *= 1 / x.shape[1]
    k += 1
    np.multiply(k, k, out=square)
    k *= square
    return k


def _within_sum(part):
    """Sum over the ordered pairs of different samples."""
    total = -_diagonal(part).sum()
    for rows, columns, k in _tiles(part):
        total += (1 if rows == columns else 2) * k.sum(dtype=np.float64)
    return total


def _diagonal(part):
    squares = np.einsum("nd,nd->n", part, part, dtype=np.float64)
    return (squares / part.shape[1] + 1) ** 3


def _square_sum(k):
    return np.einsum("ij,ij->i", k, k).sum(dtype=np.float64)
