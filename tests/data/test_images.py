"""`load_images` from end to end: order, labels, flips, splits, crops, advice and bad input."""

import os
import threading

import numpy as np
import psutil
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from kerasgen.data import images as images_module
from kerasgen.data import inspect_images, load_images, preview, store


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def numbered(count, size=8):
    """Pictures whose every pixel is the picture's number."""
    return np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, size, size, 1)
    ).copy()


def to_bytes(batch):
    return np.round((np.asarray(batch) + 1) * 127.5).astype(int)


def epoch_of(dataset):
    return np.concatenate([to_bytes(batch) for batch in dataset])


def order_of(dataset):
    return epoch_of(dataset)[:, 0, 0, 0].tolist()


def save_all(folder, pictures, suffix="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture.squeeze()).save(folder / f"{index:03}.{suffix}")
    return folder


# Pixels


def test_uint8_maps_to_the_whole_range():
    images = np.uint8([0, 255, 128, 51]).reshape(1, 2, 2, 1)
    batch = next(iter(load_images(images, image_size=2, batch_size=1)))
    assert batch.dtype == tf.float32
    np.testing.assert_allclose(batch.numpy().ravel(), [-1, 1, 1 / 255, -0.6], atol=1e-6)
    assert batch.numpy().min() == -1 and batch.numpy().max() == 1


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0, 255)])
def test_floats_map_from_the_stated_range(value_range):
    low, high = value_range
    images = np.linspace(low, high, 16, dtype=np.float32).reshape(1, 4, 4, 1)
    dataset = load_images(images, image_size=4, batch_size=1, value_range=value_range)
    np.testing.assert_allclose(
        next(iter(dataset)).numpy().ravel(), np.linspace(-1, 1, 16), atol=1e-6
    )


def test_digits_are_resized_with_anti_aliasing():
    dataset = load_images("digits", image_size=4, batch_size=1797, shuffle=False, labels=True)
    images, labels = next(iter(dataset))
    digits = load_digits()
    np.testing.assert_array_equal(labels, digits.target)
    boxes = (digits.images / 16).reshape(-1, 4, 2, 4, 2).mean((2, 4)) * 2 - 1
    error = np.abs(images.numpy()[..., 0] - boxes)
    picked = np.abs(digits.images[:, ::2, ::2] / 8 - 1 - boxes)
    assert error.mean() < 0.1 < 0.2 < picked.mean()
    assert dataset.class_names == list("0123456789")
    assert dataset.image_shape == (4, 4, 1)


def test_folder_end_to_end(tmp_path):
    pictures = noise(10, 12, 12, 3)
    save_all(tmp_path / "ape", pictures[:4])
    save_all(tmp_path / "bee", pictures[4:], "bmp")
    dataset = load_images(tmp_path, image_size=12, batch_size=4, shuffle=False, labels=True)
    got = list(dataset)
    assert [len(labels) for _, labels in got] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([to_bytes(images) for images, _ in got]), pictures)
    assert np.concatenate([labels for _, labels in got]).tolist() == [0] * 4 + [1] * 6
    assert dataset.class_names == ["ape", "bee"]
    assert dataset.num_images == 10 and len(dataset) == 3


def test_image_size_in_every_spelling():
    for image_size in (8, np.int64(8), (8, 8), [8, 8], np.array([8, 8]), (8.0, 8)):
        assert load_images("digits", image_size=image_size).image_shape == (8, 8, 1)
    images = noise(4, 20, 30, 3)
    dataset = load_images(images, image_size=(10, 16), channels=np.int32(1), batch_size=2)
    assert dataset.image_shape == dataset.element_spec.shape[1:] == (10, 16, 1)


def test_cache_on_disk_feeds_the_same_batches(tmp_path):
    folder = save_all(tmp_path / "pictures", noise(9, 8, 8, 3))
    options = {"image_size": 8, "batch_size": 3}
    from_memory = epoch_of(load_images(folder, **options))
    from_disk = load_images(folder, cache=tmp_path / "cache", **options)
    assert len(os.listdir(tmp_path / "cache")) == 2
    np.testing.assert_array_equal(epoch_of(from_disk), from_memory)


