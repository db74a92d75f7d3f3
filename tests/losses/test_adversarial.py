"""Adversarial losses against their definitions in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasgen import losses

NAMES = ["non_saturating", "least_squares", "hinge", "wasserstein", "relativistic_paired"]


def cross_entropy(logits, target):
    """Binary cross-entropy by its definition, -log of the probability of the target."""
    probability = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return -np.log(probability if target else 1 - probability)


def logits():
    return np.random.default_rng(0).normal(0, 3, (2, 16, 1)).astype(np.float32)


# name -> what both sides minimise, by the papers' formulas
DEFINITIONS = {
    "non_saturating": (
        lambda real, fake: cross_entropy(real, 1) + cross_entropy(fake, 0),
        lambda real, fake: cross_entropy(fake, 1),
    ),
    "least_squares": (
        lambda real, fake: 0.5 * np.square(real - 1) + 0.5 * np.square(fake),
        lambda real, fake: 0.5 * np.square(fake - 1),
    ),
    "hinge": (
        lambda real, fake: -np.minimum(0, real - 1) - np.minimum(0, -fake - 1),
        lambda real, fake: -fake,
    ),
    "wasserstein": (lambda real, fake: fake - real, lambda real, fake: -fake),
    "relativistic_paired": (
        lambda real, fake: cross_entropy(real - fake, 1),
        lambda real, fake: cross_entropy(fake - real, 1),
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_their_papers(name):
    real, fake = logits()
    loss = losses.get(name)
    values = loss.discriminator(real, fake), loss.generator(real, fake)
    for value, definition in zip(values, DEFINITIONS[name], strict=True):
        expected = definition(real.astype(np.float64), fake.astype(np.float64))
        np.testing.assert_allclose(value, expected[:, 0], rtol=1e-5)


def test_non_saturating_at_the_tie():
    zeros = tf.zeros((4, 1))
    np.testing.assert_allclose(losses.NonSaturating().discriminator(zeros, zeros), 2 * np.log(2))
    np.testing.assert_allclose(losses.NonSaturating().generator(zeros, zeros), np.log(2))


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_finite_float32_for_extreme_half_precision_logits(name):
    loss, real = losses.get(name), tf.constant([[-60000.0], [60000.0]], tf.float16)
    for values in (loss.discriminator(real, -real), loss.generator(real, -real)):
        assert values.dtype == tf.float32
        assert np.isfinite(values).all()


def test_the_generator_learns_even_where_the_discriminator_is_sure():
    fake = tf.Variable([[-20.0]])
    for name in ("non_saturating", "hinge", "wasserstein", "relativistic_paired"):
        with tf.GradientTape() as tape:
            value = losses.get(name).generator(tf.zeros((1, 1)), fake)
        np.testing.assert_allclose(tape.gradient(value, fake), [[-1.0]], rtol=1e-6)


def test_the_discriminator_rests_beyond_the_hinges():
    real, fake = tf.Variable([[1.5]]), tf.Variable([[-1.5]])
    with tf.GradientTape() as tape:
        value = losses.Hinge().discriminator(real, fake)
    for gradient in tape.gradient(value, (real, fake)):
        np.testing.assert_array_equal(gradient, [[0.0]])


def test_a_common_shift_of_the_logits_is_nothing_to_the_relativistic_loss():
    real, fake = logits()
    loss = losses.RelativisticPaired()
    for side in (loss.discriminator, loss.generator):
        np.testing.assert_allclose(side(real, fake), side(real + 7, fake + 7), rtol=1e-4)
    np.testing.assert_allclose(loss.scores(real, fake), loss.scores(real + 7, fake + 7), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_one_half_at_the_tie_and_rise_with_the_logits(name):
    tie = 0.5 if name == "least_squares" else 0.0
    loss, ties = losses.get(name), np.full((3, 1), tie, np.float32)
    for scores in loss.scores(ties, ties):
        np.testing.assert_allclose(scores, 0.5)
    real, fake = loss.scores(ties + 0.3, ties - 0.2)
    assert (real > 0.5).numpy().all() and (fake < 0.5).numpy().all()


@pytest.mark.parametrize("name", NAMES)
def test_losses_resolve_from_names_objects_and_configs(name):
    loss = losses.get(name)
    assert losses.get(loss) is loss
    config = keras.saving.serialize_keras_object(loss)
    assert type(losses.get(config)) is type(loss)


@pytest.mark.parametrize("identifier", ["non_saturatin", "", None, 3])
def test_unknown_losses_are_named(identifier):
    with pytest.raises(ValueError, match="non_saturating.*Received: loss="):
        losses.get(identifier)


def test_the_nearest_name_is_suggested():
    with pytest.raises(ValueError, match="Did you mean 'relativistic_paired'"):
        losses.get("relativistic")
