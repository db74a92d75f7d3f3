"""Pictures out of a pipeline: the source's very pixels, and nothing changed for the training."""

import numpy as np
import pytest
import tensorflow as tf

from kerasgen.data import collect_images, load_images
from kerasgen.data.collect import sample_images
from kerasgen.pixels import to_float


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def frames_of(videos, labels=None, batch_size=2):
    """A pipeline of frame sequences."""
    parts = to_float(videos) if labels is None else (to_float(videos), labels)
    return tf.data.Dataset.from_tensor_slices(parts).batch(batch_size)


def test_pixels_and_labels_are_the_source_s():
    every_level = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
    pictures = np.concatenate([every_level, noise(20, 16, 16, 3)])
    labels = np.arange(21) % 5
    dataset = load_images(
        (pictures, labels), labels=True, batch_size=8, shuffle=False, image_size=16
    )
    images, classes = collect_images(dataset)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, pictures)
    np.testing.assert_array_equal(classes, labels)
    images, classes = collect_images(load_images(pictures, batch_size=8, shuffle=False))
    np.testing.assert_array_equal(images, pictures)
    assert classes is None


def test_shuffled_pictures_keep_their_labels():
    pictures = noise(20, 8, 8, 1)
    pictures[:, 0, 0, 0] = np.arange(20)
    dataset = load_images(
        (pictures, np.arange(20)), labels=True, batch_size=4, seed=3, image_size=8
    )
    images, labels = collect_images(dataset)
    assert labels.tolist() != list(range(20))
    assert sorted(labels) == list(range(20))
    np.testing.assert_array_equal(images, pictures[labels])


@pytest.mark.parametrize("count", [1, 7, 8, 9, 20, 100])
def test_max_images(count):
    pictures, labels = noise(20, 8, 8, 1), np.arange(20)
    dataset = load_images(
        (pictures, labels), labels=True, batch_size=8, shuffle=False, image_size=8
    )
    for data in (dataset, (pictures, labels)):
        images, classes = collect_images(data, count)
        np.testing.assert_array_equal(images, pictures[:count])
        np.testing.assert_array_equal(classes, labels[:count])


def test_no_more_batches_are_made_than_needed():
    made = []

    def count(images):
        made.append(len(images))
        return images

    counted = frames_of(noise(400, 1, 8, 8, 1), batch_size=4).map(
        lambda images: tf.numpy_function(count, [images], tf.float32)
    )
    images, _ = collect_images(counted, 10)
    assert len(images) == 10 and sum(made) < 100  # some are made ahead
    endless = frames_of(noise(4, 1, 8, 8, 1), batch_size=4).repeat()
    assert len(collect_images(endless, 10)[0]) == 10


def test_frames_of_sequences_are_pictures_with_their_sequence_s_label():
    videos, labels = noise(5, 3, 8, 8, 1), np.array([4, 3, 2, 1, 0])
    frames = videos.reshape(15, 8, 8, 1)
    for data in (frames_of(videos, labels), (videos, labels)):
        images, classes = collect_images(data)
        np.testing.assert_array_equal(images, frames)
        np.testing.assert_array_equal(classes, [4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0])
        images, classes = collect_images(data, 7)
        np.testing.assert_array_equal(images, frames[:7])
        np.testing.assert_array_equal(classes, [4, 4, 4, 3, 3, 3, 2])
    images, classes = collect_images(frames_of(videos))
    np.testing.assert_array_equal(images, frames)
    assert classes is None