def test_auto_cache_in_the_home_directory(tmp_path, monkeypatch):
    folder = save_all(tmp_path / "pictures", numbered(6))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 0}))
    dataset = load_images(folder, image_size=8, batch_size=2)
    assert len(os.listdir(tmp_path / "home" / "kerasgen")) == 2
    assert sorted(order_of(dataset)) == list(range(6))


def test_broken_file_is_left_out_with_one_warning(tmp_path):
    folder = save_all(tmp_path, numbered(6))
    (folder / "003.png").write_bytes((folder / "003.png").read_bytes()[:40])
    with pytest.warns(UserWarning, match="1 of 6 pictures can't be read: .*003.png") as caught:
        dataset = load_images(folder, image_size=8, batch_size=5)
    assert len(caught) == 1
    assert sorted(order_of(dataset)) == [0, 1, 2, 4, 5]
    assert dataset.num_images == 5
    with pytest.raises(ValueError, match="1 of 6 pictures can't be read: .*003.png"):
        load_images(folder, image_size=8, batch_size=5, strict=True)


def test_pictures_are_decoded_once_for_both_sides_of_a_split(tmp_path, monkeypatch):
    folder = save_all(tmp_path, numbered(10))
    (folder / "broken.png").touch()
    count = []
    read = store.read_picture
    monkeypatch.setattr(store, "read_picture", lambda *args: count.append(1) or read(*args))
    options = {"image_size": 8, "batch_size": 2, "validation_split": 0.3}
    with pytest.warns(UserWarning) as caught:
        train = load_images(folder, **options)
        held_out = load_images(folder, "validation", **options)
    assert len(caught) == 1
    for _ in range(2):
        assert sorted(epoch_of(train)[:, 0, 0, 0]) and sorted(epoch_of(held_out)[:, 0, 0, 0])
    assert len(count) == 11


# Order


def test_order_is_a_function_of_seed_and_epoch():
    images = numbered(50)
    options = {"image_size": 8, "batch_size": 10}
    one, two = load_images(images, seed=3, **options), load_images(images, seed=3, **options)
    epochs = [order_of(one) for _ in range(6)]
    assert all(sorted(order) == list(range(50)) for order in epochs)
    assert len({tuple(order) for order in epochs}) == 6
    assert [order_of(two) for _ in range(6)] == epochs
    two.epoch.assign(5)
    assert order_of(two) == epochs[5]
    assert two.epoch.numpy() == 6
    assert order_of(load_images(images, seed=4, **options)) not in epochs


def test_order_is_that_of_the_source_without_shuffling():
    dataset = load_images(numbered(7), image_size=8, batch_size=3, shuffle=False)
    assert [order_of(dataset) for _ in range(2)] == [list(range(7))] * 2


def test_repeating_goes_on_with_the_next_epoch():
    options = {"image_size": 8, "batch_size": 5}
    dataset = load_images(numbered(20), **options)
    epochs = order_of(dataset) + order_of(dataset)
    again = load_images(numbered(20), **options)
    assert order_of(again.repeat(2)) == epochs


@pytest.mark.parametrize(
    "shuffle, drop, sizes",
    [(True, None, [4, 4]), (False, None, [4, 4, 2]), (True, False, [4, 4, 2])],
)
def test_incomplete_batches(shuffle, drop, sizes):
    dataset = load_images(
        numbered(10), image_size=8, batch_size=4, shuffle=shuffle, drop_remainder=drop
    )
    assert [len(batch) for batch in dataset] == sizes
    assert len(dataset) == len(sizes)
    assert dataset.element_spec.shape[0] == (4 if sizes == [4, 4] else None)


def test_labels_stay_with_their_pictures():
    labels = np.random.default_rng(1).integers(0, 5, 60)
    dataset = load_images((numbered(60), labels), image_size=8, batch_size=20, labels=True)
    for _ in range(2):
        for images, got in dataset:
            assert got.dtype == tf.int32
            np.testing.assert_array_equal(got, labels[to_bytes(images)[:, 0, 0, 0]])


