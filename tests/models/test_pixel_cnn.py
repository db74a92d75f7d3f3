"""Gated PixelCNN: the shared checks, and what is its own."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_checks import ModelChecks

import kerasgen
from kerasgen.cli import main
from kerasgen.models.pixel_cnn.levels import from_levels, to_levels
from kerasgen.models.pixel_cnn.sampling import draw_uniforms, sample
from kerasgen.pixels import to_uint8

SMALL = {"image_shape": (8, 8, 1), "filters": 8, "blocks": 2}


class TestPixelCNN(ModelChecks):
    model_class = kerasgen.PixelCNN
    init_kwargs = SMALL
    networks = ["network"]
    optimizers = ["optimizer"]
    batch_statistics = False
    shapes = [(7, 5, 3), (4, 6, 4), (3, 9, 2)]
    wrong_shapes = [(8, 8, 0)]  # any side will do


def lively(seed=0, **settings):
    """A model whose probabilities depend on what came before: with all weights drawn anew."""
    model = kerasgen.PixelCNN(**{**SMALL, **settings})
    rng = np.random.default_rng(seed)
    for network in {id(n): n for n in (model.network, model.ema_network)}.values():
        for variable in network.variables:
            variable.assign(rng.normal(scale=0.6, size=variable.shape))
    return model


def every_picture(shape, levels):
    """All pictures of a shape, float32 in [-1, 1]."""
    values = itertools.product(range(levels), repeat=int(np.prod(shape)))
    return from_levels(np.array(list(values)).reshape(-1, *shape), levels).numpy()


# === Likelihood ===


@pytest.mark.parametrize(("shape", "levels"), [((3, 3, 1), 2), ((2, 2, 1), 8), ((1, 2, 3), 4)])
def test_the_probabilities_of_all_pictures_add_up_to_one(shape, levels):
    model = lively(image_shape=shape, levels=levels)
    likelihoods = model.log_likelihood(every_picture(shape, levels))
    assert np.exp(likelihoods).sum() == pytest.approx(1, abs=1e-4)
    assert likelihoods.std() > 0.5  # else any network would pass


def test_pictures_come_as_often_as_they_are_likely():
    shape, levels = (2, 2, 1), 2
    model = lively(image_shape=shape, levels=levels, seed=2)
    pictures = every_picture(shape, levels)
    expected = np.exp(model.log_likelihood(pictures))
    count = 6400
    drawn = to_levels(model.generate(count, seed=3), levels).numpy().reshape(count, -1)
    places = drawn @ (2 ** np.arange(3, -1, -1))
    counts = np.bincount(places, minlength=16)
    spread = np.sqrt(count * expected * (1 - expected))
    assert (np.abs(counts - count * expected) < 4 * spread + 1).all()
    assert expected.max() > 3 * expected.min()


def test_bits_are_the_mean_of_the_levels_logarithms():
    model = lively(levels=4, image_shape=(4, 5, 2))
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 2), np.uint8)
    logits = model(tf.constant(pictures)).numpy().astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = np.take_along_axis(chances, (pictures // 64).astype(int)[..., None], -1)
    expected = -np.log2(chosen).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(model.bits_per_dimension(pictures), expected, rtol=1e-5)
    np.testing.assert_allclose(
        model.log_likelihood(pictures), -expected * 40 * np.log(2), rtol=1e-5
    )
    floats = pictures / np.float32(127.5) - 1
    np.testing.assert_array_equal(
        model.bits_per_dimension(floats), model.bits_per_dimension(pictures)
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_value_depends_on_all_before_it_and_on_none_after(channels):
    shape = (7, 7, channels)
    model = lively(image_shape=shape, blocks=4, filters=4)
    images = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, *shape)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        logits = tf.reshape(model.ema_network(images), (-1, model.levels))
        # one sum of levels alone could be the same whatever the picture
        values = tf.unstack(tf.reduce_sum(logits * tf.range(float(model.levels)), axis=1))
    for place in (0, 1, 6, 7, 20, 24, 48, 49 * channels - 1):
        slopes = tape.gradient(values[place], images, unconnected_gradients="zero")
        depends = slopes.numpy().reshape(-1) != 0
        np.testing.assert_array_equal(depends, np.arange(len(depends)) < place)


def test_training_comes_to_the_entropy_of_the_data():
    """Plain pictures of four equally frequent levels: two bits a picture, however large."""
    plain = np.repeat(np.uint8([20, 90, 150, 240]), 16)[:, None, None, None]
    pictures = np.broadcast_to(plain, (64, 4, 4, 1)).copy()
    model = kerasgen.PixelCNN((4, 4, 1), levels=4, filters=8, blocks=2)
    model.compile(learning_rate=1e-2)
    data = kerasgen.data.load_images(pictures, image_size=4, batch_size=16)
    model.fit(data, epochs=80, verbose=0, shuffle=False)
    bits = model.bits_per_dimension(pictures)
    assert 2 / 16 - 1e-6 < bits.mean() < 1.15 * 2 / 16
    drawn = to_levels(model.generate(64, seed=0), 4).numpy().reshape(64, -1)
    assert (drawn == drawn[:, :1]).all(axis=1).mean() > 0.8
    assert len(set(drawn[:, 0])) == 4


# === Generation ===


@pytest.mark.parametrize(("shape", "blocks"), [((6, 7, 1), 1), ((5, 4, 3), 4)])
def test_what_is_kept_while_drawing_is_what_the_whole_network_finds(shape, blocks):
    model = lively(image_shape=shape, blocks=blocks)
    uniforms = draw_uniforms(tf.constant([[5, n] for n in range(8)], tf.int64), shape)
    levels = sample(model.ema_network, uniforms).numpy()
    uniforms = uniforms.numpy()
    logits = model.ema_network(from_levels(levels, model.levels)).numpy().astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    passed = np.cumsum(chances, axis=-1)
    below = np.take_along_axis(passed - chances, levels[..., None], -1)[..., 0]
    above = np.take_along_axis(passed, levels[..., None], -1)[..., 0]
    assert (below - 1e-5 <= uniforms).all() and (uniforms <= above + 1e-5).all()
    assert len(np.unique(levels)) > 4


@pytest.mark.parametrize("levels", [2**bits for bits in range(1, 9)])
def test_levels_take_equal_shares_and_are_levels_again(levels):
    values = np.arange(256, dtype=np.uint8)
    found = to_levels(values, levels).numpy()
    np.testing.assert_array_equal(found, np.repeat(np.arange(levels), 256 // levels))
    pictures = to_uint8(from_levels(np.arange(levels), levels)).numpy()
    assert pictures[0] == 0 and pictures[-1] == 255
    np.testing.assert_array_equal(to_levels(pictures, levels), np.arange(levels))


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="levels.*Received: levels=10"):
        kerasgen.PixelCNN((8, 8, 1), levels=10)
    with pytest.raises(ValueError, match="at least 1 pixel.*Received"):
        kerasgen.PixelCNN((8, 0, 1))
    with pytest.raises(ValueError, match="Received: shape"):
        kerasgen.PixelCNN(**SMALL).bits_per_dimension(np.zeros((1, 8, 9, 1), np.uint8))


# === By the contract alone ===


def test_a_preset_draws_the_same(tmp_path):
    model = lively()
    model.save_to_preset(tmp_path / "pixels")
    again = kerasgen.from_preset(tmp_path / "pixels")
    assert type(again) is kerasgen.PixelCNN
    np.testing.assert_array_equal(again.generate(5, seed=1), model.generate(5, seed=1))


def test_the_command_line_trains_measures_exports_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--set", "filters=8", "--set", "blocks=2", "--set", "levels=4", "--image-size", "8"]
    train = ["train", "pixelcnn", "--data", "digits", *small, "--batch-size", "256"]
    assert main([*train, "--epochs", "2", "--out", "run"]) == 0
    assert (tmp_path / "run" / "saved_model" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "run" / "evaluations.jsonl").read_text().count("\n") >= 1
    assert main(["generate", "run", "--num", "3", "--seed", "2", "--out", "drawn"]) == 0
    drawn = keras.saving.load_model(tmp_path / "run" / "model.keras").generate(3, seed=2)
    for index, picture in enumerate(drawn):
        file = tf.io.read_file(str(tmp_path / "drawn" / f"{index:05d}.png"))
        np.testing.assert_array_equal(tf.io.decode_png(file), picture)
    card = (tmp_path / "run" / "saved_model" / "SERVING.md").read_text()
    assert "bits_per_dimension_png" in card and "generate_png" in card
