"""DCGANs that take clusters of the pictures for classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from dcgan_parts import SMALL, DCGANChecks, small
from sklearn.cluster import KMeans

import kerasgen
from kerasgen.models.dcgan import clusters


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(clusters, "PICTURES_EACH", 1)


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
    pictures = np.repeat(np.float32([-1, 1]), [30, 10])[:, None, None, None]
    pictures = np.broadcast_to(pictures, (40, 16, 16, 1))
    centroids, shares = clusters.find(pictures, 4, seed=0)
    np.testing.assert_allclose(sorted(shares), [0, 0, 0.25, 0.75])
    images = tf.constant([-1.0, 1.0])[:, None, None, None] * tf.ones((2, 16, 16, 1))
    assert set(clusters.nearest(images, centroids).numpy()) == set(np.flatnonzero(shares))


@pytest.mark.parametrize(("different", "clusters_found"), [(99, 1), (250, 2), (1000, 5)])
def test_a_cluster_stands_for_a_hundred_different_pictures(different, clusters_found, monkeypatch):
    monkeypatch.undo()
    pictures = np.random.default_rng(0).integers(0, 256, (different, 8, 8, 1)).astype(np.uint8)
    model = small(image_shape=(8, 8, 1), num_clusters=5)
    model.find_clusters(np.concatenate([pictures, pictures]))  # twice as many, not as different
    shares = model._clusters_of(model.ema_generator).shares.numpy()
    assert np.count_nonzero(shares) == clusters_found and shares.sum() == pytest.approx(1)


def test_until_clusters_are_found_all_pictures_are_in_the_first():
    model = small(num_clusters=3)
    weights = model._clusters_of(model.generator)(tf.random.stateless_normal((200, 8), (1, 2)))
    np.testing.assert_allclose(weights, np.tile([1, 0, 0], (200, 1)), atol=1e-6)
    assert not clusters.nearest(tf.ones((5, 16, 16, 1)), model.centroids.value).numpy().any()
    pictures = bright_and_dark()[0].astype(np.float32) / 127.5 - 1
    model.fit(((batch,) for batch in pictures.reshape(20, 8, 16, 16, 1)), verbose=0)
    assert not model.centroids.numpy().any()  # a generator can be read only once
    model.fit(pictures, batch_size=8, verbose=0)
    assert not model.centroids.numpy().any()  # too late: the networks know a single cluster
    model = small(num_clusters=3)
    model.fit(pictures, batch_size=8, verbose=0)
    assert np.all(np.any(model.centroids, axis=1))


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
    with pytest.raises(ValueError, match="num_clusters=0"):
        small(num_clusters=0)
    for wrong in ({"num_clusters": 9}, {"num_clusters": 3, "num_classes": 3}):
        with pytest.raises(ValueError, match="at most `latent_dim`, and 1 if there are classes"):
            small(**wrong)
    with pytest.raises(ValueError, match="made for pictures of shape"):
        small(num_clusters=3).fit(np.zeros((8, 12, 16, 1), np.float32), verbose=0)
    with pytest.raises(ValueError, match="build it with `num_clusters`"):
        small().find_clusters(bright_and_dark()[0])


def test_by_default_there_are_as_many_as_the_latent_can_choose_up_to_a_hundred():
    for latent_dim, expected in ((1, 1), (8, 8), (128, 100)):
        model = small(num_clusters=None, latent_dim=latent_dim)
        assert model.num_clusters == expected
    assert "num_clusters=100, kinds of pictures" in "".join(model.explain())
    assert small(num_clusters=None, num_classes=3).num_clusters == 1


def test_a_saved_model_keeps_its_clusters(tmp_path):
    model = small(num_clusters=3)
    model.find_clusters(bright_and_dark()[0])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.centroids, model.centroids)
    np.testing.assert_array_equal(again.generate(4, seed=1), model.generate(4, seed=1))
