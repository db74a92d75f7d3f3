"""Differentiable augmentation, against pictures that were moved, mirrored and covered by hand."""

import numpy as np
import pytest
import tensorflow as tf

from kerasgen.models.dcgan.augmentation import POLICIES, augment, check_policies

SEED = tf.constant([3, 4])


def pictures(count=64, shape=(16, 8, 1), seed=0):
    images = np.random.default_rng(seed).uniform(-1, 1, (count, *shape))
    return images.astype(np.float32)


def moved(image, down, right):
    """The picture moved by whole pixels, with zeros where nothing came from."""
    result = np.zeros_like(image)
    height, width, _ = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                result[row, column] = image[row + down, column + right]
    return result


def test_no_policy_and_no_probability_change_nothing():
    images = pictures()
    np.testing.assert_array_equal(augment(images, (), 1.0, SEED), images)
    np.testing.assert_allclose(augment(images, POLICIES, 0.0, SEED), images, atol=1e-6)


def test_translation_moves_by_up_to_an_eighth_each_way():
    images = pictures()
    found = set()
    for image, result in zip(images, augment(images, ("translation",), 1.0, SEED), strict=True):
        shifts = [
            (down, right)
            for down in range(-3, 4)
            for right in range(-3, 4)
            if np.array_equal(moved(image, down, right), result)
        ]
        assert len(shifts) == 1
        found.add(shifts[0])
    assert found == {(down, right) for down in range(-2, 3) for right in range(-1, 2)}


def test_flip_mirrors_half_of_the_pictures():
    images = pictures(400)
    results = augment(images, ("flip",), 1.0, SEED).numpy()
    mirrored = (results == images[:, :, ::-1]).all((1, 2, 3))
    same = (results == images).all((1, 2, 3))
    assert (mirrored ^ same).all()
    assert 160 < mirrored.sum() < 240


def test_flip_and_translation_are_one_after_the_other():
    images = pictures(40)
    both = augment(images, ("translation", "flip"), 1.0, SEED).numpy()
    moved_only = augment(images, ("translation",), 1.0, SEED).numpy()
    mirrored = augment(images, ("flip",), 1.0, SEED).numpy()
    flipped = (mirrored != images).any((1, 2, 3))
    for image, result, moved_image, flip in zip(images, both, moved_only, flipped, strict=True):
        if not flip:
            np.testing.assert_array_equal(result, moved_image)
            continue
        candidates = [
            moved(image[:, ::-1], down, right) for down in range(-2, 3) for right in range(-1, 2)
        ]
        assert sum(np.array_equal(candidate, result) for candidate in candidates) == 1


def test_cutout_covers_a_rectangle_of_half_the_sides():
    results = augment(np.ones((500, 16, 8, 1), np.float32), ("cutout",), 1.0, SEED).numpy()
    holes = results[..., 0] == 0
    for hole in holes:
        rows, columns = hole.any(1), hole.any(0)
        np.testing.assert_array_equal(hole, rows[:, None] & columns[None])
        assert 4 <= rows.sum() <= 8 and 2 <= columns.sum() <= 4
    assert max(hole.any(1).sum() for hole in holes) == 8
    # Rows are covered from 17 places, columns from 9, of which these cover a given pixel.
    np.testing.assert_allclose(holes[:, 4:12, 2:6].mean(), 8 / 17 * 4 / 9, atol=0.02)
    np.testing.assert_allclose(holes[:, 0, 0].mean(), 5 / 17 * 3 / 9, atol=0.04)


def test_colour_changes_brightness_contrast_and_saturation():
    image = pictures(1, (4, 4, 3))
    results = augment(np.repeat(image, 300, 0), ("color",), 1.0, SEED).numpy()
    parts = {"mean": [], "saturation": [], "contrast": []}
    for result in results:
        grey, grey_before = result.mean(2), image[0].mean(2)
        contrast = (grey - grey.mean()) / (grey_before - grey_before.mean())
        chroma = (result - grey[..., None]) / (image[0] - grey_before[..., None])
        assert np.ptp(contrast) < 1e-2 and np.ptp(chroma) < 1e-2
        parts["mean"].append(result.mean() - image.mean())
        parts["contrast"].append(contrast.mean())
        parts["saturation"].append(chroma.mean() / contrast.mean())
    for name, low, high in (
        ("mean", -0.5, 0.5), ("saturation", 0, 2), ("contrast", 0.5, 1.5)
    ):  # fmt: skip
        values = np.array(parts[name])
        assert low - 1e-3 <= values.min() < low + 0.1 * (high - low), name
        assert high - 0.1 * (high - low) < values.max() <= high + 1e-3, name


def test_probability_is_that_of_each_policy():
    images = pictures(2000, (4, 4, 1))
    results = augment(images, ("cutout",), 0.25, SEED).numpy()
    changed = (results != images).any((1, 2, 3)).mean()
    assert 0.21 < changed < 0.29


def test_seeds_decide_and_pictures_differ():
    images = np.repeat(pictures(1), 32, 0)
    first, again, other = (
        augment(images, POLICIES, 1.0, seed).numpy() for seed in (SEED, SEED, SEED + 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any((1, 2, 3)).mean() > 0.9
    assert len(np.unique(first.reshape(32, -1), axis=0)) > 30


def test_gradients_reach_the_pictures_through_what_was_done():
    """The map is affine in the pictures: its derivative along a direction is a difference."""
    images, direction = (tf.constant(pictures(8, (8, 8, 3), seed)) for seed in (0, 1))
    weights = tf.constant(pictures(8, (8, 8, 3), 2))

    def value(images):
        return tf.reduce_sum(weights * augment(images, POLICIES, 1.0, SEED))

    with tf.GradientTape() as tape:
        tape.watch(images)
        result = value(images)
    gradient = tape.gradient(result, images)
    expected = (value(images + direction) - value(images - direction)) / 2
    np.testing.assert_allclose(tf.reduce_sum(gradient * direction), expected, rtol=1e-3)


def test_policies_are_resolved():
    assert check_policies(None, 1) == ()
    assert check_policies("flip", 2) == ("flip",)
    assert check_policies(["flip", "color"], 3) == ("color", "flip")


@pytest.mark.parametrize(
    "policies, channels, message",
    [
        ("colour", 3, "Did you mean 'color'.*Received: augment='colour'"),
        (["flip", "rotate"], 3, "rotate"),
        (["color"], 4, "4, one of them alpha"),
        ("color", 2, "1 or 3 channels"),
        (5, 3, "Received: augment=5"),
    ],
)
def test_bad_policies_are_named(policies, channels, message):
    with pytest.raises(ValueError, match=message):
        check_policies(policies, channels)
