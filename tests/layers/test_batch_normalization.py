"""`BatchNormalization` against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_twins import gradients

from kerasgen.layers import BatchNormalization

SHAPE = (6, 3, 2, 5)


def draw(shape, seed, dtype=tf.float32):
    return tf.cast(2 + 3 * tf.random.stateless_normal(shape, [7, seed]), dtype)


def pair(shape=SHAPE, **kwargs):
    layers = [kind(**kwargs) for kind in (BatchNormalization, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.build(shape)
        for seed, variable in enumerate(layer.variables):
            variable.assign(abs(draw(variable.shape, seed)))
    return layers


@pytest.mark.parametrize("kwargs", [{}, {"center": False, "scale": False}, {"epsilon": 1e-6}])
def test_training_is_that_of_keras_with_its_gradients_and_moving_statistics(kwargs):
    ours, theirs = pair(momentum=0.8, **kwargs)
    x = draw(SHAPE, 10)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-5)
    for found, expected in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)
    pairs = [gradients(layer, x, training=True) for layer in (ours, theirs)]
    for found, expected in zip(*pairs, strict=True):
        if expected is None:  # a shift has no part in the slope
            assert found is None or not np.any(found)
            continue
        scale = float(tf.reduce_max(tf.abs(expected)))
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_float32_statistics(dtype):
    ours, theirs = pair(momentum=0.8, dtype=dtype)
    x = draw(SHAPE, 10, ours.compute_dtype)
    found, expected = ours(x, training=True), theirs(x, training=True)
    assert found.dtype == ours.compute_dtype
    limit = 0.05 if dtype == "mixed_bfloat16" else 0.005
    np.testing.assert_allclose(
        tf.cast(found, tf.float32), tf.cast(expected, tf.float32), atol=limit
    )
    for found, expected in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "kwargs"), [((6, 5), {}), (SHAPE, {"axis": 1}), (SHAPE, {"renorm": True})]
)
def test_everything_else_is_that_of_keras(shape, kwargs):
    ours, theirs = pair(shape, **kwargs)
    x = draw(shape, 10)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-5)
    ours.trainable = theirs.trainable = False
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-5)


@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_weights_in_half_precision_go_through_too(dtype, limit):
    half, _ = pair(momentum=0.8, dtype=dtype)
    _, exact = pair(momentum=0.8)
    x = draw(SHAPE, 10, dtype)
    found, expected = (layer(x, training=True) for layer in (half, exact))
    np.testing.assert_allclose(tf.cast(found, "float32"), expected, atol=limit)
    for found, expected in zip(half.variables, exact.variables, strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(tf.cast(found.value, "float32"), expected, rtol=limit)
    slopes = gradients(half, x, training=True)
    assert {slope.dtype for slope in slopes[:3]} == {tf.as_dtype(dtype)}


def test_a_frozen_layer_keeps_its_statistics():
    ours, theirs = pair()
    ours.trainable = theirs.trainable = False
    before = ours.get_weights()
    x = draw(SHAPE, 10)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-5)
    for found, expected in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