def test_pipeline_is_deterministic_and_not_autotuned():
    dataset = load_images("digits")
    options = dataset.options()
    assert options.autotune.enabled is False
    assert options.deterministic is True


def test_batches_are_made_ahead_of_their_use():
    made, third = [], threading.Event()

    def count(images):
        made.append(1)
        if len(made) >= 3:
            third.set()
        return images

    def augment(images):
        counted = tf.numpy_function(count, [images], tf.float32)
        return tf.ensure_shape(counted, images.shape)

    iterator = iter(load_images(numbered(8), image_size=8, batch_size=1, augment=augment))
    next(iterator)
    assert third.wait(timeout=30)  # though only the first was asked for


# Flips


@pytest.mark.parametrize("augment, axis", [("flip", 2), ("flip_vertical", 1)])
def test_flips_are_mirror_images_of_half_of_the_pictures(augment, axis):
    images = noise(64, 8, 8, 1)
    options = {"image_size": 8, "batch_size": 16, "shuffle": False, "augment": augment}
    dataset = load_images(images, **options)
    epochs = [epoch_of(dataset) for _ in range(2)]
    mirrored = []
    for epoch in epochs:
        plain = (epoch == images).all((1, 2, 3))
        turned = (epoch == np.flip(images, axis)).all((1, 2, 3))
        assert (plain ^ turned).all()
        assert 16 < turned.sum() < 48
        mirrored.append(turned.tolist())
    assert mirrored[0] != mirrored[1]
    again = load_images(images, **options)
    again.epoch.assign(1)
    np.testing.assert_array_equal(epoch_of(again), epochs[1])
    other = load_images(images, seed=1, **options)
    assert (epoch_of(other) != epochs[0]).any()


def test_both_flips_are_drawn_independently():
    images = noise(64, 8, 8, 1)
    dataset = load_images(
        images, image_size=8, batch_size=64, shuffle=False, augment=["flip", "flip_vertical"]
    )
    got = epoch_of(dataset)
    kinds = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    counts = [(got == kind).all((1, 2, 3)).sum() for kind in kinds]
    assert sum(counts) == 64 and min(counts) >= 5


def test_augmentation_by_a_function():
    dataset = load_images(
        numbered(4), image_size=8, batch_size=4, shuffle=False, augment=lambda images: -images
    )
    np.testing.assert_array_equal(epoch_of(dataset), 255 - numbered(4).astype(int))


# Splits


def test_equal_pictures_land_on_the_same_side(tmp_path):
    pictures = noise(30, 8, 8, 3)
    save_all(tmp_path / "a", pictures)
    save_all(tmp_path / "b", pictures[::-1], "bmp")  # under other names, in another format
    options = {"image_size": 8, "batch_size": 2, "drop_remainder": False, "validation_split": 0.2}

    def sides(source, seed=0):
        loaded = [
            load_images(source, side, seed=seed, **options) for side in ("train", "validation")
        ]
        contents = [{picture.tobytes() for picture in epoch_of(dataset)} for dataset in loaded]
        return loaded, contents

    (train, held_out), (seen, unseen) = sides(tmp_path)
    assert (train.num_images, held_out.num_images) == (48, 12)
    assert not seen & unseen
    assert seen | unseen == {picture.astype(int).tobytes() for picture in pictures}
    assert not set(train.image_digests) & set(held_out.image_digests)
    assert sides(tmp_path, seed=9)[1] == [seen, unseen]
    assert sides(pictures[::-1])[1] == [seen, unseen]  # in another order, from memory


