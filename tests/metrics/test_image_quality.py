"""PSNR, SSIM and MS-SSIM against TensorFlow's and scikit-image's, and as Keras metrics."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from skimage.metrics import structural_similarity

from kerasgen.metrics.image_quality import MSSSIM, PSNR, SSIM, WANG_WEIGHTS
from kerasgen.pixels import to_float


def pairs(count, height, width=None, channels=3, noise=20, seed=0):
    """Smooth uint8 images, some of them bright and even, beside noisy copies."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 4, 4, channels))
    smooth = tf.image.resize(coarse, (height, width or height), "bicubic").numpy()
    smooth[::3] = 250
    noisy = smooth + rng.normal(0, noise, smooth.shape)
    return tuple(np.clip(np.round(images), 0, 255).astype(np.uint8) for images in (smooth, noisy))


def scikit_ssim(true, pred, data_range):
    values = [
        structural_similarity(
            a.astype(np.float64),
            b.astype(np.float64),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=data_range,
            channel_axis=-1,
        )
        for a, b in zip(true, pred, strict=True)
    ]
    return np.array(values)


def scipy_ms_ssim(true, pred, weights):
    """MS-SSIM of two uint8 images by its definition."""

    def blur(image):
        return ndimage.gaussian_filter(image, 1.5, truncate=3.5)[5:-5, 5:-5]

    def halve(image):
        image = np.pad(image, [(0, side % 2) for side in image.shape], "edge")
        return image.reshape(image.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))

    values = []
    for x, y in zip(
        *(np.moveaxis(image, -1, 0).astype(float) for image in (true, pred)), strict=True
    ):
        value = 1.0
        for scale, weight in enumerate(weights):
            if scale:
                x, y = halve(x), halve(y)
            mean_x, mean_y = blur(x), blur(y)
            covariance = blur(x * y) - mean_x * mean_y
            variances = blur(x * x) - mean_x**2 + blur(y * y) - mean_y**2
            term = (2 * covariance + 7.65**2) / (variances + 7.65**2)
            if scale == len(weights) - 1:
                term *= (2 * mean_x * mean_y + 2.55**2) / (mean_x**2 + mean_y**2 + 2.55**2)
            value *= max(term.mean(), 0) ** weight
        values.append(value)
    return np.mean(values)


def metric_values(metric, true, pred):
    """The metric of each pair by itself."""
    values = []
    for a, b in zip(true, pred, strict=True):
        metric.reset_state()
        values.append(float(metric(a[None], b[None])))
    return np.array(values)


def every_metric(size=41):
    return [PSNR(), SSIM(), MSSSIM(size)]


