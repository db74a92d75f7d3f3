"""Adversarial losses against their definitions in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasgen import losses


def cross_entropy(logits, target):
    """Binary cross-entropy by its definition, -log of the probability of the target."""
    probability = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return -np.log(probability if target else 1 - probability)


def test_non_saturating_is_cross_entropy():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(0, 3, (2, 16, 1)).astype(np.float32)
    loss = losses.NonSaturating()
    np.testing.assert_allclose(
        loss.discriminator(real, fake),
        (cross_entropy(real, 1) + cross_entropy(fake, 0))[:, 0],
        rtol=1e-5,
    )
    np.testing.assert_allclose(loss.generator(real, fake), cross_entropy(fake, 1)[:, 0], rtol=1e-5)


def test_non_saturating_at_the_tie():
    zeros = tf.zeros((4, 1))
    np.testing.assert_allclose(losses.NonSaturating().discriminator(zeros, zeros), 2 * np.log(2))
    np.testing.assert_allclose(losses.NonSaturating().generator(zeros, zeros), np.log(2))


def test_losses_are_finite_float32_for_extreme_half_precision_logits():
    real = tf.constant([[-60000.0], [60000.0]], tf.float16)
    for values in (
        losses.NonSaturating().discriminator(real, -real),
        losses.NonSaturating().generator(real, -real),
    ):
        assert values.dtype == tf.float32
        assert np.isfinite(values).all()


def test_the_generator_learns_even_where_the_discriminator_is_sure():
    logits = tf.Variable([[-20.0]])
    with tf.GradientTape() as tape:
        value = losses.NonSaturating().generator(logits, logits)
    np.testing.assert_allclose(tape.gradient(value, logits), [[-1.0]], rtol=1e-6)


def test_losses_resolve_from_names_objects_and_configs():
    loss = losses.NonSaturating()
    assert losses.get(loss) is loss
    assert type(losses.get("non_saturating")) is losses.NonSaturating
    config = keras.saving.serialize_keras_object(loss)
    assert type(losses.get(config)) is losses.NonSaturating


@pytest.mark.parametrize("identifier", ["non_saturatin", "", None, 3])
def test_unknown_losses_are_named(identifier):
    with pytest.raises(ValueError, match="non_saturating.*Received: loss="):
        losses.get(identifier)
