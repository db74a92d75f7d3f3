"""How close two sets of images are: `FrechetDistance`, `KernelDistance` and `PRDC`."""

import numbers
import typing

import keras
import numpy as np
import tensorflow as tf

from kerasgen.metrics import functional
from kerasgen.metrics.extractors import get_extractor

SIDES = ("real", "generated")
ESTIMATORS = ("full", "subsets", "blocks")


class _Untracked:
    """Holds what Keras must not see: it saves every layer that is an attribute of a metric."""

    def __init__(self, value):
        self.value = value


class DistributionMetric(keras.metrics.Metric):
    """A comparison of all real with all generated images seen. Subclasses say which.

    They implement `_compare`, which computes the value, and how the features of a side are kept:
    `_count`, `_add`, `_merge` and `_clear`.

    Args:
        extractor: see `FrechetDistance`.
        keep_real: bool.
        name: str.
    """

    #: What the metric is called in `protocol`.
    short_name = None

    def __init__(self, extractor, keep_real, name):
        model = isinstance(extractor, keras.Model) and not hasattr(extractor, "id")
        if isinstance(extractor, str) or model:
            extractor = get_extractor(extractor)
        if extractor is not None and not (
            callable(extractor) and hasattr(extractor, "dim") and hasattr(extractor, "id")
        ):
            raise TypeError(
                "`extractor` must be callable with images and have `dim` and `id`, as those of "
                "`kerasgen.metrics.get_extractor`, or None where features are given instead of "
                f"images. Received: extractor={extractor!r}"
            )
        super().__init__(name=name)
        self.keep_real = bool(keep_real)
        self._extractor = _Untracked(extractor)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch of real and one of generated images, which may differ in size.

        Args:
            y_true: real images `(B, H, W, C)`, or features `(B, dim)` if the metric has no
                extractor. None to add no real ones.
            y_pred: generated ones, likewise.
            sample_weight: None. Weights are not supported.

        Raises:
            ValueError: called within a graph, features of the wrong shape, weights, or real
                images for a metric that keeps its reference.
        """
        self._check_eager()
        if sample_weight is not None:
            raise ValueError(
                f"{type(self).__name__} doesn't support weights: every image counts the same. "
                f"Received: sample_weight={sample_weight!r}"
            )
        if self.keep_real and y_true is not None:
            raise ValueError(
                "With `keep_real=True` the reference stays when the metric is reset, and would "
                "grow at each pass: give it once with `update_real(images)`, and generated "
                "images with `update_generated(images)`. "
                f"Received: y_true.shape={np.shape(y_true)}"
            )
        self._update(real=y_true, generated=y_pred)

    def update_real(self, images):
        """Adds a batch of real images, or features: see `update_state`."""
        self._update(real=images)

    def update_generated(self, images):
        """Adds a batch of generated images, or features: see `update_state`."""
        self._update(generated=images)

    def merge_state(self, metrics):
        """Adds all that other metrics have seen, real and generated, as if it had come here.

        Args:
            metrics: iterable of metrics of this class with the same extractor. Give each its own
                part of the real images: those that several saw count several times.

        Raises:
            ValueError: a metric of another class or extractor, or of other features.
        """
        metrics = list(metrics)
        for other in metrics:
            if type(other) is not type(self) or other._extractor_id != self._extractor_id:
                raise ValueError(
                    f"Expected metrics like this one, {type(self).__name__} in "
                    f"{self._extractor_id!r}. Received: {type(other).__name__} in "
                    f"{getattr(other, '_extractor_id', None)!r}"
                )
            widths = self._width(), other._width()
            if None not in widths and widths[0] != widths[1]:
                raise ValueError(
                    "Only metrics of features of the same width can be merged. "
                    f"Received: widths {widths[0]} and {widths[1]}"
                )
        for other in metrics:
            for side in SIDES:
                if other._count(side):
                    self._merge(side, other)

    def reset_state(self):
        """Forgets all images; with `keep_real=True` the generated ones only."""
        for side in SIDES[1:] if self.keep_real else SIDES:
            self._clear(side)

    @property
    def protocol(self):
        """What was measured in what, and with how many generated against how many real images."""
        counts = f"{self._count('generated')} vs {self._count('real')}"
        settings = "".join(f", {setting}" for setting in self._settings())
        return f"{self.short_name}[{self._extractor_id}, {counts}{settings}]"

    def get_config(self):
        return {
            "extractor": _serialize(self._extractor.value),
            "keep_real": self.keep_real,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        """Builds the metric from `get_config()`'s result.

        Raises:
            ValueError: the extractor isn't in the config, as it can't be serialised, or isn't
                the same when built again.
        """
        return cls(**{**config, "extractor": _deserialize(config["extractor"], cls.__name__)})

    @property
    def _extractor_id(self):
        extractor = self._extractor.value
        return "features" if extractor is None else extractor.id

    def _settings(self):
        return []

    def _room(self, side):
        """How many more samples a side takes, or None."""
        return None

    def _update(self, **images):
        self._check_eager()
        features = {
            side: self._features(batch[: self._room(side)])
            for side, batch in images.items()
            if batch is not None and self._room(side) != 0
        }
        # All are checked before any is added, so that a refused update leaves no trace.
        width = self._width()
        for side, batch in features.items():
            if batch.ndim != 2 or width not in (None, batch.shape[1]):
                raise ValueError(
                    f"Features must be of shape (samples, {width or 'features'}), one row an "
                    "image and always as many; construct the metric with an `extractor` to give "
                    f"images instead. Received: shape={batch.shape} for {side} images from "
                    f"{self._extractor_id!r}"
                )
            width = batch.shape[1]
        for side, batch in features.items():
            self._add(side, batch)

    def _features(self, images):
        extractor = self._extractor.value
        return keras.ops.convert_to_numpy(images if extractor is None else extractor(images))

    def _width(self):
        return None if self._extractor.value is None else self._extractor.value.dim

    def _compute(self):
        self._check_eager()
        missing = [side for side in SIDES if not self._count(side)]
        if missing:
            calls = " and ".join(f"`update_{side}(images)`" for side in missing)
            raise ValueError(
                f"{type(self).__name__} was read before it saw any {' or '.join(missing)} images: "
                f"call {calls} first. Received: {self._count('real')} real and "
                f"{self._count('generated')} generated samples"
            )
        return self._compare()

    def _check_eager(self):
        if not tf.executing_eagerly():
            raise ValueError(
                f"{type(self).__name__} computes in NumPy and can't be part of a compiled train "
                "or test step: leave it to the callback `kerasgen.callbacks.EvaluateSamples`, or "
                "compile the model with `run_eagerly=True`. "
                f"Received: metric={self.name!r} called within a tf.function"
            )


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


class _StoredFeatures(DistributionMetric):
    """A metric that keeps all features."""

    def __init__(self, extractor, max_samples, keep_real, name):
        if max_samples is not None:
            _check_count("max_samples", max_samples, 2)
        super().__init__(extractor, keep_real, name)
        self.max_samples = max_samples
        self._stored = _Untracked({side: [] for side in SIDES})

    def get_config(self):
        return {**super().get_config(), "max_samples": self.max_samples}

    def _room(self, side):
        return None if self.max_samples is None else self.max_samples - self._count(side)

    def _width(self):
        batches = self._stored.value["real"] + self._stored.value["generated"]
        return batches[0].shape[1] if batches else super()._width()

    def _count(self, side):
        return sum(map(len, self._stored.value[side]))

    def _add(self, side, features):
        self._stored.value[side].append(features.astype(np.float32))

    def _merge(self, side, other):
        self._stored.value[side].append(
            np.concatenate(other._stored.value[side])[: self._room(side)]
        )

    def _clear(self, side):
        self._stored.value[side].clear()

    def _all_features(self):
        return [np.concatenate(self._stored.value[side]) for side in SIDES]


@keras.saving.register_keras_serializable("kerasgen")
class KernelDistance(_StoredFeatures):
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
        _check_count("subsets", subsets, 1)
        _check_count("subset_size", subset_size, 2)
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
class PRDC(_StoredFeatures):
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
        _check_count("k", k, 1)
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


def _check_count(name, value, least):
    if not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {least}. Received: {name}={value!r}"
        )


def _serialize(extractor):
    if extractor is None:
        return None
    config = {"id": extractor.id}
    if getattr(extractor, "source", None) is not None:
        return {**config, "source": extractor.source}
    registered = keras.saving.get_registered_object(
        keras.saving.get_registered_name(type(extractor))
    )
    # The config of a layer or model holds no weights: it would come back as another extractor.
    if registered is type(extractor) and not isinstance(extractor, keras.Layer):
        config["object"] = keras.saving.serialize_keras_object(extractor)
    return config


def _deserialize(config, metric):
    if config is None:
        return None
    if "object" not in config and "source" not in config:
        raise ValueError(
            f"The extractor of this {metric} isn't in its config: construct the metric anew with "
            "`extractor=`; load a model that was compiled with it by "
            "`keras.models.load_model(path, compile=False)`. "
            f"Received: extractor id {config['id']!r}"
        )
    if "source" in config:
        extractor = get_extractor(config["source"])
    else:
        extractor = keras.saving.deserialize_keras_object(config["object"])
    if extractor.id != config["id"]:
        raise ValueError(
            f"The extractor isn't the same when built from its config: construct the {metric} "
            f"anew with `extractor=`. Received: id {extractor.id!r} instead of {config['id']!r}"
        )
    return extractor