def test_psnr_is_tensorflows_and_the_definition():
    true, pred = pairs(5, 12, 20)
    expected = tf.image.psnr(true, pred, 255)
    np.testing.assert_allclose(metric_values(PSNR(), true, pred), expected, rtol=1e-6)
    error = np.mean((true.astype(np.float64) - pred) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(
        PSNR()(true, pred), np.mean(10 * np.log10(255**2 / error)), rtol=1e-7
    )
    floats = to_float(true), to_float(pred)
    np.testing.assert_allclose(
        metric_values(PSNR(), *floats), tf.image.psnr(*floats, 2.0), rtol=1e-6
    )
    tenths = np.full((2, 4, 4, 1), 0.6, np.float32), np.full((2, 4, 4, 1), 0.5, np.float32)
    np.testing.assert_allclose(PSNR(data_range=1.0)(*tenths), 20, rtol=1e-6)


@pytest.mark.parametrize("shape", [(11, 11, 1), (28, 28, 1), (40, 25, 3), (64, 64, 4)])
def test_ssim_is_scikit_images(shape):
    true, pred = pairs(4, *shape)
    expected = scikit_ssim(true, pred, 255)
    assert expected.min() < 0.9  # far from where all measures agree
    np.testing.assert_allclose(metric_values(SSIM(), true, pred), expected, atol=1e-6)
    unit = (true / 255).astype(np.float32), (pred / 255).astype(np.float32)
    np.testing.assert_allclose(
        metric_values(SSIM(data_range=1.0), *unit), scikit_ssim(*unit, 1.0), atol=1e-6
    )


def test_given_a_range_ssim_takes_pixels_as_they_come():
    true, pred = (to_float(images).numpy() for images in pairs(4, 24))
    value = SSIM(data_range=2)(true, pred)
    np.testing.assert_allclose(value, scikit_ssim(true, pred, 2.0).mean(), atol=1e-6)
    assert abs(value - SSIM()(true, pred)) > 0.01


@pytest.mark.parametrize(
    ("size", "scales"),
    [((11, 64), 1), (20, 1), (21, 2), (40, 2), (41, 3), ((90, 64), 3), (81, 4), (161, 5)],
)
def test_ms_ssim_has_as_many_scales_as_fit(size, scales):
    metric = MSSSIM(size, dtype="float64")
    weights = np.array(WANG_WEIGHTS[:scales]) / np.sum(WANG_WEIGHTS[:scales])
    assert metric.name == f"ms_ssim_{scales}"
    np.testing.assert_allclose(metric.weights, weights, rtol=1e-12)

    true, pred = pairs(2, *metric.image_size, channels=2)
    expected = [scipy_ms_ssim(*pair, weights) for pair in zip(true, pred, strict=True)]
    np.testing.assert_allclose(metric_values(metric, true, pred), expected, rtol=1e-10)
    opposite = [scipy_ms_ssim(a, 255 - a, weights) for a in true]
    np.testing.assert_allclose(metric_values(metric, true, 255 - true), opposite, rtol=1e-10)

    # TensorFlow computes in float32, which is off by 2e-4 where images are bright and even.
    rng = np.random.default_rng(0)
    true = rng.integers(0, 256, true.shape, np.uint8)
    pred = np.clip(true + rng.normal(0, 50, true.shape), 0, 255).astype(np.uint8)
    np.testing.assert_allclose(
        metric_values(metric, true, pred),
        tf.image.ssim_multiscale(true, pred, 255, power_factors=weights.tolist()),
        atol=1e-5,
    )
    if scales < 5:
        with pytest.raises(tf.errors.InvalidArgumentError):
            tf.image.ssim_multiscale(true, pred, 255, power_factors=WANG_WEIGHTS[: scales + 1])


@pytest.mark.parametrize("index", range(3))
def test_pixels_of_every_dtype_give_the_same_value(index):
    true, pred = pairs(4, 41)
    expected = every_metric()[index](true, pred)
    floats = to_float(true), to_float(pred)
    # Halves round pixels by up to 2^-12 and 2^-9 of 1.
    for dtype, rtol in ((tf.float32, 1e-6), (tf.float64, 1e-6), (tf.float16, 1e-3)):
        images = [tf.cast(image, dtype) for image in floats]
        np.testing.assert_allclose(every_metric()[index](*images), expected, rtol=rtol)
    np.testing.assert_allclose(every_metric()[index](true, floats[1]), expected, rtol=1e-6)
    bfloats = [tf.cast(image, tf.bfloat16) for image in floats]
    np.testing.assert_allclose(
        every_metric()[index](*bfloats),
        every_metric()[index](*(tf.cast(image, tf.float64) for image in bfloats)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("index", range(3))
def test_odd_batches_are_the_mean_over_images(index):
    true, pred = pairs(10, 41)
    metric = every_metric()[index]
    expected = metric_values(metric, true, pred).mean()
    metric.reset_state()
    for part in (slice(0, 1), slice(1, 8), slice(8, 10)):
        metric.update_state(true[part], pred[part])
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


def test_weights_weigh_images():
    true, pred = pairs(4, 16)
    pred[3] = true[3]
    values = metric_values(PSNR(), true, pred)
    weights = np.array([1.0, 0.5, 2.0, 0.0])
    expected = np.sum(values[:3] * weights[:3]) / 3.5
    for given in (weights, weights[:, None], weights.astype(np.float32)):
        metric = PSNR()
        metric.update_state(true, pred, sample_weight=given)
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)
    metric = PSNR()
    metric.update_state(true[:3], pred[:3], sample_weight=0.3)
    np.testing.assert_allclose(metric.result(), values[:3].mean(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"one weight an image.*Received: sample_weight.shape"):
        metric.update_state(true, pred, sample_weight=np.ones((4, 16, 16)))


def test_identical_images():
    true, _ = pairs(2, 41)
    assert np.isposinf(PSNR()(true, true))
    np.testing.assert_allclose(SSIM()(true, true), 1, rtol=1e-7)
    np.testing.assert_allclose(MSSSIM(41)(true, true), 1, rtol=1e-7)


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("given", ["uint8", "float16", "float32"])
def test_graphs_of_unknown_batch_give_the_eager_value(index, given):
    true, pred = pairs(5, 41)
    if given != "uint8":
        true, pred = (tf.cast(to_float(images), given) for images in (true, pred))
    metric = every_metric()[index]
    expected = metric(true, pred)
    metric.reset_state()
    spec = tf.TensorSpec((None, None, None, 3) if index < 2 else (None, 41, 41, 3), given)

    @tf.function(input_signature=[spec, spec])
    def step(true, pred):
        metric.update_state(true, pred)
        return metric.result()

    step(true[:2], pred[:2])
    np.testing.assert_allclose(step(true[2:], pred[2:]), expected, rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError):
        step(true[:1], pred[:3])


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_evaluate_of_a_compiled_model(policy):
    image = keras.Input((41, 41, 3))
    model = keras.Model(image, keras.layers.Rescaling(0.5, 0.25, dtype=policy)(image))
    model.compile(loss="mse", metrics=every_metric())
    true, pred = (to_float(images).numpy() for images in pairs(7, 41, noise=5))
    logs = model.evaluate(pred, true, batch_size=3, verbose=0, return_dict=True)
    outputs = model.predict(pred, verbose=0)
    for metric in every_metric():
        np.testing.assert_allclose(logs[metric.name], metric(true, outputs), rtol=1e-5)


@pytest.mark.parametrize("index", range(3))
def test_before_any_data_the_result_is_nan(index):
    metric = every_metric()[index]
    assert np.isnan(metric.result())
    metric(*pairs(2, 41))
    assert np.isfinite(metric.result())
    metric.reset_state()
    assert np.isnan(metric.result())


@pytest.mark.parametrize(
    "metric", [PSNR(), SSIM(data_range=1.0, name="similarity"), MSSSIM((41, 64), dtype="float16")]
)
def test_configs_round_trip(metric):
    config = keras.saving.serialize_keras_object(metric)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == metric.get_config()
    true, pred = (images / 255 for images in pairs(2, 41, 64))
    assert again(true, pred) == metric(true, pred)
    assert again.result().dtype == metric.dtype


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        (np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 16, 16, 1), np.uint8), "same shape"),
        (np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 16, 16, 3), np.uint8), "same shape"),
        (np.zeros((2, 5, 16, 16, 3)), np.zeros((2, 5, 16, 16, 3)), "reshape frames"),
        (np.full((2, 16, 16, 1), 200.0), np.zeros((2, 16, 16, 1)), "y_true from 200 to 200"),
        (np.zeros((2, 16, 16, 1)), np.full((2, 16, 16, 1), -1.1), "y_pred from -1.1 to -1.1"),
        (np.zeros((2, 16, 16, 1)), np.full((2, 16, 16, 1), np.nan), "y_pred from nan to nan"),
        (np.zeros((2, 16, 16, 1), int), np.zeros((2, 16, 16, 1), int), "y_true.dtype=int64"),
    ],
)
def test_wrong_images_are_refused(true, pred, message):
    for metric in (PSNR(), SSIM()):
        with pytest.raises(ValueError, match=message) as error:
            metric.update_state(true, pred)
        assert "Received: y_" in str(error.value)
        assert np.isnan(metric.result())


