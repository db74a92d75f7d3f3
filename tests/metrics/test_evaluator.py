"""The evaluator against the functions that it calls, on parts of the real pictures."""

import os
import re

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import kerasgen
from kerasgen.metrics import Evaluator, FeatureExtractor, functional, get_extractor
from kerasgen.metrics.evaluator import cached_features

pytestmark = pytest.mark.filterwarnings("ignore:A Fréchet distance from")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Where features are kept, empty at the start of each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kerasgen" / "features"


@pytest.fixture(scope="module")
def digits():
    return np.round(load_digits().images * 15).astype(np.uint8)[..., None]


class Projection(FeatureExtractor):
    """Random projections of the pixels. Counts the pictures it is given."""

    def __init__(self, seed=0, dim=12):
        weights = np.random.default_rng(seed).normal(size=(64, dim)).astype(np.float32)
        super().__init__(
            lambda images: tf.reshape(images, (-1, 64)) @ weights,
            "projection",
            [weights],
            (8, 8),
            1,
        )
        self.weights = weights
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return super().__call__(images)


def by_hand(reference, features, k):
    """The values of two sets of features, as the evaluator names them."""
    kernel = functional.kernel_distance(reference, features)
    prdc = functional.prdc(reference, features, k=k)
    return {
        "fd": functional.frechet_distance(reference, features),
        "kd": kernel.value,
        "kd_standard_error": kernel.standard_error,
        "precision": prdc.precision,
        "recall": prdc.recall,
        "density": prdc.density,
        "coverage": prdc.coverage,
    }


def rows_of(pictures, among):
    """Which of `among` the pictures are; those all differ."""
    places = {picture.tobytes(): index for index, picture in enumerate(among)}
    assert len(places) == len(among)
    return [places[picture.tobytes()] for picture in pictures]


# Values


@pytest.mark.parametrize("k", [3, 5])
def test_values_are_those_of_the_functions(digits, k):
    extractor = Projection()
    real, generated = digits[:300], digits[300:420]
    evaluator = Evaluator(real, extractor, num_samples=120, num_reference=200, k=k)
    order = np.random.default_rng(0).permutation(300)
    features = (real / 127.5 - 1).reshape(300, 64).astype(np.float32) @ extractor.weights
    reference, floor = features[order[120:]], features[order[:120]]
    np.testing.assert_allclose(evaluator.reference_features, reference, atol=1e-5)
    expected = by_hand(reference, floor, k)
    assert evaluator.floor.keys() == expected.keys()
    for name, value in evaluator.floor.items():
        assert isinstance(value, float)
        assert value == pytest.approx(expected[name], rel=1e-4, abs=1e-6), name
    values = evaluator.evaluate(generated)
    same = by_hand(evaluator.reference_features, extractor(generated), k)
    assert values == same
    assert values != evaluator.floor


def test_real_pictures_are_parted_into_floor_and_reference(digits):
    real = digits[:300]
    evaluator = Evaluator(real, Projection(), num_samples=100)
    reference = rows_of(evaluator.reference, real)
    features = Projection()(real)
    np.testing.assert_array_equal(evaluator.reference_features, features[reference])
    floor = rows_of(evaluator.floor_features, features)
    assert len(reference) == 200 and len(floor) == evaluator.num_samples == 100
    assert sorted(reference + floor) == list(range(300))


def test_perfect_samples_get_about_the_floor_and_faults_more(digits):
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(digits))
    real, perfect = digits[chosen[:1400]], digits[chosen[1400:]]
    evaluator = Evaluator(real, Projection(), num_samples=len(perfect))
    values = evaluator.evaluate(perfect)
    assert values["fd"] < 2 * evaluator.floor["fd"]
    assert abs(values["kd"]) < 4 * evaluator.floor["kd_standard_error"]
    assert values["coverage"] > 0.9 * evaluator.floor["coverage"]
    noisy = np.clip(perfect + rng.normal(0, 40, perfect.shape), 0, 255).astype(np.uint8)
    faulty = evaluator.evaluate(noisy)
    assert faulty["fd"] > 5 * values["fd"] and faulty["kd"] > 10 * abs(values["kd"])
    assert faulty["precision"] < values["precision"]


