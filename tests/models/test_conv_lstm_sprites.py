"""Sprites of a ConvLSTM frame generator, and their latents."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from frame_parts import as_floats, as_uint8, lively, moving_discs, small

import kerasgen
from kerasgen.models.conv_lstm.networks import gaussian_divergence


@pytest.mark.parametrize("place", [(0, 0), (3, -2), (1.25, 2.5), (-9.75, 0.5)])
def test_sprites_are_drawn_at_their_places(place):
    """Between pixels as SciPy's linear interpolation; what is beyond the edges isn't there."""
    sprites = small(sprites=2, frame_shape=(16, 12, 3)).network.sprites
    pictures = np.random.default_rng(0).uniform(0, 1, (2, 2, 3, 16, 12)).astype(np.float32)
    places = np.array([[place, (0, 0)], [(0, 1), place]], np.float32)
    drawn = sprites._draw(pictures, places).numpy()
    for clip, sprite in np.ndindex(2, 2):
        shift = (0, *places[clip, sprite])
        expected = scipy.ndimage.shift(
            pictures[clip, sprite], shift, order=1, mode="grid-constant", cval=0
        )
        np.testing.assert_allclose(drawn[clip, sprite], expected, atol=1e-5)
    # What a frame says of a sprite goes back by the transposed matrix.
    other = np.random.default_rng(1).uniform(0, 1, pictures.shape).astype(np.float32)
    back = sprites._draw(other, places, back=True).numpy()
    np.testing.assert_allclose((drawn * other).sum(), (pictures * back).sum(), rtol=1e-5)


def test_sprites_take_over_a_frame_and_move_it():
    """With weights that say so: a shift of 1 and -2 pixels, then the speed is kept."""
    model = small(sprites=2, frame_shape=(64, 64, 1), ema_decay=0)
    motion = model.network.sprites.motion
    motion.kernel.assign(tf.zeros_like(motion.kernel))
    frame = np.zeros((1, 1, 64, 64, 1), np.uint8)
    frame[0, 0, 20:40, 30:45] = np.random.default_rng(0).integers(0, 256, (20, 15, 1))
    np.testing.assert_array_equal(model.predict_frames(frame, 3), frame.repeat(3, axis=1))
    motion.bias.assign([0, 0, 1, -2, 0, 0])
    first = model.predict_frames(frame, 1)[0, 0]
    np.testing.assert_array_equal(first, np.roll(frame[0, 0], (1, -2), (0, 1)))
    state = model.network.initial_state(1)
    patches = model.network.fold(as_floats(frame[:, 0]))
    for _ in range(2):
        _, state = model.network.predict(patches, state)
    kept = 1 + 1.2 * np.tanh(1.2)
    np.testing.assert_allclose(state["sprites"]["speeds"][0], [[kept, -2 * kept]] * 2, rtol=1e-6)
    motion.bias.assign([0, 0, 9, -9, 0, 0])  # faster than is possible
    first = model.predict_frames(frame, 1)[0, 0]
    np.testing.assert_array_equal(first, np.roll(frame[0, 0], (6, -6), (0, 1)))


def test_sprites_are_kept_as_they_are_while_the_model_reads_its_own_frames():
    model = lively(sprites=2)
    frames = model.network.fold(as_floats(moving_discs(2, 4)))
    state = model.network.initial_state(2)
    for step in range(4):
        prediction, state = model.network.predict(frames[:, step], state)
    before = state["sprites"]
    for _ in range(20):
        prediction, state = model.network.predict(prediction, state)
    np.testing.assert_allclose(state["sprites"]["pictures"], before["pictures"], atol=1e-4)
    assert np.abs(state["sprites"]["places"] - before["places"]).max() > 1


def test_the_sum_of_sprites_becomes_the_frame_they_read():
    """What is missing is shared out in full, whatever the weights say."""
    sprites = lively(sprites=3, frame_shape=(32, 32, 1)).network.sprites
    rng = np.random.default_rng(0)
    hidden = rng.normal(0, 1, (2, 8, 8, 10)).astype(np.float32)
    pictures = np.zeros((2, 3, 1, 32, 32), np.float32)
    places = tf.constant([[[1.0, 2.0], [0.0, -3.0], [5.0, 0.0]]] * 2)  # whole: nothing is blurred
    frame = np.zeros((2, 1, 32, 32), np.float32)
    for _ in range(3):  # brighter and brighter
        frame[..., 8:24, 8:24] += rng.uniform(0, 0.3, (2, 1, 16, 16))
        pictures = sprites._correct(frame, hidden, pictures, places)
        drawn = sprites._draw(pictures, places).numpy()
        np.testing.assert_allclose(drawn.sum(1), frame, atol=1e-5)
        assert 0.01 < drawn[:, 0].sum() / frame.sum() < 0.99


def test_latents_push_sprites():
    """With weights that say so: by its kernel, as far as the noise and both heads say."""
    model = small(sprites=2, latent_dim=4, frame_shape=(64, 64, 1), ema_decay=0, beta=1.0)
    network = model.network
    for layers in (network.sprite_latents.prior_layers, network.sprite_latents.posterior_layers):
        layers[-1].kernel.assign(tf.zeros_like(layers[-1].kernel))
    prior, posterior = (
        layers[-1].bias
        for layers in (network.sprite_latents.prior_layers, network.sprite_latents.posterior_layers)
    )
    network.sprites.motion.kernel.assign(tf.zeros_like(network.sprites.motion.kernel))
    network.sprite_latents.speed.kernel.assign([[1.0, 0.0], [0.0, -1.0]])
    prior.assign([1.0, 2.0, 2 * np.log(2.0), 0.0])  # means, then log-variances
    posterior.assign([3.0, 0.0, 0.0, 0.0])
    frame = np.zeros((1, 1, 64, 64, 1), np.uint8)
    frame[0, 0, 20:40, 30:45] = np.random.default_rng(0).integers(0, 256, (20, 15, 1))
    patches = network.fold(as_floats(frame[:, 0]))
    state = network.initial_state(1)

    def shifted(prediction, shift):
        expected = np.roll(frame[0, 0], shift, (0, 1))
        np.testing.assert_array_equal(as_uint8(network.unfold(prediction))[0], expected)

    shifted(network.predict(patches, state)[0], (1, -2))
    noise = tf.constant([[1.5, -3.0, 1.5, -3.0]])
    shifted(network.predict(patches, state, noise)[0], (4, 1))
    prediction, _, divergence = network.observe(patches, patches, state)
    shifted(prediction, (3, 0))
    latents = (np.array([[3.0, 0.0]]), np.zeros((1, 2))), (np.array([[1.0, 2.0]]), np.zeros((1, 2)))
    latents[1][1][0, 0] = 2 * np.log(2.0)
    each = gaussian_divergence(*latents)
    np.testing.assert_allclose(divergence, 2 * each.numpy(), rtol=1e-5)


def test_sprites_learn_where_they_went_and_draw_futures_that_differ():
    """After one frame nobody knows which way: the posterior learns it, the prior spreads."""
    model = kerasgen.ConvLSTMGenerator(
        (16, 16, 1), filters=(8,), sprites=1, latent_dim=2, context_frames=1, ema_decay=0
    )
    model.compile()
    clips = as_floats(moving_discs(256, 3))
    data = tf.data.Dataset.from_tensor_slices(clips).shuffle(256, seed=0).batch(16)
    model.fit(data, epochs=12, verbose=0)
    network, test = model.network, tf.constant(as_floats(moving_discs(64, 3, seed=1)))
    frames = network.fold(test)
    state = network.initial_state(64)
    known = network.observe(frames[:, 0], frames[:, 1], state)[0]
    first, second = (
        network.predict(frames[:, 0], state, tf.random.stateless_normal((64, 2), (seed, 0)))[0]
        for seed in range(2)
    )

    def error(one, other):
        return float(tf.reduce_mean((one - other) ** 2))

    mean = error(network.predict(frames[:, 0], state)[0], frames[:, 1])
    assert error(known, frames[:, 1]) < 0.5 * mean
    assert error(first, second) > 0.5 * mean
