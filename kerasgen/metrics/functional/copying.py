"""Whether generated samples are copies of the training data."""

import numpy as np
from scipy.stats import rankdata

from kerasgen.metrics.functional._checks import (
    check_count,
    check_features,
    check_pair,
    check_widths,
)
from kerasgen.metrics.functional.neighbours import nearest_neighbours

_FEWEST_IN_CELL = 20  # a cell with no more generated samples says nothing
_RESTARTS = 10


def authenticity(train, generated):
    """Share of generated samples that are no close variant of a training sample.

    A sample is authentic if it lies farther from its nearest training sample than that one lies
    from its own nearest other training sample. Samples of the training distribution are
    authentic more often than not, by how much depends on the dimension: compare with held-out
    real samples in the generated ones' place.

    Args:
        train: float array `(N, D)`, N at least 2.
        generated: float array `(M, D)`, M at least 1.

    Returns:
        Float in [0, 1].

    Raises:
        TypeError, ValueError: features that aren't floating point, finite and of equal widths.

    Example:

    ```python
    authenticity(train_features, generated_features)
    authenticity(train_features, held_out_features)  # what to compare it with
    ```

    Reference:
        Alaa et al.: How Faithful is your Synthetic Data? Sample-level Metrics for Evaluating and
        Auditing Generative Models, 2022.
    """
    train, generated = check_pair(train, generated, ("train", "generated"), (2, 1))
    distances, indices = nearest_neighbours(generated, train)
    nearest, which = np.unique(indices, return_inverse=True)
    own = nearest_neighbours(train[nearest], train, 2)[0][:, 1]  # the first is the sample itself
    return float((distances.ravel() > own[which.ravel()]).mean())


def ct_score(train, held_out, generated, cells=3, components=64, seed=0):
    """C_T: whether generated samples lie closer to the training data than held-out ones do.

    The feature space is split into cells by k-means of the training data, after a projection to
    their first principal components. In each cell a Mann-Whitney test compares the distances to
    the nearest training sample; the z-scores are averaged, weighted by the cells' shares of the
    held-out samples. Cells with at most 20 generated samples are left out.

    Args:
        train: float array `(N, D)`.
        held_out: float array `(L, D)`, of the same source as `train` but not trained on.
        generated: float array `(M, D)`.
        cells: int. Number of cells. Defaults to 3.
        components: int. Principal components, where D is larger. Defaults to 64.
        seed: int. What k-means starts from. Defaults to 0.

    Returns:
        Float, about standard normal (with one cell) where the model generalises. Far below 0:
        it copies. Far above 0: it underfits.

    Raises:
        TypeError: features that aren't floating point.
        ValueError: features that aren't finite and of equal widths, a cell without held-out
            samples, or no cell with more than 20 generated ones.

    Example:

    ```python
    ct_score(train_features, held_out_features, generated_features)
    ```

    Reference:
        Meehan, Chaudhuri, Dasgupta: A Non-Parametric Test to Detect Data-Copying in Generative
        Models, 2020. The settings are those of Stein et al.: Exposing Flaws of Generative Model
        Evaluation Metrics, 2023.
    """
    cells, components = check_count(cells, "cells"), check_count(components, "components")
    train, held_out = check_pair(train, held_out, ("train", "held_out"), (max(2, cells), 1))
    generated = check_features(generated, "generated", _FEWEST_IN_CELL + 1)
    check_widths(train.shape[1], generated.shape[1], ("train", "generated"))
    parts = _project((train, held_out, generated), components, seed)
    labels = _cells(parts, cells, seed)
    shares, scores = [], []
    for cell in range(cells):
        in_train, in_held_out, in_generated = (
            part[label == cell] for part, label in zip(parts, labels, strict=True)
        )
        if not len(in_held_out):
            raise ValueError(
                f"Cell {cell} of {cells} holds no held-out sample: give more of them, or fewer "
                f"cells. Received: held_out.shape={held_out.shape}, cells={cells}"
            )
        if len(in_generated) > _FEWEST_IN_CELL:
            shares.append(len(in_held_out))
            scores.append(_z_score(in_train, in_held_out, in_generated))
    if not shares:
        raise ValueError(
            f"No cell holds more than {_FEWEST_IN_CELL} generated samples: give more of them, or "
            f"fewer cells. Received: generated.shape={generated.shape}, cells={cells}"
        )
    return float(np.average(scores, weights=shares))


def _project(parts, components, seed):
    train = parts[0]
    if train.shape[1] <= components or len(train) <= components:
        return parts
    from sklearn.decomposition import PCA

    projection = PCA(components, random_state=seed).fit(train)
    return [projection.transform(part) for part in parts]


def _cells(parts, cells, seed):
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # Threads add up the means in any order, so that rounding would differ from run to run.
    with threadpool_limits(1, "openmp"):
        means = KMeans(cells, n_init=_RESTARTS, random_state=seed).fit(parts[0])
        return [means.predict(part) for part in parts]


def _z_score(train, held_out, generated):
    """Mann-Whitney's U of the generated samples' distances, standardised."""
    real, fake = (nearest_neighbours(part, train)[0].ravel() for part in (held_out, generated))
    n, m = len(real), len(fake)
    larger = rankdata(np.concatenate([fake, real]))[:m].sum() - m * (m + 1) / 2
    expected = n * m / 2 - 0.5  # less the correction for continuity
    return (larger - expected) / np.sqrt(n * m * (n + m + 1) / 12)
