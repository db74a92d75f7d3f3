"""Reconstruction losses against NumPy and scikit-image."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import structural_similarity

from kerasgen import losses
from kerasgen.losses.reconstruction import image_losses


def pictures(shape=(5, 16, 20, 3), seed=0):
    rng = np.random.default_rng(seed)
    images = rng.uniform(-0.99, 0.99, shape)
    noise = rng.normal(0, 0.3, shape) * np.linspace(0, 1, shape[0])[:, None, None, None]
    # Not quite to black and white, where float32's logarithms of probabilities are coarse.
    return images.astype(np.float32), np.clip(images + noise, -0.99, 0.99).astype(np.float32)


def numpy_loss(name, x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    if name == "ssim":
        similarities = [
            structural_similarity(
                *((image + 1) / 2 for image in pair),
                data_range=1.0,
                channel_axis=-1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for pair in zip(x, y, strict=True)
        ]
        return 1 - np.array(similarities)
    p = np.clip((y + 1) / 2, 1e-6, 1 - 1e-6)
    t = (x + 1) / 2
    values = {
        "mse": (x - y) ** 2,
        "mae": np.abs(x - y),
        "bce": -(t * np.log(p) + (1 - t) * np.log(1 - p)),
    }[name]
    return values.mean((1, 2, 3))


@pytest.mark.parametrize("name", ["mse", "mae", "bce", "ssim"])
def test_values_of_pictures_equal_a_reference(name):
    x, y = pictures()
    values = losses.get_reconstruction(name).call(x, y)
    assert values.dtype == tf.float32
    np.testing.assert_allclose(values, numpy_loss(name, x, y), rtol=2e-5, atol=1e-6)
    if name != "bce":
        np.testing.assert_allclose(values[0], 0, atol=1e-6)


@pytest.mark.parametrize("name", ["mse", "mae", "bce", "ssim"])
def test_gradients_equal_differences(name):
    x, y = pictures((2, 12, 12, 1), seed=1)
    x, y = 0.9 * x, 0.9 * y  # away from where the logarithm is cut
    loss = losses.get_reconstruction(name)
    y = tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch(y)
        total = tf.reduce_sum(loss.call(x, y))
    gradient = tape.gradient(total, y).numpy()
    for index in [(0, 0, 0, 0), (1, 6, 5, 0), (1, 11, 11, 0)]:
        moved = [y.numpy().astype(np.float64) for _ in range(2)]
        moved[0][index] -= 1e-4
        moved[1][index] += 1e-4
        low, high = (numpy_loss(name, x, values).sum() for values in moved)
        np.testing.assert_allclose(gradient[index], (high - low) / 2e-4, rtol=2e-3, atol=1e-6)


def test_nats_are_log_likelihoods_of_whole_pictures():
    """Against densities pixel by pixel, written out."""
    x, y = pictures((3, 4, 4, 2))
    scale = np.float32(0.07)
    gaussian = 0.5 * np.log(2 * np.pi * scale) + (x - y) ** 2 / (2 * scale)
    laplace = np.log(2 * scale) + np.abs(x - y) / scale
    for name, expected in (
        ("mse", gaussian.sum((1, 2, 3))),
        ("mae", laplace.sum((1, 2, 3))),
        ("bce", 32 * numpy_loss("bce", x, y)),
    ):
        loss = losses.get_reconstruction(name)
        np.testing.assert_allclose(loss.nats(loss.call(x, y), scale, 32), expected, rtol=1e-5)
    assert losses.StructuralDissimilarity().likelihood is None


def test_the_mean_error_is_the_most_likely_scale():
    values = tf.constant([0.02, 0.06])
    for loss in (losses.SquaredError(), losses.AbsoluteError()):
        nats = [tf.reduce_mean(loss.nats(values, s, 64)) for s in (0.036, 0.04, 0.044)]
        assert nats[1] < nats[0] and nats[1] < nats[2]


def test_values_are_finite_float32_whatever_comes():
    black, white = -tf.ones((1, 12, 12, 1), tf.float16), tf.ones((1, 12, 12, 1), tf.float16)
    for name in ("mse", "mae", "bce", "ssim"):
        loss = losses.get_reconstruction(name)
        for pair in ((black, white), (white, black), (white, white)):
            values = loss.call(*pair)
            assert values.dtype == tf.float32
            assert np.isfinite(values).all()
    np.testing.assert_allclose(losses.CrossEntropy().call(black, white), -np.log(1e-6), rtol=1e-3)


def test_any_keras_loss_gives_one_value_a_picture():
    x, y = pictures()
    huber = np.abs(x - y)
    huber = np.where(huber <= 1, huber**2 / 2, huber - 0.5).mean((1, 2, 3))
    for identifier in (
        "huber",
        keras.losses.Huber(),
        keras.losses.serialize(keras.losses.Huber()),
        lambda x, y: keras.losses.huber(x, y),
    ):
        loss = losses.get_reconstruction(identifier)
        np.testing.assert_allclose(image_losses(loss, x, y), huber, rtol=1e-5)
    with pytest.raises(ValueError, match="one value a picture.*Received"):
        image_losses(lambda x, y: tf.reduce_mean(x - y), x, y)


def test_losses_resolve_from_names_objects_and_configs():
    for name in ("mse", "mae", "bce", "ssim"):
        loss = losses.get_reconstruction(name)
        assert loss.name == name
        assert losses.get_reconstruction(loss) is loss
        config = keras.saving.serialize_keras_object(loss)
        assert config["registered_name"].startswith("kerasgen>")
        assert type(losses.get_reconstruction(config)) is type(loss)


def test_keras_models_take_them_too():
    x, y = pictures()
    assert abs(float(losses.SquaredError()(x, y)) - ((x - y) ** 2).mean()) < 1e-6


@pytest.mark.parametrize("identifier", ["mean_squared", "", None, 3])
def test_unknown_losses_are_named(identifier):
    with pytest.raises(ValueError, match="'mse'.*Received: loss="):
        losses.get_reconstruction(identifier)


def test_pictures_smaller_than_the_window_are_named():
    with pytest.raises(ValueError, match=r"11 x 11.*image_shape=\(8, 16, 1\)"):
        losses.StructuralDissimilarity().check_shape((8, 16, 1))
    with pytest.raises(ValueError, match="11 x 11"):
        losses.StructuralDissimilarity().call(tf.zeros((1, 8, 16, 1)), tf.zeros((1, 8, 16, 1)))