def test_few_real_pictures_are_halved(digits):
    evaluator = Evaluator(digits[:50], Projection(), num_samples=2000)
    assert evaluator.num_samples == 25 and len(evaluator.reference) == 25


def test_of_many_real_pictures_any_are_used(digits):
    """A folder's come class by class: the first would all be of one."""
    labels = load_digits().target
    by_class = digits[np.argsort(labels, kind="stable")]
    evaluator = Evaluator(by_class, Projection(), num_samples=40, num_reference=160)
    assert evaluator.num_samples == 40 and len(evaluator.reference) == 160
    found = np.bincount(np.sort(labels)[rows_of(evaluator.reference, by_class)], minlength=10)
    assert found.min() >= 6  # of 16 expected
    again = Evaluator(by_class, Projection(), num_samples=40, num_reference=160)
    np.testing.assert_array_equal(evaluator.reference, again.reference)
    pipeline = kerasgen.data.load_images(by_class, shuffle=False, image_size=8)
    of_pipeline = Evaluator(pipeline, Projection(), num_samples=40, num_reference=160)
    rows = rows_of(of_pipeline.reference, by_class)
    assert len(rows) == 160
    assert np.bincount(np.sort(labels)[rows], minlength=10).min() >= 6
    other = pipeline.map(lambda images: images)  # may be endless: its first ones
    rows = rows_of(Evaluator(other, Projection(), 40, 160).reference, by_class)
    assert len(rows) == 160 and max(rows) < 200


def test_a_pipeline_s_pictures_are_the_array_s(digits):
    pipeline = kerasgen.data.load_images(digits[:90], shuffle=False, image_size=8, batch_size=16)
    ours, theirs = Evaluator(pipeline, Projection()), Evaluator(digits[:90], Projection())
    assert ours.floor == theirs.floor
    np.testing.assert_array_equal(ours.reference, theirs.reference)
    assert pipeline.epoch.numpy() == 0


def test_seed_parts_the_pictures(digits):
    first, again, other = (Evaluator(digits[:100], Projection(), seed=seed) for seed in (7, 7, 8))
    assert first.floor == again.floor
    np.testing.assert_array_equal(first.reference, again.reference)
    assert set(rows_of(first.reference, digits)) != set(rows_of(other.reference, digits))
    assert first.floor["fd"] != other.floor["fd"]


def test_protocol_and_description(digits):
    extractor = Projection()
    evaluator = Evaluator(digits[:300], extractor, num_samples=100)
    assert re.fullmatch(r"projection-\w{6}, 8px, 100 vs 200", evaluator.protocol)
    values = {"fd": 12.3456, "kd": 0.5, "precision": 0.25, "recall": 0.125, "coverage": 1.0}
    line = evaluator.describe(values)
    assert line.startswith(f"FD 12.35 (floor {evaluator.floor['fd']:.4g}), KD 0.5 (floor ")
    assert f"precision 0.25 (floor {evaluator.floor['precision']:.4g})" in line
    assert f"recall 0.125 (floor {evaluator.floor['recall']:.4g})" in line
    assert line.endswith(f"[{evaluator.protocol}]")
    extractor.distance_name = "FID"
    assert evaluator.describe(values).startswith("FID 12.35 ")


def test_shipped_extractor_is_the_default(digits):
    evaluator = Evaluator(digits[:40])
    assert evaluator.protocol == f"{get_extractor().id}, 20 vs 20"
    features = get_extractor()(evaluator.reference)
    np.testing.assert_array_equal(evaluator.reference_features, features)


# Bad input


