"""What a classifier says of generated samples."""

from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr

from kerasgen.metrics.functional._checks import check_count, check_features

_UNNORMALISED = 1e-3  # what low precision may leave of a sum that should be 1


class ClassifierScore(NamedTuple):
    """What the Inception score computes, with any classifier.

    Attributes:
        value: float in [1, number of classes]. Mean over the splits.
        spread: float. Standard deviation (ddof 0) over the splits; no standard error of `value`.
    """

    value: float
    spread: float


class ModeCoverage(NamedTuple):
    """Which classes were generated, and how often.

    Attributes:
        modes: int. Classes with a generated sample.
        real_modes: int. Classes with a real sample.
        kl: float. Divergence KL(generated ‖ real) of the shares of the classes, in nats.
    """

    modes: int
    real_modes: int
    kl: float


def classifier_score(probabilities, splits=10, seed=0):
    """Classifier score: whether single samples are clearly of a class, and all classes occur.

    The exponential of the mean divergence KL(p(y|x) ‖ p(y)) of the samples' class probabilities
    from their mean. It is what the Inception score computes, but only with the Inception network
    of 2015 it may be called so. It knows nothing of the real data, and doesn't see a generator
    that makes one picture a class: compare with the value of as many real samples.

    Args:
        probabilities: float array `(N, K)` of class probabilities, rows that sum to 1.
        splits: int. The score is the mean over this many parts, after shuffling. Defaults to 10.
        seed: int. What the shuffling derives from. Defaults to 0.

    Returns:
        A `ClassifierScore`.

    Raises:
        TypeError: probabilities that aren't floating point.
        ValueError: rows that are no probabilities (logits need a softmax first), or fewer samples
            than splits.

    Example:

    ```python
    classifier_score(keras.ops.softmax(classifier.predict(images)))
    ```

    Reference:
        Salimans et al.: Improved Techniques for Training GANs, 2016.
    """
    splits = check_count(splits, "splits")
    probabilities = check_features(probabilities, "probabilities", max(2, splits))
    probabilities = probabilities.astype(np.float64)
    sums = probabilities.sum(axis=1)
    if probabilities.min() < 0 or np.abs(sums - 1).max() > _UNNORMALISED:
        raise ValueError(
            "`probabilities` must be at least 0 and sum to 1 in each row: apply a softmax to "
            f"logits. Received: values from {probabilities.min():g} to {probabilities.max():g}, "
            f"sums from {sums.min():g} to {sums.max():g}"
        )
    probabilities /= sums[:, None]
    shuffled = np.random.default_rng(seed).permutation(probabilities)
    scores = [
        np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean())
        for part in np.array_split(shuffled, splits)
    ]
    return ClassifierScore(float(np.mean(scores)), float(np.std(scores)))


def mode_coverage(real_labels, generated_labels, num_modes=None):
    """How many classes were generated, and how far their shares are from the real ones.

    A class that was never generated adds nothing to KL(generated ‖ real) by itself, but the
    others' shares then are too large. A class that was generated and has no real sample would
    make it infinite: it is counted as if it had one.

    Args:
        real_labels: int array `(N,)`. Classes of real samples.
        generated_labels: int array `(M,)`. Classes that a classifier found in generated ones.
        num_modes: int or None. Number of classes that exist: labels must be below it. Defaults
            to None: any.

    Returns:
        A `ModeCoverage`.

    Raises:
        TypeError: labels that aren't integers.
        ValueError: labels that are negative, too large, none at all or not one-dimensional.

    Example:

    ```python
    mode_coverage([0, 1, 2, 3], [0, 0, 1, 1])  # modes=2, real_modes=4, kl=log(2)
    ```

    Reference:
        Metz et al.: Unrolled Generative Adversarial Networks, 2017. Srivastava et al.: VEEGAN:
        Reducing Mode Collapse in GANs using Implicit Variational Learning, 2017.
    """
    pair = [
        _check_labels(labels, name, num_modes)
        for labels, name in ((real_labels, "real_labels"), (generated_labels, "generated_labels"))
    ]
    modes, found = np.unique(np.concatenate(pair), return_inverse=True)
    real, generated = (
        np.bincount(part, minlength=len(modes))
        for part in (found[: len(pair[0])], found[len(pair[0]) :])
    )
    filled = np.where((real == 0) & (generated > 0), 1, real)
    kl = rel_entr(generated / generated.sum(), filled / filled.sum()).sum()
    return ModeCoverage(int((generated > 0).sum()), int((real > 0).sum()), float(kl))


def _check_labels(labels, name, num_modes):
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"`{name}` must be one label a sample. Received: {name}.shape={labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f"`{name}` must be integers: take the argmax of probabilities. "
            f"Received: {name}.dtype={labels.dtype}"
        )
    bound = np.inf if num_modes is None else check_count(num_modes, "num_modes")
    if labels.min() < 0 or labels.max() >= bound:
        raise ValueError(
            f"`{name}` must be from 0 to below the number of modes. Received: labels from "
            f"{labels.min()} to {labels.max()}, num_modes={num_modes}"
        )
    return labels
