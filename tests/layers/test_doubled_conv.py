import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasgen.layers import DoubledConv2D


def both(shape, dtype="float32", **kwargs):
    """The layer, and what it stands for with the same weights."""
    layer = DoubledConv2D(5, dtype=dtype, **kwargs)
    layer.build(shape)
    plain = keras.layers.Conv2D(5, 3, padding="same", dtype=dtype, **kwargs)
    plain.build(shape)
    for variable in layer.variables:
        variable.assign(keras.random.normal(variable.shape, seed=len(variable.shape)))
    plain.set_weights(layer.get_weights())
    return layer, lambda x: plain(keras.layers.UpSampling2D(2)(x)), plain


@pytest.mark.parametrize("side", [(1, 1), (1, 3), (4, 4), (7, 5)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_it_is_the_convolution_of_doubled_pixels_to_the_border(side, use_bias):
    layer, reference, _ = both((2, *side, 3), use_bias=use_bias)
    x = tf.random.stateless_normal((2, *side, 3), [1, 2])
    assert layer.compute_output_shape(x.shape) == (2, 2 * side[0], 2 * side[1], 5)
    np.testing.assert_allclose(layer(x), reference(x), atol=1e-5)


def test_gradients_are_those_of_the_convolution_of_doubled_pixels():
    layer, reference, plain = both((2, 6, 6, 3))
    x = tf.Variable(tf.random.stateless_normal((2, 6, 6, 3), [1, 2]))
    found = []
    for compute, weights in ((layer, layer), (reference, plain)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(compute(x)))
        variables = [x] + [variable.value for variable in weights.trainable_variables]
        found.append(tape.gradient(loss, variables))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_it_computes_in_half_precision_and_comes_back_from_its_config():
    layer, reference, _ = both((2, 4, 4, 3), dtype="mixed_bfloat16")
    x = tf.random.stateless_normal((2, 4, 4, 3), [1, 2])
    assert layer(x).dtype == tf.bfloat16
    np.testing.assert_allclose(
        tf.cast(layer(x), tf.float32), tf.cast(reference(x), tf.float32), atol=0.15
    )
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is DoubledConv2D and again.get_config() == layer.get_config()
