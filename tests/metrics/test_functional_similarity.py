"""PSNR, SSIM and MS-SSIM against scikit-image and TensorFlow, and the diversity made of them."""

import itertools

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from kerasgen.metrics.functional import ms_ssim, ms_ssim_diversity, num_scales, psnr, ssim

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def picture(height, width, channels=3, seed=0):
    """Waves and noise, so that there is structure to compare."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(rng.uniform(0.05, 0.4, 2) @ np.stack([y, x]).reshape(2, -1)) for _ in "abcd"]
    plane = np.sum(waves, axis=0).reshape(height, width, 1)
    noise = rng.normal(0, 0.3, (height, width, channels))
    return np.clip(128 + 40 * (plane + noise), 0, 255).astype(np.uint8)


def disturbed(image, strength=25, seed=9):
    noise = np.random.default_rng(seed).normal(0, strength, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def skimage_ssim(a, b, data_range):
    return structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=data_range, channel_axis=-1,
    )  # fmt: skip


SIZES = [(64, 64, 3), (11, 11, 1), (11, 40, 2), (45, 23, 4)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strength", [3, 60])
def test_ssim_is_that_of_skimage(size, strength):
    image = picture(*size)
    other = disturbed(image, strength)
    assert ssim(image, other) == pytest.approx(skimage_ssim(image, other, 255), abs=1e-12)
    floats = [x / 127.5 - 1 for x in (image, other)]
    expected = skimage_ssim(*floats, 2.0)
    assert ssim(*floats, data_range=2) == pytest.approx(expected, abs=1e-12)
    singles = [x.astype(np.float32) for x in floats]
    assert ssim(*singles, data_range=2) == pytest.approx(expected, abs=1e-5)


def test_psnr_is_that_of_skimage():
    image = picture(20, 30)
    other = disturbed(image)
    expected = peak_signal_noise_ratio(image, other, data_range=255)
    assert psnr(image, other) == pytest.approx(expected, rel=1e-12)
    assert psnr(image / 255, other / 255, data_range=1) == pytest.approx(expected, rel=1e-12)
    assert psnr(image, image) == np.inf
    assert psnr(np.uint8([[[0]]]), np.uint8([[[255]]])) == 0


@pytest.mark.parametrize("size", [(64, 64, 3), (95, 71, 3), (176, 161, 1), (12, 50, 2)])
def test_ms_ssim_is_that_of_tensorflow(size):
    import tensorflow as tf

    image = picture(*size)
    for strength in (10, 80):
        other = disturbed(image, strength)
        for scales in {1, num_scales(*size[:2])}:
            weights = WEIGHTS[:scales] / WEIGHTS[:scales].sum()
            expected = float(tf.image.ssim_multiscale(image, other, 255, weights.tolist()))
            got = ms_ssim(image, other, None if scales > 1 else 1)
            assert got == pytest.approx(expected, abs=1e-5)
            assert 0.05 < got < 0.999


def test_negative_similarity_counts_as_none():
    image = picture(32, 32, 1)
    assert ssim(image, 255 - image) < -0.1
    assert ms_ssim(image, 255 - image) == 0


@pytest.mark.parametrize("measure", [psnr, ssim, ms_ssim])
def test_batches_are_their_images(measure, monkeypatch):
    a = np.stack([picture(24, 30, seed=s) for s in range(6)])
    b = np.stack([disturbed(image, 20 + 5 * s, s) for s, image in enumerate(a)])
    expected = np.array([measure(x, y) for x, y in zip(a, b, strict=True)])
    assert isinstance(measure(a[0], b[0]), float)
    assert len(np.unique(expected.round(6))) == 6
    clips = [x.reshape(3, 2, 24, 30, 3) for x in (a, b)]
    np.testing.assert_allclose(measure(*clips), expected.reshape(3, 2), rtol=1e-12)
    monkeypatch.setattr("kerasgen.metrics.functional.similarity._VALUES_AT_A_TIME", 5000)
    np.testing.assert_allclose(measure(a, b), expected, rtol=1e-12)
    assert measure(a[:0], b[:0]).shape == (0,)


@pytest.mark.parametrize(
    "size, scales",
    [((10, 500), 0), ((11, 11), 1), ((20, 99), 1), ((21, 21), 2), ((28, 28), 2), ((32, 32), 2)]
    + [((41, 64), 3), ((64, 64), 3), ((81, 81), 4), ((160, 160), 4), ((161, 161), 5)]
    + [((4096, 4096), 5), ((0, 5), 0)],
)
def test_num_scales(size, scales):
    assert num_scales(*size) == scales
    assert num_scales(*size[::-1]) == scales


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda a: ssim(a[:10], a[:10]), ValueError, r"11 pixels a side.*a.shape=\(10, 32, 3\)"),
        (lambda a: ms_ssim(a[:, :10], a[:, :10]), ValueError, "at least 11 pixels a side"),
        (lambda a: ms_ssim(a, a, scales=3), ValueError, "32x32 pixels allow 2 .* scales=3"),
        (lambda a: ms_ssim(a, a, scales=0), ValueError, "`scales` must be at least 1"),
        (lambda a: ssim(a, a[None]), ValueError, "equal shapes"),
        (lambda a: psnr(a[0], a[0]), ValueError, r"Received: a.shape=\(32, 3\)"),
        (lambda a: psnr(a / 255, a / 255), ValueError, "2.0 for images in.*dtype=float64"),
        (lambda a: ssim(a, a, data_range=0), ValueError, "data_range=0"),
        (lambda a: psnr(a > 5, a > 5), TypeError, "must be numbers. Received: a.dtype=bool"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(picture(32, 32))


# Diversity


def test_diversity_is_the_mean_over_pairs():
    images = np.stack([picture(16, 16, 1, s) for s in range(5)])
    pairs = [ms_ssim(a, b) for a, b in itertools.combinations(images, 2)]
    got = ms_ssim_diversity(images, pairs=4000)
    assert got == pytest.approx(np.mean(pairs), abs=4 * np.std(pairs) / np.sqrt(4000))
    only = ms_ssim_diversity(images[:2], pairs=3)
    assert only == pytest.approx(ms_ssim(images[0], images[1]), rel=1e-12)


def test_pairs_keep_to_their_class_and_never_hold_an_image_twice():
    first, second, third = (picture(16, 16, 1, s) for s in range(3))
    images = np.stack([first, second, first, second, first, third])
    labels = np.array([4, 7, 4, 7, 4, 1])  # the third kind is alone and left out
    assert ms_ssim_diversity(images, labels) == pytest.approx(1, rel=1e-12)
    assert ms_ssim_diversity(images) < 0.8
    different = np.stack([picture(16, 16, 1, s) for s in range(6)])
    largest = max(ms_ssim(a, b) for a, b in itertools.combinations(different, 2))
    assert largest < 0.9
    for seed in range(20):
        assert ms_ssim_diversity(different, pairs=5, seed=seed) < largest + 1e-9


def test_collapse_is_less_diverse():
    images = np.stack([picture(24, 24, 1, s) for s in range(40)])
    collapsed = np.stack([disturbed(images[0], 5, s) for s in range(40)])
    assert ms_ssim_diversity(collapsed) > ms_ssim_diversity(images) + 0.4


@pytest.mark.parametrize(
    "images, labels, error, message",
    [
        (np.zeros((4, 16, 16, 1)), None, TypeError, "uint8. Received: images.dtype=float64"),
        (np.zeros((16, 16, 1), np.uint8), None, ValueError, r"\(images, height, width, channels\)"),
        (np.zeros((4, 8, 16, 1), np.uint8), None, ValueError, "11 pixels a side"),
        (np.zeros((4, 16, 16, 1), np.uint8), [0, 1], ValueError, r"labels.shape=\(2,\)"),
        (np.zeros((4, 16, 16, 1), np.uint8), [0, 1, 2, 3], ValueError, "4 images with 4 different"),
        (np.zeros((1, 16, 16, 1), np.uint8), None, ValueError, "Pairs need two images"),
        (np.zeros((0, 16, 16, 1), np.uint8), None, ValueError, "Pairs need two images"),
    ],
)
def test_images_without_pairs_are_refused(images, labels, error, message):
    with pytest.raises(error, match=message):
        ms_ssim_diversity(images, labels)
