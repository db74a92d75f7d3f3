"""`Conv2D` and `Conv2DTranspose` against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_twins import gradients

from kerasgen.layers import Conv2D, Conv2DTranspose

# A picture's few channels, both sides of a small map, and many channels of a large one.
CASES = [((12, 8), 1, 6), ((8, 8), 3, 5), ((8, 4), 6, 7), ((16, 12), 5, 3)]


def draw(shape, seed, dtype=tf.float32):
    return tf.cast(tf.random.stateless_normal(shape, [7, seed]), dtype)


def pair(kind, filters, shape, kernel_size=4, strides=2, **kwargs):
    """The layer and Keras' own, with the same weights."""
    kwargs = {"strides": strides, "padding": "same", **kwargs}
    ours = kind(filters, kernel_size, **kwargs)
    theirs = getattr(keras.layers, kind.__name__)(filters, kernel_size, **kwargs)
    for layer in (ours, theirs):
        layer.build(shape)
        for seed, variable in enumerate(layer.variables):
            variable.assign(draw(variable.shape, seed))
    return ours, theirs


def shape_of(kind, sides, channels, filters):
    """An input's shape and the layer's filters: the transposed layer goes the other way."""
    if kind is Conv2D:
        return (3, *sides, channels), filters
    return (3, sides[0] // 2, sides[1] // 2, filters), channels


@pytest.mark.parametrize(("sides", "channels", "filters"), CASES)
@pytest.mark.parametrize("kind", [Conv2D, Conv2DTranspose])
def test_values_and_gradients_of_both_orders_are_those_of_keras(kind, sides, channels, filters):
    shape, filters = shape_of(kind, sides, channels, filters)
    ours, theirs = pair(kind, filters, shape)
    x = draw(shape, 10)
    expected = [theirs(x), *gradients(theirs, x)]
    for training in (True, False):
        found = [ours(x, training=training), *gradients(ours, x, training=training)]
        for one, other in zip(found, expected, strict=True):
            scale = float(tf.reduce_max(tf.abs(other)))
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize(("sides", "channels", "filters"), CASES)
@pytest.mark.parametrize("kind", [Conv2D, Conv2DTranspose])
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_as_near_to_float32(kind, sides, channels, filters, dtype):
    shape, filters = shape_of(kind, sides, channels, filters)
    half, _ = pair(kind, filters, shape, dtype=dtype)
    _, exact = pair(kind, filters, shape)
    x = draw(shape, 10)

    def slopes(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(layer(x, training=True), tf.float32) ** 2) / 100
        return tape.gradient(loss, [x, layer.kernel.value])

    assert half(x).dtype == half.compute_dtype
    limit = 0.03 if dtype == "mixed_bfloat16" else 0.005
    for found, expected in zip(slopes(half), slopes(exact), strict=True):
        assert tf.norm(found - expected) < limit * tf.norm(expected)


@pytest.mark.parametrize("kind", [Conv2D, Conv2DTranspose])
@pytest.mark.parametrize(
    "changes",
    [
        {"kernel_size": 3},
        {"kernel_size": 5, "strides": 1},
        {"padding": "valid"},
        {"activation": "relu", "use_bias": False},
    ],
)
def test_other_arguments_are_those_of_keras(kind, changes):
    ours, theirs = pair(kind, 4, (2, 7, 6, 3), **changes)
    x = draw((2, 7, 6, 3), 10)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-4)
    np.testing.assert_allclose(ours(x).shape, ours.compute_output_shape(x.shape))


def test_an_odd_picture_and_sides_that_are_not_known_yet_go_through():
    ours, theirs = pair(Conv2D, 4, (2, 7, 6, 3))
    x = draw((2, 7, 6, 3), 10)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-4)
    for kind in (Conv2D, Conv2DTranspose):
        ours, theirs = pair(kind, 4, (None, None, None, 3))
        compute = tf.function(ours, input_signature=[tf.TensorSpec((None, None, None, 3))])
        np.testing.assert_allclose(compute(x[:, :6]), theirs(x[:, :6]), atol=1e-4)


def test_weights_are_saved_under_the_names_of_keras(tmp_path):
    def build(kinds):
        x = inputs = keras.Input((8, 8, 2))
        for kind in kinds:
            x = kind(2, 4, strides=2, padding="same")(x)
        return keras.Model(inputs, x)

    ours = build([Conv2D, Conv2DTranspose, Conv2D])
    own = keras.layers
    theirs = build([own.Conv2D, own.Conv2DTranspose, own.Conv2D])
    theirs.save_weights(tmp_path / "own.weights.h5")
    ours.load_weights(tmp_path / "own.weights.h5")
    for found, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    ours.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in ours.layers]
    x = draw((2, 8, 8, 2), 10)
    np.testing.assert_allclose(again(x), ours(x))