def test_images_that_exceed_a_given_range_are_refused():
    with pytest.raises(ValueError, match="Received: y_true and y_pred from 0 to 255"):
        PSNR(data_range=1.0).update_state(np.full((1, 8, 8, 1), 255), np.zeros((1, 8, 8, 1), int))


def test_images_that_the_window_does_not_fit_into_are_refused():
    small = np.zeros((2, 10, 16, 1), np.uint8)
    with pytest.raises(ValueError, match=r"at least 11 x 11.*Received: shape=\(2, 10, 16, 1\)"):
        SSIM().update_state(small, small)
    with pytest.raises(ValueError, match=r"at least 11 pixels.*Received: image_size=\(10, 16\)"):
        MSSSIM((10, 16))
    with pytest.raises(ValueError, match=r"size given at construction, \(16, 16\).*Received"):
        MSSSIM(16).update_state(small, small)


@pytest.mark.parametrize("size", [10, 32.5, (32,), (32, 32, 3), "32"])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(ValueError, match="Received: image_size="):
        MSSSIM(size)


@pytest.mark.parametrize("data_range", [0, -1.0, float("nan"), float("inf"), "255"])
def test_wrong_ranges_are_refused(data_range):
    with pytest.raises(ValueError, match="Received: data_range="):
        SSIM(data_range=data_range)