@pytest.mark.parametrize("split", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan"), "0.1", True])
@pytest.mark.parametrize("function", [load_images, inspect_images])
def test_bad_validation_split(split, function):
    with pytest.raises(ValueError, match="fraction between 0 and 1. Received: validation_split="):
        function("digits", validation_split=split)


def test_split_that_leaves_a_side_empty():
    with pytest.raises(ValueError, match="1 different pictures can't be split so that both sides"):
        load_images(np.zeros((9, 8, 8, 1), np.uint8), validation_split=0.5, batch_size=1)


# Random crops


def position_picture(height, width):
    """A picture whose red says how far right a pixel is, and whose green how far down."""
    y, x = np.mgrid[:height, :width].astype(float)
    planes = [x / (width - 1), y / (height - 1), np.full_like(x, 0.5)]
    return np.round(np.stack(planes, -1) * 255).astype(np.uint8)


def crop_options(**more):
    return {"image_size": 16, "crop": "random", "batch_size": 64, "shuffle": False} | more


def test_random_crops_are_parts_of_their_picture():
    picture = position_picture(32, 48)  # as large as it is kept
    crops = epoch_of(load_images(picture[None], crops_per_image=256, **crop_options()))
    inside = crops[:, 3:-3, 3:-3].astype(float)  # the filter is cut off at borders
    # Positions go up by even steps, and by equally many pixels to the right and down.
    right = inside[:, :, -1, 0] - inside[:, :, 0, 0]
    down = inside[:, -1, :, 1] - inside[:, 0, :, 1]
    pixels_right, pixels_down = right.mean(1) / 255 * 47 / 9, down.mean(1) / 255 * 31 / 9
    np.testing.assert_allclose(pixels_right, pixels_down, atol=0.08)
    assert 0.97 < pixels_right.min() < 1.1 and 1.9 < pixels_right.max() < 2.03
    linear = inside[:, :, :1, 0] + right[:, :, None] * np.arange(10) / 9
    np.testing.assert_allclose(inside[..., 0], linear, atol=4)
    np.testing.assert_allclose(inside[..., 2], 128, atol=1)
    # Together they cover the picture to its borders.
    for channel in (0, 1):
        assert crops[..., channel].min() < 6 and crops[..., channel].max() > 249
    corners = {(c[8, 8, 0] > 128, c[8, 8, 1] > 128) for c in crops}
    assert len(corners) == 4


def test_random_crops_are_resized_with_anti_aliasing():
    stripes = np.where(np.arange(32) % 3 < 1, 255, 0).astype(np.uint8)
    picture = np.broadcast_to(stripes[None, :, None], (32, 32, 1))
    crops = epoch_of(load_images(picture[None], crops_per_image=64, **crop_options()))
    contrast = crops[:, 8, 3:-3, 0].std(1)  # between that of half and all of the picture
    assert contrast.max() > 90
    assert contrast.min() < 20


def test_random_crop_equals_the_pixels_where_nothing_is_resized():
    """A picture of exactly the size of a crop has only one."""
    pictures = noise(3, 16, 16, 3)
    crops = epoch_of(load_images(pictures, crops_per_image=2, **crop_options(batch_size=3)))
    np.testing.assert_array_equal(crops, np.concatenate([pictures, pictures]))


def test_random_crops_derive_from_seed_epoch_and_step():
    pictures = np.stack([position_picture(64, 64)] * 2)
    options = crop_options(crops_per_image=4, batch_size=4)
    dataset = load_images(pictures, **options)
    epochs = [epoch_of(dataset) for _ in range(3)]
    assert len({crop.tobytes() for epoch in epochs for crop in epoch}) == 24
    again = load_images(pictures, **options)
    again.epoch.assign(2)
    np.testing.assert_array_equal(epoch_of(again), epochs[2])
    other = load_images(pictures, seed=1, **options)
    assert (epoch_of(other) != epochs[0]).any()


def test_few_pictures_make_an_epoch_of_many_crops(tmp_path):
    pictures = np.stack([np.full((40, 60, 3), index, np.uint8) for index in range(40)])
    folder = save_all(tmp_path, pictures)
    dataset = load_images(folder, image_size=16, batch_size=64, crop="random", drop_remainder=False)
    got = order_of(dataset)
    assert np.bincount(got).tolist() == [50] * 40  # 2,000 pictures
    assert dataset.num_images == 40 and len(dataset) == 32
    thrice = load_images(folder, image_size=16, batch_size=40, crop="random", crops_per_image=3)
    assert np.bincount(order_of(thrice)).tolist() == [3] * 40


def test_random_crops_keep_labels_and_float_ranges():
    pictures = np.zeros((6, 20, 30, 1), np.float32)
    pictures[:, :, ::2] = 1  # sharp edges, at which Lanczos overshoots
    pictures *= np.linspace(0.5, 1, 6, dtype=np.float32)[:, None, None, None]
    dataset = load_images(
        (pictures, np.arange(6)), labels=True, value_range=(0, 1), crops_per_image=20,
        **crop_options(image_size=8, batch_size=60, shuffle=True),
    )  # fmt: skip
    for images, labels in dataset:
        assert images.numpy().min() >= -1 and images.numpy().max() <= 1
        means = images.numpy().mean((1, 2, 3)) + 1  # half of a picture is lit
        np.testing.assert_allclose(means, np.linspace(0.5, 1, 6)[labels.numpy()], atol=0.12)


def test_random_crops_of_pictures_smaller_than_them():
    pictures = np.full((4, 5, 300, 1), 60, np.uint8)
    got = epoch_of(load_images(pictures, crops_per_image=1, **crop_options(batch_size=4)))
    np.testing.assert_array_equal(got, np.full((4, 16, 16, 1), 60))


# Advice


@pytest.mark.parametrize(
    "shape, size, channels",
    [
        ((28, 28, 1), (28, 28), 1),
        ((32, 48, 3), (32, 48), 3),
        ((30, 30, 3), (32, 32), 3),
        ((8, 8, 1), (32, 32), 1),
        ((130, 200, 3), (64, 64), 3),
        ((40, 41, 2), (32, 32), 1),
        ((41, 41, 4), (64, 64), 3),
    ],
)
def test_advised_size_and_channels(tmp_path, shape, size, channels):
    save_all(tmp_path, noise(3, *shape))
    found = inspect_images(tmp_path)
    assert (found.image_size, found.channels, found.num_images) == (size, channels, 3)
    dataset = load_images(tmp_path, batch_size=1)
    assert dataset.image_shape == (*size, channels)
    assert f"{shape[0]}x{shape[1]}" in found.reason


def test_advised_size_is_that_of_the_median(tmp_path):
    for index, side in enumerate((20, 20, 200)):
        Image.fromarray(noise(side, side, 3)).save(tmp_path / f"{index}.png")
    found = inspect_images(tmp_path)
    assert found.image_size == (32, 32)
    assert "20x20 to 200x200" in found.reason and "shorter side of 20" in found.reason


def test_advised_crop():
    few, many = noise(4, 128, 130, 3), noise(500, 128, 130, 1)
    assert inspect_images(few).crop == "random"
    assert "random crops" in inspect_images(few).reason
    assert inspect_images(few, image_size=65).crop == "center"
    assert inspect_images(many).crop == "center"
    asked = inspect_images(few, image_size=(16, 24), channels=1)
    assert (asked.image_size, asked.channels, asked.crop) == ((16, 24), 1, "random")


def test_looking_at_a_source_decodes_nothing(tmp_path, monkeypatch):
    save_all(tmp_path, noise(3, 16, 16, 3))
    (tmp_path / "broken.png").touch()

    def refuse(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", refuse)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    found = inspect_images(tmp_path)
    assert (found.image_size, found.num_images) == ((16, 16), 4)


# Preview


def test_preview_shows_the_next_batch_and_consumes_no_epoch():
    options = {"image_size": 8, "batch_size": 6, "labels": True}
    source = (numbered(6), [0, 1, 2, 0, 1, 2])
    dataset = load_images(source, **options)
    dataset.epoch.assign(3)
    figure = preview(dataset, rows=2, columns=2)
    assert dataset.epoch.numpy() == 3
    axes = [axis for axis in figure.axes if axis.images]
    assert len(axes) == 4
    first = next(iter(dataset))
    for axis, image, label in zip(axes, *first, strict=False):
        shown = np.asarray(axis.images[0].get_array())[..., :1]
        np.testing.assert_array_equal(shown, to_bytes(image))
        assert axis.get_title() == str(int(label))


def test_preview_of_one_batch():
    images = next(iter(load_images("digits", batch_size=5)))
    assert len([axis for axis in preview(images).axes if axis.images]) == 5


# Bad input


@pytest.mark.parametrize(
    "image_size",
    [0, -8, 8.5, "8", (8,), (8, 8, 8), (8, 0), (8, 8.5), True, (8, float("inf")), (8, None)],
)
@pytest.mark.parametrize("function", [load_images, inspect_images])
def test_bad_image_size(image_size, function):
    with pytest.raises(ValueError, match="positive whole number of pixels.*Received: image_size="):
        function("no/such/folder", image_size=image_size)  # said before the source is opened


@pytest.mark.parametrize("channels", [0, 5, -1, 1.0, "3", True, [3]])
@pytest.mark.parametrize("function", [load_images, inspect_images])
def test_bad_channels(channels, function):
    with pytest.raises(ValueError, match="must be 1, 2, 3 or 4. Received: channels="):
        function("no/such/folder", channels=channels)


@pytest.mark.parametrize(
    "options, match",
    [
        ({"batch_size": 0}, "at least 1. Received: batch_size=0"),
        ({"batch_size": 2.5}, "Received: batch_size=2.5"),
        ({"seed": None}, "Received: seed=None"),
        ({"seed": 0.5}, "Received: seed=0.5"),
        ({"seed": 2**63}, "Received: seed="),
        ({"augment": "flop"}, "Did you mean 'flip'.* Received: augment='flop'"),
        ({"augment": ["flip", 3]}, "Received: augment="),
        ({"augment": True}, "Received: augment=True"),
        ({"crop": "centre"}, "'center' or 'random'. Received: crop='centre'"),
        ({"crops_per_image": 2}, "goes with `crop='random'`. Received: crops_per_image=2"),
        ({"crop": "random", "crops_per_image": 0}, "Received: crops_per_image=0"),
        ({"crop": "random", "crops_per_image": 1.5}, "Received: crops_per_image=1.5"),
        ({"cache": ""}, "'auto', 'memory' or a directory. Received: cache=''"),
        ({"cache": None}, "Received: cache=None"),
        ({"cache": __file__}, "'auto', 'memory' or a directory. Received: cache="),
        ({"value_range": (1, 0)}, "Received: value_range="),
    ],
)
def test_bad_options_are_refused_before_any_work(options, match, monkeypatch):
    monkeypatch.setattr(images_module, "build_store", lambda *args: pytest.fail("work started"))
    with pytest.raises(ValueError, match=match):
        load_images("digits", **options)


def test_fewer_pictures_than_a_batch():
    images = numbered(10)
    with pytest.raises(ValueError, match="10 pictures don't fill one batch of 32.*at most 10"):
        load_images(images)
    assert len(load_images(images, batch_size=10)) == 1
    assert len(load_images(images, shuffle=False)) == 1


def test_labels_of_a_source_without(tmp_path):
    save_all(tmp_path, numbered(4))
    for source in (tmp_path, numbered(4), tf.data.Dataset.from_tensor_slices(numbered(4))):
        with pytest.raises(ValueError, match="Labels asked of .*which has none.*Received: labels"):
            load_images(source, batch_size=1, labels=True)


@pytest.mark.parametrize("seed", [-1, 2**62, np.int32(5)])
def test_seeds_of_any_size(seed):
    dataset = load_images(numbered(8), image_size=8, batch_size=4, seed=seed, augment="flip")
    assert sorted(order_of(dataset)) == list(range(8))


def test_function_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match="not compatible|must be"):
        load_images("digits", image_size=8, augment=lambda images: images[:, :4])
