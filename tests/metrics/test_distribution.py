"""Metrics of two sets of images against their definitions, in parts, merged, in and with models."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

import kerasgen
from kerasgen.metrics import functional
from kerasgen.metrics.distribution import PRDC, FrechetDistance, KernelDistance

DIM = 6


class Projection:
    """Features of images: a fixed random projection of their pixels in [-1, 1]."""

    dim = DIM
    id = "projection, 4px"

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        images = np.asarray(images)
        if images.dtype == np.uint8:
            images = images / 127.5 - 1
        weights = np.random.default_rng(7).normal(size=(16, DIM))
        return (images.reshape(len(images), -1) @ weights).astype(np.float32)


@keras.saving.register_keras_serializable("kerasgen_tests")
class Scaling:
    """An extractor that Keras can serialise. Its id tells its weights only if it is honest."""

    dim = 16

    def __init__(self, factor, fresh=False):
        self.factor = factor
        self.fresh = fresh
        self.id = f"scaling-{np.random.rand() if fresh else factor}"

    def __call__(self, images):
        return self.factor * np.reshape(images, (-1, 16)).astype(np.float32)

    def get_config(self):
        return {"factor": self.factor, "fresh": self.fresh}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("kerasgen_tests")
class NetworkExtractor(keras.Model):
    """The worst case for checkpoints: an extractor that is itself a Keras model."""

    dim = 3
    id = "network"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3, name="extractor_dense")
        self.build((None, 4, 4, 1))

    def build(self, input_shape):
        self.dense.build((None, 16))
        self.built = True

    def call(self, images):
        return self.dense(keras.ops.reshape(keras.ops.cast(images, "float32"), (-1, 16)))


class WrappedExtractor:
    dim = 3
    id = "wrapped network"

    def __init__(self):
        self.network = NetworkExtractor()

    def __call__(self, images):
        return self.network(images)


def image_sets(real=60, generated=47, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 256, (real, 4, 4, 1), np.uint8),
        rng.integers(60, 256, (generated, 4, 4, 1), np.uint8),
    )


def every_metric(extractor=None):
    return [
        FrechetDistance(extractor),
        KernelDistance(extractor),
        KernelDistance(extractor, estimator="subsets", subsets=5, subset_size=20, seed=3),
        PRDC(extractor, k=3),
    ]


def flat(result):
    """A result as an array."""
    return np.array(list(result.values()) if isinstance(result, dict) else [result])


def frechet_by_definition(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = scipy.linalg.sqrtm(a @ b).real
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * roots)


def kernel_distance_by_definition(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    xx, yy, xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (xx, yy))
    return within - 2 * xy.mean()


def prdc_by_definition(real, generated, k):
    def distances(a, b):
        return np.linalg.norm(a[:, None].astype(np.float64) - b[None].astype(np.float64), axis=-1)

    real_radii = np.sort(distances(real, real), axis=1)[:, k]
    generated_radii = np.sort(distances(generated, generated), axis=1)[:, k]
    across = distances(real, generated)
    in_real = across < real_radii[:, None]
    return {
        "precision": in_real.any(axis=0).mean(),
        "recall": (across < generated_radii[None]).any(axis=1).mean(),
        "density": in_real.sum() / k / len(generated),
        "coverage": (across.min(axis=1) < real_radii).mean(),
    }


def test_values_are_those_of_the_definitions():
    real, generated = image_sets()
    features = Projection()(real), Projection()(generated)
    assert FrechetDistance(Projection())(real, generated) == pytest.approx(
        frechet_by_definition(*features), rel=1e-9
    )
    kernel = KernelDistance(Projection())
    assert kernel(real, generated) == pytest.approx(
        kernel_distance_by_definition(*features), rel=1e-5
    )
    prdc = PRDC(Projection(), k=3)
    assert prdc(real, generated) == pytest.approx(prdc_by_definition(*features, k=3), abs=1e-12)
    assert 0 < prdc.result()["recall"] < prdc.result()["precision"] < 1


def test_frechet_distance_keeps_digits_far_from_the_origin():
    rng = np.random.default_rng(0)
    x, y = rng.normal(1e6, 1, (500, 4)), rng.normal(1e6 + 1, 2, (300, 4))
    metric = FrechetDistance(None)
    for part in (x[:0], *np.array_split(x, 7)):
        metric.update_real(part)
    metric.update_generated(y)
    assert metric.result() == pytest.approx(frechet_by_definition(x, y), rel=1e-8)


def test_settings_reach_the_core():
    real, generated = image_sets()
    features = Projection()(real), Projection()(generated)
    settings = {"estimator": "subsets", "subsets": 7, "subset_size": 25, "seed": 5}
    metric = KernelDistance(Projection(), **settings)
    metric.update_state(real, generated)
    expected = functional.kernel_distance(*features, **settings)
    assert metric.details() == expected
    assert metric.result() == expected.value
    # Whole numbers on a line have neighbours on the edge.
    line = np.arange(12.0)[:, None]
    results = {edge: PRDC(None, k=2, inclusive=edge)(line, line + 2) for edge in (True, False)}
    for edge, result in results.items():
        assert result == functional.prdc(line, line + 2, k=2, inclusive=edge)._asdict()
    assert results[True] != results[False]


@pytest.mark.parametrize("index", range(4))
def test_odd_batches_are_one_pass(index):
    real, generated = image_sets()
    expected = flat(every_metric(Projection())[index](real, generated))
    metric = every_metric(Projection())[index]
    metric.update_state(real[:1], generated[:5])
    metric.update_state(real[1:24], generated[5:6])
    metric.update_real(real[24:])
    metric.update_state(None, generated[6:])
    np.testing.assert_allclose(flat(metric.result()), expected, rtol=1e-10)
    metric.reset_state()
    metric.update_state(generated, generated)
    metric.reset_state()
    metric.update_state(real, generated)
    np.testing.assert_allclose(flat(metric.result()), expected, rtol=1e-10)


@pytest.mark.parametrize("extractor", [Projection(), None])
@pytest.mark.parametrize("index", range(4))
def test_merging_is_one_pass(index, extractor):
    sets = image_sets()
    real, generated = sets if extractor else (Projection()(images) for images in sets)
    expected = flat(every_metric(extractor)[index](real, generated))
    metric, *others = (every_metric(extractor)[index] for _ in range(4))
    others[0].update_state(real[:11], generated[:1])
    others[1].update_generated(generated[1:])
    others[2].update_real(real[11:])
    metric.merge_state(others)
    assert "47 vs 60" in metric.protocol
    np.testing.assert_allclose(flat(metric.result()), expected, rtol=1e-10)


def test_only_like_metrics_merge():
    with pytest.raises(ValueError, match="FrechetDistance in 'features'.*Received: PRDC"):
        FrechetDistance(None).merge_state([PRDC(None)])
    with pytest.raises(ValueError, match="Received: PRDC in 'projection, 4px'"):
        PRDC(None).merge_state([PRDC(Projection())])
    for make in (FrechetDistance, PRDC):
        metric, other = make(None), make(None)
        metric.update_real(np.zeros((2, 3)))
        other.update_real(np.zeros((2, 4)))
        with pytest.raises(ValueError, match="Received: widths 3 and 4"):
            metric.merge_state([other])


def test_a_result_survives_in_the_variables():
    real, generated = image_sets()
    metric, again = FrechetDistance(Projection()), FrechetDistance(Projection())
    value = metric(real, generated)
    for target, source in zip(again.variables, metric.variables, strict=True):
        assert target.dtype == "int64" or target.dtype == "float64"
        target.assign(source)
    assert again.result() == value


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float16])
def test_extractors_get_the_images_as_they_come(dtype):
    real, generated = image_sets()
    seen = []

    class Recording(Projection):
        def __call__(self, images):
            seen.append(images)
            return tf.constant(super().__call__(images))

    if dtype != np.uint8:
        real, generated = ((images / 127.5 - 1).astype(dtype) for images in (real, generated))
    value = FrechetDistance(Recording())(real, tf.constant(generated))
    assert [images.dtype for images in seen] == [dtype, dtype]
    features = Projection()(real), Projection()(generated)
    assert value == pytest.approx(frechet_by_definition(*features), rel=1e-9)


@pytest.mark.parametrize("make", [KernelDistance, PRDC])
def test_no_more_samples_than_asked_for_are_used_or_computed(make):
    real, generated = image_sets()
    extractor = Projection()
    metric = make(extractor, max_samples=20)
    for start in (0, 15, 30):
        metric.update_state(real[start : start + 15], generated[start : start + 15])
    assert extractor.seen == 40
    expected = flat(make(Projection())(real[:20], generated[:20]))
    np.testing.assert_allclose(flat(metric.result()), expected)
    merged = make(Projection(), max_samples=20)
    merged.update_state(real[:15], generated[:15])
    rest = make(Projection())
    rest.update_state(real[15:], generated[15:])
    merged.merge_state([rest])
    np.testing.assert_allclose(flat(merged.result()), expected)


@pytest.mark.parametrize("make", [FrechetDistance, KernelDistance, PRDC])
def test_a_kept_reference_survives_resets(make):
    real, generated = image_sets()
    metric = make(Projection(), keep_real=True)
    metric.update_real(real)
    for _ in range(2):
        metric.reset_state()
        assert "0 vs 60" in metric.protocol
        metric.update_generated(generated)
    expected = make(Projection())(real, generated)
    np.testing.assert_allclose(flat(metric.result()), flat(expected), rtol=1e-12)
    with pytest.raises(ValueError, match="`update_real.*Received: y_true.shape"):
        metric.update_state(real, generated)


def test_protocols_say_what_was_measured():
    real, generated = image_sets()
    metrics = [
        *every_metric(Projection()),
        KernelDistance(Projection(), estimator="blocks"),
        PRDC(None, inclusive=True),
    ]
    for metric in metrics[:-1]:
        metric.update_state(real, generated)
    assert [metric.protocol for metric in metrics] == [
        "FD[projection, 4px, 47 vs 60]",
        "KD[projection, 4px, 47 vs 60]",
        "KD[projection, 4px, 47 vs 60, 5 subsets of 20]",
        "PRDC[projection, 4px, 47 vs 60, k=3]",
        "KD[projection, 4px, 47 vs 60, blocks of 1000]",
        "PRDC[features, 0 vs 0, k=5, inclusive]",
    ]


@pytest.mark.parametrize("index", range(4))
def test_reading_before_data_says_what_is_missing(index):
    real, generated = image_sets()
    metric = every_metric(Projection())[index]
    with pytest.raises(ValueError, match=r"any real or generated images.*0 real and 0 generated"):
        metric.result()
    metric.update_real(real)
    with pytest.raises(
        ValueError, match=r"any generated images: call `update_generated\(images\)`"
    ):
        metric.result()
    metric.reset_state()
    metric.update_generated(generated)
    with pytest.raises(ValueError, match=r"any real images: call `update_real\(images\)`"):
        metric.result()


def test_errors_of_the_core_arrive():
    rng = np.random.default_rng(0)
    few, many = rng.normal(size=(5, 3)), rng.normal(size=(30, 3))
    for make in (FrechetDistance, KernelDistance):
        with pytest.raises(ValueError, match="Received"):
            make(None)(many, few[:1])
    with pytest.raises(ValueError, match="Received"):
        PRDC(None, k=5)(many, few)
    broken = many.copy()
    broken[3, 1] = np.nan
    for make in (FrechetDistance, KernelDistance, PRDC):
        with pytest.raises(ValueError, match="(?i)finite|NaN"):
            make(None)(many, broken)


@pytest.mark.parametrize("index", range(4))
def test_features_of_another_width_are_refused(index):
    metric = every_metric()[index]
    with pytest.raises(ValueError, match=r"Received: shape=\(4, 2\) for generated images"):
        metric.update_state(np.zeros((4, 3)), np.zeros((4, 2)))
    assert "0 vs 0" in metric.protocol
    metric.update_real(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"\(samples, 3\).*Received: shape=\(4, 2\)"):
        metric.update_generated(np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"with an `extractor`.*Received: shape=\(4, 4, 1\)"):
        metric.update_real(np.zeros((4, 4, 1)))
    wrong = Projection()
    wrong.dim = DIM + 1
    with pytest.raises(ValueError, match=r"\(samples, 7\).*\(60, 6\) for real.*'projection, 4px'"):
        every_metric(wrong)[index].update_real(image_sets()[0])


def test_wrong_arguments_are_refused_at_once():
    for make in (FrechetDistance, KernelDistance, PRDC):
        with pytest.raises(TypeError, match="`extractor` must be callable.*Received: extractor="):
            make(lambda images: images)
    for wrong in (
        {"estimator": "fast"},
        {"subsets": 0},
        {"subset_size": 1.5},
        {"max_samples": 1},
    ):
        with pytest.raises(ValueError, match=f"Received: {next(iter(wrong))}="):
            KernelDistance(None, **wrong)
    with pytest.raises(ValueError, match="Received: k=0"):
        PRDC(None, k=0)
    with pytest.raises(ValueError, match="doesn't support weights.*Received: sample_weight="):
        PRDC(None).update_state(np.zeros((2, 2)), np.zeros((2, 2)), sample_weight=np.ones(2))


@pytest.mark.parametrize("extractor", [None, Scaling(2.0)])
def test_configs_round_trip(extractor):
    real, generated = image_sets()
    if extractor is None:
        real, generated = Projection()(real), Projection()(generated)
    settings = {"estimator": "subsets", "subsets": 4, "subset_size": 9, "seed": 8}
    for metric in (
        FrechetDistance(extractor, keep_real=True, name="distance"),
        KernelDistance(extractor, **settings, max_samples=33),
        PRDC(extractor, k=2, inclusive=True, max_samples=33),
    ):
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == metric.get_config()
        for each in (metric, again):
            each.update_real(real)
            each.update_generated(generated)
        assert again.result() == metric.result()
        assert again.protocol == metric.protocol


@pytest.mark.parametrize("extractor", [Projection(), NetworkExtractor()])
def test_a_config_without_its_extractor_says_so(extractor):
    config = keras.saving.serialize_keras_object(PRDC(extractor))
    with pytest.raises(
        ValueError, match=f"with `extractor=`.*Received: extractor id '{extractor.id}"
    ):
        keras.saving.deserialize_keras_object(config)


def test_an_extractor_that_comes_back_as_another_is_refused():
    config = keras.saving.serialize_keras_object(PRDC(Scaling(2.0, fresh=True)))
    with pytest.raises(ValueError, match="isn't the same.*Received: id 'scaling-.* instead of"):
        keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize("make_extractor", [NetworkExtractor, WrappedExtractor])
def test_extractors_stay_out_of_models_and_their_files(tmp_path, make_extractor):
    images, _ = image_sets(24)
    images = (images / 127.5 - 1).astype(np.float32)

    def build():
        image = keras.Input((4, 4, 1))
        return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(image))

    model = build()
    paths = [weight.path for weight in model.weights]
    extractor = make_extractor()
    model.some_metric = FrechetDistance(extractor)
    model.other_metric = KernelDistance(extractor)
    model.some_metric(images, images[::-1] / 2)
    model.other_metric(images, images[::-1] / 2)
    compiled = [FrechetDistance(extractor, name="compiled_fd"), PRDC(extractor)]
    model.compile(loss="mse", metrics=compiled, run_eagerly=True)
    for metric in (model.some_metric, model.other_metric):
        metric.reset_state = lambda: None  # keeps their data, so that evaluate can read them
    logs = model.evaluate(images, images, batch_size=12, verbose=0, return_dict=True)
    prediction = model.predict(images, verbose=0)
    assert logs["compiled_fd"] == pytest.approx(
        FrechetDistance(extractor)(images, prediction), rel=1e-4
    )

    assert [weight.path for weight in model.weights] == paths
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path / "archive")
        assert "extractor_dense" not in archive.read("config.json").decode()
    for path in (tmp_path / "model.weights.h5", tmp_path / "archive" / "model.weights.h5"):
        arrays = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, node, arrays=arrays: (
                    arrays.update({name: node.shape}) if isinstance(node, h5py.Dataset) else None
                )
            )
        layers = {shape for name, shape in arrays.items() if "optimizer" not in name}
        assert layers == {(3, 3, 1, 1), (1,)}
    build().load_weights(tmp_path / "model.weights.h5")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), prediction)
    with pytest.raises(ValueError, match="compile=False"):
        keras.models.load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("index", range(4))
def test_compiled_steps_are_refused_with_advice(index):
    images = np.zeros((4, 4, 4, 1), np.float32)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1)])
    model.compile(loss="mse", metrics=[every_metric(Projection())[index]])
    with pytest.raises(ValueError, match="EvaluateSamples.*`run_eagerly=True`"):
        model.evaluate(images, images, verbose=0)
    metric = every_metric(Projection())[index]
    for call in (metric.result, lambda: metric.update_real(images)):
        with pytest.raises(ValueError, match="EvaluateSamples.*Received: metric="):
            tf.function(call)()


def test_extractor_by_name():
    rng = np.random.default_rng(0)
    real, generated = (rng.integers(0, 256, (140, 32, 32, 1), np.uint8) for _ in range(2))
    metric = FrechetDistance("fashion-cnn")
    metric.update_state(real, generated)
    extractor = kerasgen.metrics.get_extractor("fashion-cnn")
    expected = functional.frechet_distance(extractor(real), extractor(generated))
    assert metric.result() == pytest.approx(expected, rel=1e-6)
    assert metric.protocol == f"FD[{extractor.id}, 140 vs 140]"
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    again = keras.saving.deserialize_keras_object(config)
    again.update_state(real, generated)
    assert again.result() == metric.result()
