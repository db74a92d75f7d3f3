"""Nearest neighbours in feature space, and precision, recall, density and coverage from them."""

from typing import NamedTuple

import numpy as np

from kerasgen.metrics.functional._checks import check_count, check_pair, row_slices

# Squared distances that differ by less than this share of the two samples' squared lengths are
# taken as equal: products of matrices leave no more digits.
_RESOLUTION = 1e-12


class PRDC(NamedTuple):
    """Precision, recall, density and coverage.

    Attributes:
        precision: float in [0, 1]. Share of generated samples in some real neighbourhood.
        recall: float in [0, 1]. Share of real samples in some generated neighbourhood.
        density: float from 0 up. In how many real neighbourhoods a generated sample lies, over k.
        coverage: float in [0, 1]. Share of real neighbourhoods that hold a generated sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def nearest_neighbours(queries, points, k=1):
    """The nearest points to each query, by Euclidean distance.

    Found by products of chunks of the centred arrays in float64, whose result is then refined:
    distances are computed from differences, so that a copy has a distance of exactly 0. Points
    of equal distance come in no particular order.

    Args:
        queries: float array `(M, D)`, M at least 1.
        points: float array `(N, D)`, N at least k.
        k: int. Number of neighbours. Defaults to 1.

    Returns:
        Tuple of 2 arrays `(M, k)`, nearest first: float64 distances, and int64 rows of `points`.

    Raises:
        TypeError: features that aren't floating point, or a k that isn't an int.
        ValueError: features that aren't finite and of equal widths, or fewer than k points.

    Example:

    ```python
    distances, rows = nearest_neighbours(generated_features, train_features)
    closest = train_images[rows[:, 0]]
    ```
    """
    k = check_count(k, "k")
    queries, points = check_pair(queries, points, ("queries", "points"), (1, k))
    centre = points.mean(axis=0, dtype=np.float64)
    distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
    for rows in row_slices(len(queries)):
        found = _candidates(queries[rows] - centre, points, centre, k)
        exact = np.stack(
            [
                np.linalg.norm(points[column] - queries[rows].astype(float), axis=1)
                for column in found.T
            ],
            axis=1,
        )
        order = np.argsort(exact, axis=1, kind="stable")
        distances[rows] = np.take_along_axis(exact, order, axis=1)
        indices[rows] = np.take_along_axis(found, order, axis=1)
    return distances, indices


def prdc(real, generated, k=5, inclusive=False):
    """Precision, recall, density and coverage: quality and diversity apart.

    A sample's neighbourhood is the ball that reaches to its k-th nearest neighbour in its own
    set, itself not counted. Precision and density ask for quality, recall and coverage for
    diversity. Never report precision or density alone: a generator that only ever makes one
    real picture has a precision of 1 and a density above 2. Density may exceed 1; recall trusts
    the generated set's neighbourhoods, which outliers blow up, coverage the real ones'.

    For equal distributions and N real and M generated samples the expectation of density is 1, of
    coverage 1 - Π (N - i) / (N + M - i), i from 1 to k: 0.97 for k = 5 and N = M. Compare values
    of equal N, M and k only.

    Args:
        real: float array `(N, D)`, N above k.
        generated: float array `(M, D)`, M above k.
        k: int. Which neighbour bounds a neighbourhood. Defaults to 5.
        inclusive: bool. Whether a sample on the bound is inside (`<=`, as in the definition of
            precision and recall of 2019, together with `k=3`) or outside (`<`, as in that of
            density and coverage of 2020). Defaults to False.

    Returns:
        A `PRDC`.

    Raises:
        TypeError: features that aren't floating point, or a k that isn't an int.
        ValueError: features that aren't finite and of equal widths, or no more than k samples.

    Example:

    ```python
    prdc(extractor(real_images), extractor(generated_images)).coverage
    ```

    Reference:
        Kynkäänniemi et al.: Improved Precision and Recall Metric for Assessing Generative Models,
        2019. Naeem et al.: Reliable Fidelity and Diversity Metrics for Generative Models, 2020.
    """
    k = check_count(k, "k")
    real, generated = check_pair(real, generated, least=k + 1)
    # A sample is its own first neighbour; that of its copies which comes first is as good.
    real_radii, generated_radii = (
        nearest_neighbours(part, part, k + 1)[0][:, k] for part in (real, generated)
    )
    centre = real.mean(axis=0, dtype=np.float64)
    slack = -_RESOLUTION if inclusive else _RESOLUTION
    holders = np.zeros(len(generated), np.int64)  # how many real neighbourhoods hold each
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows in row_slices(len(real)):
        centred = real[rows] - centre
        for columns in row_slices(len(generated)):
            squares = _squared_distances(centred, generated[columns] - centre, slack)
            inside = squares < np.square(real_radii[rows, None])
            holders[columns] += inside.sum(axis=0)
            covered[rows] |= inside.any(axis=1)
            recalled[rows] |= (squares < np.square(generated_radii[columns])).any(axis=1)
    return PRDC(
        float((holders > 0).mean()),
        float(recalled.mean()),
        float(holders.mean() / k),
        float(covered.mean()),
    )


def _candidates(queries, points, centre, k):
    """Rows of the k nearest points to each centred query, in any order."""
    squares, indices = np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)
    for columns in row_slices(len(points)):
        more = _squared_distances(queries, points[columns] - centre)
        order = _smallest(more, k)
        squares = np.hstack([squares, np.take_along_axis(more, order, axis=1)])
        indices = np.hstack([indices, order + columns.start])
        order = _smallest(squares, k)
        squares = np.take_along_axis(squares, order, axis=1)
        indices = np.take_along_axis(indices, order, axis=1)
    return indices


def _smallest(values, k):
    """Columns of the k smallest values of each row, or of all if there are fewer."""
    if values.shape[1] <= k:
        return np.tile(np.arange(values.shape[1]), (len(values), 1))
    return np.argpartition(values, k - 1, axis=1)[:, :k]


def _squared_distances(a, b, slack=0.0):
    squares = a @ b.T
    squares *= -2
    squares += (1 + slack) * np.einsum("nd,nd->n", a, a)[:, None]
    squares += (1 + slack) * np.einsum("nd,nd->n", b, b)
    return squares
