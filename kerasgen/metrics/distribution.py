"""How close two sets of images are: `FrechetDistance`, `KernelDistance` and `PRDC`."""

import typing

import keras
import numpy as np

from kerasgen.checks import whole
from kerasgen.metrics import functional
from kerasgen.metrics.distribution_metric import SIDES, DistributionMetric, StoredFeaturesMetric

ESTIMATORS = ("full", "subsets", "blocks")


class _Moments(typing.NamedTuple):
    """Number, mean `(D,)`, and sum of the outer products of deviations `(D, D)` of samples."""

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features):
        mean = features.mean(axis=0)
        deviations = features - mean
        return cls(len(features), mean, deviations.T @ deviations)

    def joined(self, other):
        count = self.count + other.count
        delta = other.mean - self.mean
        return _Moments(
            count,
            self.mean + delta * (other.count / count),
            self.scatter
            + other.scatter
            + np.outer(delta, delta) * (self.count * other.count / count),
        )


@keras.saving.register_keras_serializable("kerasgen")
class FrechetDistance(DistributionMetric):
    """Fréchet distance between the features of real and of generated images; lower is better.

    It is `kerasgen.metrics.functional.frechet_distance` of all images seen. Of them the number,
    the mean and the covariance are kept, in float64 variables, so that any number of images
    takes the same memory: `2 * dim²` float64 values.

    The value depends on extractor, resize and number of images, which `protocol` says: compare
    only values of the same protocol. With few images it is mostly bias; `KernelDistance` is not.

    It computes in NumPy: outside of graphs, and, if handed to `model.compile`, only with
    `run_eagerly=True`. Keras reads a metric at each step, and this one takes long to read; the
    callback `kerasgen.callbacks.EvaluateSamples` measures once an epoch instead.

    No extractor's weights come into a checkpoint of a model that has the metric. For the same
    reason a config holds the extractor only if it is a Keras-serialisable object other than a
    layer or model, and one that has the same `id` when built again.

    Args:
        extractor: what `kerasgen.metrics.get_extractor` takes, or any object with `dim` (int, the
            number of features) and `id` (str, which extractor and resize it is), called with a
            batch of images, uint8 or float in [-1, 1], for float32 features `(B, dim)`. None if
            updates are given features instead of images.
        keep_real: bool. Whether real images are a fixed reference, given once to `update_real`,
            that stays when the metric is reset. Defaults to False.
        name: str. Defaults to "frechet_distance".

    Attributes:
        protocol: str such as "FD[fashion-cnn-1a2b3c, 32px, 10000 vs 10000]": extractor,
            generated images, real images.

    Raises:
        TypeError: `extractor` without `dim` or `id`, or not callable.

    Example:

    ```python
    extractor = kerasgen.metrics.get_extractor("fashion-cnn")
    distance = kerasgen.metrics.FrechetDistance(extractor, keep_real=True)
    for images in dataset:
        distance.update_real(images)
    distance.update_generated(model.generate(1000, seed=0))
    print(distance.protocol, distance.result())
    ```

    Reference:
        Heusel et al.: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
        Equilibrium, 2017. Chan, Golub, LeVeque: Updating Formulae and a Pairwise Algorithm for
        Computing Sample Variances, 1979.
    """

    def __init__(self, extractor, keep_real=False, name="frechet_distance"):
        super().__init__(extractor, keep_real, name)
        self._state = None
        if self._width() is not None:
            self._build(self._width())

    @property
    def short_name(self):
        return getattr(self._extractor.value, "distance_name", "FD")

    def result(self):
        """The distance between all real and all generated images so far.

        Returns:
            float.

        Raises:
            ValueError: no images, or fewer than two, on a side; features that aren't finite; or
                called within a graph.
        """
        return self._compute()

    def _compare(self):
        stats = []
        for side in SIDES:
            moments = self._read(side)
            # Of one sample this gives zeros, and `frechet_distance` refuses its count.
            covariance = moments.scatter / max(moments.count - 1, 1)
            stats.append(functional.FeatureStats(moments.mean, covariance, moments.count))
        return float(functional.frechet_distance(*stats))

    def _build(self, dim):
        self._state = {
            side: (
                self.add_variable((), "zeros", dtype="int64", name=f"{side}_count"),
                self.add_variable((dim,), "zeros", dtype="float64", name=f"{side}_mean"),
                self.add_variable((dim, dim), "zeros", dtype="float64", name=f"{side}_scatter"),
            )
            for side in SIDES
        }

    def _width(self):
        return super()._width() if self._state is None else self._state["real"][1].shape[0]

    def _count(self, side):
        return 0 if self._state is None else int(self._state[side][0].numpy())

    def _read(self, side):
        count, mean, scatter = self._state[side]
        return _Moments(int(count.numpy()), mean.numpy(), scatter.numpy())

    def _join(self, side, moments):
        if moments.count:
            if self._state is None:
                self._build(len(moments.mean))
            for variable, value in zip(
                self._state[side], self._read(side).joined(moments), strict=True
            ):
                variable.assign(value)

    def _add(self, side, features):
        if len(features):
            self._join(side, _Moments.of(features.astype(np.float64)))

    def _merge(self, side, other):
        self._join(side, other._read(side))

    def _clear(self, side):
        for variable in self._state[side] if self._state else ():
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype))


