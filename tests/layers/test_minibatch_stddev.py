"""`MinibatchStdDev` against NumPy."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen.layers import MinibatchStdDev


def test_the_channel_is_the_mean_standard_deviation_of_a_group():
    x = np.random.default_rng(0).normal(size=(10, 3, 2, 5)).astype(np.float32)
    result = MinibatchStdDev(group_size=4)(x).numpy()
    np.testing.assert_array_equal(result[..., :5], x)
    for start, stop in ((0, 4), (4, 8), (8, 10)):
        expected = x[start:stop].astype(np.float64).std(0).mean()
        np.testing.assert_allclose(result[start:stop, ..., 5], expected, rtol=1e-5)


def test_equal_pictures_have_none_and_a_finite_slope():
    x = tf.Variable(np.ones((4, 2, 2, 3), np.float32))
    with tf.GradientTape() as tape:
        channel = MinibatchStdDev()(x)[..., 3]
    np.testing.assert_allclose(channel, 0, atol=1e-3)
    assert np.isfinite(tape.gradient(channel, x)).all()


def test_config_and_shape():
    layer = MinibatchStdDev(group_size=8, name="diversity")
    assert layer.compute_output_shape((None, 4, 4, 7)) == (None, 4, 4, 8)
    again = MinibatchStdDev.from_config(layer.get_config())
    assert again.group_size == 8 and again.name == "diversity"
    assert keras.saving.get_registered_name(MinibatchStdDev) == "kerasgen>MinibatchStdDev"
