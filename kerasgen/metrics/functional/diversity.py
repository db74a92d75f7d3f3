"""How different generated samples are from each other."""

import numpy as np

from kerasgen.metrics.functional._checks import check_count, check_features, row_slices
from kerasgen.metrics.functional.similarity import check_images, ms_ssim

_VALUES_AT_A_TIME = 2**22


def vendi_score(features):
    """Vendi score: the effective number of different samples.

    The exponential of the entropy of the eigenvalues of `X Xᵀ / N`, where the rows of X have
    length 1: 1 if all rows point the same way, at most min(N, D) if they are orthogonal. It says
    nothing of quality: noise scores high. Compare with the value of as many real samples.

    Args:
        features: float array `(N, D)`, N at least 2.

    Returns:
        Float in [1, min(N, D)].

    Raises:
        TypeError: features that aren't floating point.
        ValueError: features that aren't finite and `(N, D)`, or a row of zeros, which points
            nowhere.

    Example:

    ```python
    vendi_score(np.eye(8))  # 8.0
    ```

    Reference:
        Friedman and Dieng: The Vendi Score: A Diversity Evaluation Metric for Machine Learning,
        2023.
    """
    features = check_features(features, "features")
    count, width = features.shape
    scatter = np.zeros((width, width)) if width <= count else None
    parts = []
    for rows in row_slices(count):
        part = features[rows].astype(np.float64)
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        if not lengths.all():
            raise ValueError(
                f"`features` must have no row of zeros. Received: {(lengths == 0).sum()} of them"
            )
        part /= lengths
        if scatter is None:
            parts.append(part)
        else:
            scatter += part.T @ part
    if scatter is None:
        rows = np.concatenate(parts)
        scatter = rows @ rows.T
    shares = np.linalg.eigvalsh(scatter / count)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def ms_ssim_diversity(images, labels=None, pairs=1000, seed=0):
    """Mean MS-SSIM of random pairs of different images: the lower, the more diverse.

    The number of scales is that of `num_scales`, so values of different sizes can't be compared.
    Nor does a low value mean quality: compare with the value of as many real images.

    Args:
        images: uint8 array `(N, H, W, C)`, H and W at least 11.
        labels: int array `(N,)` or None. If given, the two images of a pair have equal labels,
            and images that are alone in their class are left out. Defaults to None.
        pairs: int. Number of pairs. Defaults to 1000.
        seed: int. What the pairs derive from. Defaults to 0.

    Returns:
        Float in [0, 1].

    Raises:
        TypeError: images that aren't uint8.
        ValueError: images of another rank, too small or too few, or labels of another number.

    Example:

    ```python
    ms_ssim_diversity(model.generate(500, seed=0))
    ```

    Reference:
        Odena, Olah, Shlens: Conditional Image Synthesis with Auxiliary Classifier GANs, 2017.
        Wang, Simoncelli, Bovik: Multiscale Structural Similarity for Image Quality Assessment,
        2003.
    """
    pairs = check_count(pairs, "pairs")
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise TypeError(f"`images` must be uint8. Received: images.dtype={images.dtype}")
    check_images(images, "images", rank=4)
    labels = np.zeros(len(images), int) if labels is None else np.asarray(labels)
    if labels.shape != (len(images),):
        raise ValueError(
            "`labels` must hold one label an image. Received: "
            f"labels.shape={labels.shape}, images.shape={images.shape}"
        )
    first, second = _draw_pairs(labels, pairs, np.random.default_rng(seed))
    at_a_time = max(1, _VALUES_AT_A_TIME // images[0].size)
    values = [
        ms_ssim(images[first[rows]], images[second[rows]]) for rows in row_slices(pairs, at_a_time)
    ]
    return float(np.concatenate(values).mean())


def _draw_pairs(labels, pairs, rng):
    """Rows of pairs of different images with equal labels."""
    order = np.argsort(labels, kind="stable")
    _, starts, which, counts = np.unique(
        labels[order], return_index=True, return_inverse=True, return_counts=True
    )
    starts, counts = starts[which], counts[which]
    paired = np.flatnonzero(counts > 1)
    if not len(paired):
        raise ValueError(
            "Pairs need two images, of equal labels if there are labels. "
            f"Received: {len(labels)} images with {len(np.unique(labels))} different labels"
        )
    first = rng.choice(paired, pairs)
    start, count = starts[first], counts[first]
    steps = rng.integers(1, count)
    return order[first], order[start + (first - start + steps) % count]