@pytest.mark.parametrize("max_images", [None, 5])
def test_the_training_that_follows_sees_what_it_would_have_seen(max_images):
    pictures = noise(40, 8, 8, 1)
    options = {"batch_size": 8, "image_size": 8, "augment": "flip", "seed": 2}
    dataset, fresh = load_images(pictures, **options), load_images(pictures, **options)
    for epoch in range(2):
        assert dataset.epoch.numpy() == epoch
        collect_images(dataset, max_images)
        assert dataset.epoch.numpy() == epoch
        for ours, expected in zip(dataset, fresh, strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_the_epoch_stays_where_a_batch_fails():
    def fail(images):
        return tf.debugging.check_numerics(images / 0, "broken")

    dataset = load_images(noise(40, 8, 8, 1), batch_size=8, image_size=8, augment=fail)
    dataset.epoch.assign(5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="broken"):
        collect_images(dataset)
    assert dataset.epoch.numpy() == 5


# Samples


def numbered(count):
    """Pictures whose first pixels say which they are."""
    pictures = noise(count, 8, 8, 1)
    pictures[:, 0, 0, 0], pictures[:, 0, 1, 0] = np.divmod(np.arange(count), 256)
    return pictures


def numbers_of(images):
    return images[:, 0, 0, 0].astype(int) * 256 + images[:, 0, 1, 0]


@pytest.mark.parametrize(
    "options",
    [{"shuffle": False}, {"drop_remainder": True}, {"labels": True}, {"crop": "random"}, None],
    ids=["in order", "without the remainder", "labels", "crops", "array"],
)
def test_samples_are_of_all_the_data(options):
    pictures = numbered(600)
    data = pictures
    if options is not None:
        options = {"image_size": 8, "batch_size": 64, "shuffle": False, **options}
        options |= {"crops_per_image": 2} if "crop" in options else {}
        data = load_images((pictures, np.arange(600) // 60), **options)
    images = sample_images(data, 120)
    numbers = numbers_of(images)
    assert len(numbers) == 120
    np.testing.assert_array_equal(images, pictures[numbers])
    if options is None or "crop" not in options:
        assert len(set(numbers)) == 120
    parts = np.bincount(numbers // 200, minlength=3)
    assert parts.min() > 20  # of 40 expected
    np.testing.assert_array_equal(images, sample_images(data, 120))
    assert (numbers_of(sample_images(data, 120, seed=1)) != numbers).any()
    if options is not None:
        assert data.epoch.numpy() == 0
    everything = numbers_of(sample_images(data, 1200))
    assert set(everything) == set(range(576 if options and "drop_remainder" in options else 600))


def test_samples_of_a_pipeline_that_may_be_endless_are_its_first():
    pictures = numbered(100)
    endless = tf.data.Dataset.from_tensor_slices(to_float(pictures)).batch(16).repeat()
    np.testing.assert_array_equal(sample_images(endless, 40), pictures[:40])


# Bad input


def pipeline(values):
    return tf.data.Dataset.from_tensors(tf.constant(values))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (noise(5, 8, 8), ValueError, r"\(N, H, W, C\). Received: dtype=uint8, shape=\(5, 8, 8\)"),
        (np.zeros((5, 8, 8, 1), np.float32), ValueError, "Received: dtype=float32"),
        (np.zeros((5, 8, 8, 1), np.int64), ValueError, "Received: dtype=int64"),
        ("digits", ValueError, "Expected a pipeline of `kerasgen.data`"),
        ((noise(5, 8, 8, 1), np.arange(4)), ValueError, "4 labels, 5 pictures"),
        (pipeline(noise(5, 8, 8, 1)), TypeError, "floating-point.*uint8"),
        (pipeline(np.full((5, 8, 8, 1), 255.0)), ValueError, "from 255 to 255"),
        (pipeline(np.full((5, 8, 8, 1), np.nan)), ValueError, "finite.*from nan to nan"),
        (pipeline(np.zeros((8, 8, 1))), ValueError, r"shape=\(8, 8, 1\)"),
        (pipeline(np.zeros((5, 8, 8, 1))).map(lambda x: {"image": x}), TypeError, "dict"),
        (pipeline(np.zeros((5, 8, 8, 1))).take(0), ValueError, "holds no pictures"),
        (pipeline(np.zeros((5, 8, 8, 1))).repeat(), ValueError, "never ends"),
    ],
)
def test_anything_else_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        collect_images(data)


@pytest.mark.parametrize("count", [0, -1])
def test_no_pictures_asked_for(count):
    with pytest.raises(ValueError, match=f"at least 1. Received: max_images={count}"):
        collect_images(noise(5, 8, 8, 1), count)
