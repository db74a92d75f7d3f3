"""DCGANs that take clusters of the pictures for classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from dcgan_parts import SMALL, DCGANChecks, small
from sklearn.cluster import KMeans

import kerasgen
from kerasgen.models.dcgan import clusters


class TestClusteredDCGAN(DCGANChecks):
    init_kwargs = {**SMALL, "num_clusters": 3}
    shapes = [(12, 20, 3)]


def bright_and_dark(count=160):
    """Pictures of which every fifth is bright, uint8, and which ones are."""
    bright = np.arange(count) % 5 == 0
    noise = np.random.default_rng(0).integers(0, 40, (count, 16, 16, 1))
    return (noise + np.where(bright, 200, 10)[:, None, None, None]).astype(np.uint8), bright


def test_codes_are_means_of_squares():
    images = np.random.default_rng(0).normal(size=(3, 16, 24, 2)).astype(np.float32)
    expected = images.reshape(3, 8, 2, 8, 3, 2).mean((2, 4)).reshape(3, -1)
    np.testing.assert_allclose(clusters.codes(tf.constant(images)), expected, atol=1e-6)
    assert clusters.codes(tf.zeros((2, 12, 8, 1))).shape == (2, 96)  # too small to be divided


def test_pictures_belong_to_the_nearest_centroid():
    images = tf.random.stateless_normal((50, 16, 16, 1), (1, 2))
    means = KMeans(4, n_init=1, random_state=0).fit(clusters.codes(images).numpy())
    found = clusters.nearest(images, means.cluster_centers_.astype(np.float32))
    np.testing.assert_array_equal(found, means.labels_)


def test_clusters_are_found_with_their_shares_before_the_first_step():
    pictures, bright = bright_and_dark()
    model = small(num_clusters=2)
    data = kerasgen.data.load_images(pictures, image_size=16)
    model.fit(data, epochs=1, steps_per_epoch=1, verbose=0)
    images = pictures.astype(np.float32) / 127.5 - 1
    found = clusters.nearest(tf.constant(images), model.centroids.value).numpy()
    assert set(found[bright]).isdisjoint(found[~bright]) and len(set(found)) == 2
    for network in (model.generator, model.ema_generator):
        shares = model._clusters_of(network).shares.numpy()
        assert shares[found[0]] == pytest.approx(0.2) and shares.sum() == pytest.approx(1)
    before = model.centroids.numpy()
    model.fit(kerasgen.data.load_images(255 - pictures, image_size=16), epochs=1, verbose=0)
    np.testing.assert_array_equal(model.centroids, before)


def test_fewer_different_pictures_than_clusters_are_a_cluster_each():
    pictures = np.repeat(np.uint8([0, 255]), [30, 10])[:, None, None, None]
    pictures = np.broadcast_to(pictures, (40, 16, 16, 1))
    centroids, shares = clusters.find(pictures, 4, seed=0)
    np.testing.assert_allclose(sorted(shares), [0, 0, 0.25, 0.75])
    images = tf.constant([-1.0, 1.0])[:, None, None, None] * tf.ones((2, 16, 16, 1))
    assert set(clusters.nearest(images, centroids).numpy()) == set(np.flatnonzero(shares))


def test_the_discriminator_is_told_the_clusters_of_real_and_generated_pictures(monkeypatch):
    pictures, bright = bright_and_dark()
    model = small(num_clusters=2, instance_noise=0.0, augment=None)
    model.find_clusters(pictures)
    told = {}
    judge = model._judge

    def spy(images, labels, seed, number, training):
        told[number] = labels.numpy()
        return judge(images, labels, seed, number, training)

    monkeypatch.setattr(model, "_judge", spy)
    model.train_step(tf.constant(pictures[:8] / np.float32(127.5) - 1))
    assert (told[0] == told[0][0]).tolist() == bright[:8].tolist()
    model.step.assign(0)  # whose latents these are
    latents = tf.random.stateless_normal((8, 8), model.step_seed(0), alg="philox")
    seen = model._clusters_of(model.generator)(latents)
    np.testing.assert_array_equal(told[1], np.argmax(seen, axis=1))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="num_clusters=1"):
        small(num_clusters=1)
    for wrong in ({"num_clusters": 9}, {"num_clusters": 3, "num_classes": 3}):
        with pytest.raises(ValueError, match="takes the place of `num_classes`"):
            small(**wrong)
    with pytest.raises(ValueError, match="build it with `num_clusters`"):
        small().find_clusters(bright_and_dark()[0])


def test_a_saved_model_keeps_its_clusters(tmp_path):
    model = small(num_clusters=3)
    model.find_clusters(bright_and_dark()[0])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.centroids, model.centroids)
    np.testing.assert_array_equal(again.generate(4, seed=1), model.generate(4, seed=1))
