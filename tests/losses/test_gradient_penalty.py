"""Gradient penalties against closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasgen import losses


def gradients(dtype=np.float32):
    return np.random.default_rng(0).normal(size=(5, 4, 3, 2)).astype(dtype)


@pytest.mark.parametrize(
    "penalty, places",
    [
        (losses.R1(3.0), ("real",)),
        (losses.R2(3.0), ("fake",)),
        (losses.R1R2(3.0), ("real", "fake")),
    ],
)
def test_zero_centred_penalties_are_half_the_squared_length(penalty, places):
    values = gradients()
    expected = [1.5 * (row.astype(np.float64) ** 2).sum() for row in values]
    np.testing.assert_allclose(penalty.values(values), expected, rtol=1e-5)
    assert penalty.places == places


def test_wgan_gp_is_the_squared_distance_of_the_length_from_one():
    values = gradients()
    lengths = np.linalg.norm(values.reshape(5, -1).astype(np.float64), axis=1)
    penalty = losses.WassersteinGradientPenalty(4.0)
    np.testing.assert_allclose(penalty.values(values), 4 * (lengths - 1) ** 2, rtol=1e-5)
    assert penalty.places == ("between",)


def test_wgan_gp_has_a_finite_slope_at_no_gradient():
    zeros = tf.Variable(tf.zeros((2, 3, 3, 1)))
    with tf.GradientTape() as tape:
        values = losses.WassersteinGradientPenalty().values(zeros)
    np.testing.assert_allclose(values, 10.0, rtol=1e-4)
    np.testing.assert_array_equal(tape.gradient(values, zeros), np.zeros((2, 3, 3, 1)))


def test_penalties_are_float32_and_finite_for_half_precision_gradients():
    values = losses.R1().values(tf.constant(np.full((2, 8, 8, 1), 300.0), tf.float16))
    assert values.dtype == tf.float32
    np.testing.assert_allclose(values, 64 * 300.0**2 / 2)


@pytest.mark.parametrize("name", ["r1", "r2", "r1_r2", "wgan_gp"])
def test_penalties_resolve_from_names_objects_and_configs(name):
    penalty = losses.get_penalty(name)
    assert losses.get_penalty(penalty) is penalty
    other = type(penalty)(weight=2.5)
    again = losses.get_penalty(keras.saving.serialize_keras_object(other))
    assert type(again) is type(penalty) and again.get_config() == other.get_config()
    assert again.weight == 2.5


def test_an_interval_survives_serialisation():
    penalty = losses.R1(weight=2.0, interval=16)
    again = losses.get_penalty(keras.saving.serialize_keras_object(penalty))
    assert again.interval == 16


def test_no_penalty_is_none():
    assert losses.get_penalty(None) is None


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: losses.get_penalty("r1r2"), "Did you mean.*'r1_r2'.*Received: penalty='r1r2'"),
        (lambda: losses.get_penalty(3), "wgan_gp.*Received: penalty=3"),
        (lambda: losses.R1(-1.0), "weight=-1.0"),
        (lambda: losses.R1(float("nan")), "weight=nan"),
        (lambda: losses.R1(interval=0), "interval=0"),
        (lambda: losses.WassersteinGradientPenalty("big"), "weight='big'"),
    ],
)
def test_bad_penalties_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
