"""What all comparisons of two sets of images share: features in, counts, protocol and config."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen.checks import whole
from kerasgen.metrics.extractors import get_extractor

SIDES = ("real", "generated")


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


class StoredFeaturesMetric(DistributionMetric):
    """A metric that keeps all features."""

    def __init__(self, extractor, max_samples, keep_real, name):
        if max_samples is not None:
            whole("max_samples", max_samples, 2)
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