@keras.saving.register_keras_serializable("kerasgen")
class KernelDistance(StoredFeaturesMetric):
    """Kernel distance between the features of real and of generated images; lower is better.

    It is `kerasgen.metrics.functional.kernel_distance` of all images seen: the squared maximum
    mean discrepancy with a cubic kernel. It is unbiased for any number of images, so that a
    perfect generator has 0 on average, and values just below 0 occur.

    All features are kept: `4 * dim` bytes an image. As for `FrechetDistance`, it computes in
    NumPy outside of graphs, and extractors don't come into checkpoints.

    Args:
        extractor: see `FrechetDistance`.
        estimator: "full" (all pairs), "subsets" (the mean over random subsets, as most published
            values) or "blocks" (disjoint blocks). Defaults to "full".
        subsets: int. Number of random subsets. Defaults to 100.
        subset_size: int. Images of each side in a subset, or at most in a block. Defaults to 1000.
        seed: int. What the choice of subsets derives from. Defaults to 0.
        max_samples: int or None. How many images of a side are used at most: the first that
            come, further ones are left out without computing their features. Defaults to None:
            all.
        keep_real: bool. See `FrechetDistance`. Defaults to False.
        name: str. Defaults to "kernel_distance".

    Attributes:
        protocol: str such as "KD[fashion-cnn-1a2b3c, 32px, 10000 vs 10000]"; estimators other
            than "full" are named.

    Raises:
        TypeError: `extractor` without `dim` or `id`, or not callable.
        ValueError: an unknown estimator, or counts that aren't whole numbers of at least 1
            (`subsets`) or 2 (`subset_size`, `max_samples`).

    Example:

    ```python
    distance = kerasgen.metrics.KernelDistance(kerasgen.metrics.get_extractor("fashion-cnn"))
    distance.update_state(real_images, model.generate(1000, seed=0))
    distance.details()  # value, standard error, spread of the subsets
    ```

    Reference:
        Bińkowski, Sutherland, Arbel, Gretton: Demystifying MMD GANs, 2018.
    """

    short_name = "KD"

    def __init__(
        self,
        extractor,
        estimator="full",
        subsets=100,
        subset_size=1000,
        seed=0,
        max_samples=None,
        keep_real=False,
        name="kernel_distance",
    ):
        if estimator not in ESTIMATORS:
            raise ValueError(
                f"`estimator` must be one of {ESTIMATORS}. Received: estimator={estimator!r}"
            )
        whole("subsets", subsets, 1)
        whole("subset_size", subset_size, 2)
        super().__init__(extractor, max_samples, keep_real, name)
        self.estimator = estimator
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed

    def result(self):
        """The distance between all real and all generated images so far.

        Returns:
            float.

        Raises:
            ValueError: no or too few images on a side, features that aren't finite or differ in
                width, or called within a graph.
        """
        return float(self.details().value)

    def details(self):
        """As `result()`, with its uncertainty.

        Returns:
            `kerasgen.metrics.functional.KernelDistanceResult`: `value`, its `standard_error` (None
            for "subsets") and `subset_spread` (None for the others).
        """
        return self._compute()

    def get_config(self):
        return {
            **super().get_config(),
            "estimator": self.estimator,
            "subsets": self.subsets,
            "subset_size": self.subset_size,
            "seed": self.seed,
        }

    def _compare(self):
        return functional.kernel_distance(
            *self._all_features(),
            estimator=self.estimator,
            subsets=self.subsets,
            subset_size=self.subset_size,
            seed=self.seed,
        )

    def _settings(self):
        if self.estimator == "subsets":
            return [f"{self.subsets} subsets of {self.subset_size}"]
        return [f"blocks of {self.subset_size}"] if self.estimator == "blocks" else []


