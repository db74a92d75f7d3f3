"""`LeakyReLU`: Keras' values and gradients, and a graph that TensorFlow can join."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasgen.layers import Conv2D, LeakyReLU


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_values_and_both_gradients_are_those_of_keras(dtype):
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 6, 6, 3)), "float32")
    found = []
    for layer in (LeakyReLU(0.2, dtype=dtype), keras.layers.LeakyReLU(0.2, dtype=dtype)):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.cast(layer(x), "float32") ** 3
            first = inner.gradient(y, x)
            penalty = tf.reduce_sum(first**2)
        found.append([y, first, outer.gradient(penalty, x)])
    for ours, keras_own in zip(*found, strict=True):
        assert np.abs(keras_own).max() > 0.1
        np.testing.assert_array_equal(ours, keras_own)


def test_the_graph_optimiser_joins_it_to_a_convolution_without_an_error(capfd):
    # With Keras' own layer TensorFlow 2.21 prints that its remapper failed.
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            Conv2D(4, 3),
            Conv2D(4, 3),
            LeakyReLU(0.2),
            keras.layers.Flatten(),
        ]
    )
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 8, 8, 1)), np.ones((4, 64)), verbose=0)
    assert "remapper failed" not in capfd.readouterr().err


def test_config_and_a_slope_that_loses_the_sign():
    layer = LeakyReLU(0.2, name="leaky")
    assert LeakyReLU.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="`negative_slope` must be above 0.*negative_slope=0.0"):
        LeakyReLU(0.0)
