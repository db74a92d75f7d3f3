"""`LatentClusters`: shares, and no jumps."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen.layers import LatentClusters


def test_normal_latents_choose_each_cluster_as_often_as_its_share_says():
    layer = LatentClusters(4)
    layer.build((None, 6))
    latents = tf.random.stateless_normal((100_000, 6), (1, 2))
    for shares in (np.full(4, 0.25), np.array([0.5, 0.3, 0.2, 0.0])):
        layer.shares.assign(shares)
        weights = layer(latents).numpy()
        found = np.bincount(weights.argmax(1), minlength=4) / len(weights)
        np.testing.assert_allclose(found, shares, atol=5 * np.sqrt(0.25 / len(weights)))
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
        assert np.mean(weights.max(1) > 0.9) > 0.75


def test_it_is_a_gumbel_softmax_of_the_first_entries():
    layer = LatentClusters(3)
    layer.build((None, 5))
    layer.shares.assign([0.2, 0.5, 0.3])
    latents = np.array([[0.3, -1.0, 0.1, 9.0, 9.0], [-2.0, 0.5, 1.5, 0.0, 0.0]], np.float32)
    # Of the normal distribution, from a table.
    uniform = np.array([[0.617911, 0.158655, 0.539828], [0.022750, 0.691462, 0.933193]])
    logits = (-np.log(-np.log(uniform)) + np.log([0.2, 0.5, 0.3])) / 0.1
    expected = np.exp(logits - logits.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(layer(latents), expected, rtol=1e-3, atol=1e-6)
    again = LatentClusters.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_the_way_from_one_cluster_to_another_has_no_jump():
    layer = LatentClusters(5)
    layer.build((None, 5))
    layer.shares.assign(np.full(5, 0.2))
    a, b = tf.random.stateless_normal((2, 5), (3, 4)).numpy()
    way = np.linspace(a, b, 2001)
    weights = layer(keras.ops.convert_to_tensor(way, "float32")).numpy()
    assert weights[0].argmax() != weights[-1].argmax()
    assert np.abs(np.diff(weights, axis=0)).max() < 0.05