@keras.saving.register_keras_serializable("kerasgen")
class PRDC(StoredFeaturesMetric):
    """Precision, recall, density and coverage of generated images; higher is better.

    It is `kerasgen.metrics.functional.prdc` of all images seen. Precision and density tell how
    real the images are, recall and coverage how much of the real ones' variety they show. Read
    them together: a generator that only ever makes one good image has full precision.

    All features are kept: `4 * dim` bytes an image. As for `FrechetDistance`, it computes in
    NumPy outside of graphs, and extractors don't come into checkpoints.

    Args:
        extractor: see `FrechetDistance`.
        k: int. How many neighbours span the neighbourhood of an image. Defaults to 5.
        inclusive: bool. Whether what lies on the edge of a neighbourhood is in it: True for the
            definition of 2019 (with `k=3`), False for that of 2020. Defaults to False.
        max_samples: int or None. How many images of a side are used at most: the first that
            come, further ones are left out without computing their features. Defaults to None:
            all.
        keep_real: bool. See `FrechetDistance`. Defaults to False.
        name: str. Defaults to "prdc".

    Attributes:
        protocol: str such as "PRDC[fashion-cnn-1a2b3c, 32px, 10000 vs 10000, k=5]".

    Raises:
        TypeError: `extractor` without `dim` or `id`, or not callable.
        ValueError: `k` that isn't a whole number of at least 1, `max_samples` of at least 2.

    Example:

    ```python
    prdc = kerasgen.metrics.PRDC(kerasgen.metrics.get_extractor("fashion-cnn"))
    prdc.update_state(real_images, model.generate(1000, seed=0))
    prdc.result()["recall"]
    ```

    Reference:
        Kynkäänniemi et al.: Improved Precision and Recall Metric for Assessing Generative Models,
        2019. Naeem et al.: Reliable Fidelity and Diversity Metrics for Generative Models, 2020.
    """

    short_name = "PRDC"

    def __init__(
        self, extractor, k=5, inclusive=False, max_samples=None, keep_real=False, name="prdc"
    ):
        whole("k", k, 1)
        super().__init__(extractor, max_samples, keep_real, name)
        self.k = k
        self.inclusive = bool(inclusive)

    def result(self):
        """The four values for all real and all generated images so far.

        Returns:
            Dict of floats "precision", "recall" and "coverage" in [0, 1], and "density" from 0
            up.

        Raises:
            ValueError: no images on a side, not more than `k`, features that aren't finite or
                differ in width, or called within a graph.
        """
        return {name: float(value) for name, value in self._compute()._asdict().items()}

    def get_config(self):
        return {**super().get_config(), "k": self.k, "inclusive": self.inclusive}

    def _compare(self):
        return functional.prdc(*self._all_features(), k=self.k, inclusive=self.inclusive)

    def _settings(self):
        return [f"k={self.k}", *(["inclusive"] if self.inclusive else [])]