def test_another_number_of_pictures_is_refused(digits):
    evaluator = Evaluator(digits[:100], Projection(), num_samples=30)
    for count in (29, 31):
        with pytest.raises(ValueError, match=f"with 30 pictures: give as many. Received: {count}"):
            evaluator.evaluate(digits[:count])
    with pytest.raises(TypeError, match="Received: dtype=int32"):
        evaluator.evaluate(digits[:30].astype(np.int32))


def test_too_few_real_pictures(digits):
    extractor = Projection()
    with pytest.raises(ValueError, match="at least 20 real pictures. Received: 19"):
        Evaluator(digits[:19], extractor)
    assert extractor.seen == 0
    assert Evaluator(digits[:20], extractor).num_samples == 10


@pytest.mark.parametrize("name", ["num_samples", "num_reference"])
@pytest.mark.parametrize("value", [9, 0, -5, 100.0, None])
def test_bad_numbers(digits, name, value):
    with pytest.raises(ValueError, match=f"at least 10. Received: {name}={value}"):
        Evaluator(digits, Projection(), **{name: value})


# What is kept


def test_real_features_are_computed_once(digits, cache):
    first = Projection()
    evaluator = Evaluator(digits[:100], first)
    assert first.seen == 100
    assert len(list(cache.iterdir())) == 1
    second = Projection()
    again = Evaluator(digits[:100], second)
    assert second.seen == 0
    assert again.floor == evaluator.floor
    np.testing.assert_array_equal(again.reference_features, evaluator.reference_features)
    Evaluator(digits[:100], second, seed=1, num_samples=20)  # the same pictures
    assert second.seen == 0
    again.evaluate(digits[100:150])
    assert second.seen == 50


def test_other_pictures_and_extractors_have_features_of_their_own(digits, cache):
    features = {}
    changed = digits[:30].copy()
    changed[29, 7, 7, 0] ^= 1
    for seed in (0, 1):
        for name, images in (("as they are", digits[:30]), ("changed", changed)):
            extractor = Projection(seed)
            features[seed, name] = cached_features(extractor, images)
            assert extractor.seen == 30
            np.testing.assert_array_equal(features[seed, name], extractor(images))
    assert len(list(cache.iterdir())) == 4
    assert (features[0, "as they are"] != features[1, "as they are"]).all()
    turned = digits[:30].reshape(30, 4, 16, 1)  # the same bytes
    extractor = Projection()
    np.testing.assert_array_equal(cached_features(extractor, turned), Projection()(turned))
    assert extractor.seen == 30


def damaged(data):
    """Ways in which a file of features can be wrong."""
    return {
        "empty": b"",
        "cut": data[:-9],
        "cut header": data[:50],
        "text": b"no features",
        "an archive": b"PK\x03\x04" + data[4:],
        "torn header": data.replace(b"{'descr'", b"{{{{{{{("),
        "pickled": data.replace(b"'<f4'", b"'|O' "),
        "other shape": data.replace(b"(30, 12)", b"(12, 30)"),
    }


def test_damaged_files_are_made_anew(digits, cache):
    expected = cached_features(Projection(), digits[:30])
    (path,) = cache.iterdir()
    good = path.read_bytes()
    for name, content in damaged(good).items():
        assert content != good, name
        path.write_bytes(content)
        extractor = Projection()
        np.testing.assert_array_equal(cached_features(extractor, digits[:30]), expected)
        assert extractor.seen == 30, name
        assert path.read_bytes() == good, name
    assert list(cache.iterdir()) == [path]


def test_where_nothing_can_be_kept_it_is_computed_each_time(digits, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    extractor = Projection()
    expected = Projection()(digits[:30])
    for seen in (30, 60):
        np.testing.assert_array_equal(cached_features(extractor, digits[:30]), expected)
        assert extractor.seen == seen


def test_features_are_kept_below_the_home_directory_by_default(digits, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    cached_features(Projection(), digits[:30])
    assert len(os.listdir(tmp_path / ".cache" / "kerasgen" / "features")) == 1
