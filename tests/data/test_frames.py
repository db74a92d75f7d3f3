"""`load_frames` from end to end: windows, order, splits, sizes and bad input."""

import numpy as np
import pytest
import tensorflow as tf

from kerasgen.data import collect_images, load_frames, preview
from kerasgen.data import frames as frames_module
from kerasgen.data.collect import sample_images


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def numbered(clips, frames, size=8):
    """Clips whose every pixel tells the clip, in tens, and the frame."""
    numbers = 100 * np.arange(clips)[:, None] + np.arange(frames)
    assert numbers.max() < 256
    return np.broadcast_to(
        numbers.astype(np.uint8)[..., None, None, None], (clips, frames, size, size, 1)
    ).copy()


def to_bytes(batch):
    return np.round((np.asarray(batch) + 1) * 127.5).astype(int)


def epoch_of(dataset):
    return np.concatenate([to_bytes(batch) for batch in dataset])


def windows_of(dataset):
    """The numbers of the frames of each window of `numbered` clips."""
    return epoch_of(dataset)[..., 0, 0, 0].tolist()


OPTIONS = {"image_size": 8, "num_frames": 4, "batch_size": 1, "shuffle": False}


# Pixels and windows


def test_pixels_and_attributes():
    clips = noise(6, 5, 16, 12, 3)
    dataset = load_frames(clips, num_frames=5, image_size=(16, 12), batch_size=2, shuffle=False)
    np.testing.assert_array_equal(epoch_of(dataset), clips)
    batch = next(iter(dataset))
    assert batch.dtype == tf.float32 and batch.shape == (2, 5, 16, 12, 3)
    np.testing.assert_allclose(batch, clips[:2] / 127.5 - 1, atol=1e-6)
    assert dataset.element_spec.shape == (None, 5, 16, 12, 3)
    assert dataset.frame_shape == (5, 16, 12, 3) and dataset.image_shape == (16, 12, 3)
    assert dataset.num_clips == dataset.num_images == 6 and len(dataset) == 3
    assert dataset.pictures_per_epoch == 30
    assert dataset.class_names is None and dataset.crop == "center"
    assert len(dataset.fingerprint) == 32
    other = clips.copy()
    other[5, 4, 3, 2, 1] ^= 1
    options = {"num_frames": 5, "image_size": (16, 12), "batch_size": 1}
    assert load_frames(clips, **options).fingerprint == dataset.fingerprint
    assert load_frames(other, **options).fingerprint != dataset.fingerprint
    assert load_frames(clips.reshape(3, 10, 16, 12, 3), **options).fingerprint != (
        dataset.fingerprint  # the same frames as other clips
    )


@pytest.mark.parametrize("stride, step", [(1, 1), (3, 1), (2, 2), (1, 3)])
def test_windows_are_the_slices_of_their_clip(stride, step):
    clips = noise(2, 11, 8, 8, 1)
    dataset = load_frames(clips, stride=stride, frame_step=step, **OPTIONS)
    expected = [
        clip[start : start + 4 * step : step]
        for clip in clips
        for start in range(0, 11 - 3 * step, stride)
    ]
    np.testing.assert_array_equal(epoch_of(dataset), expected)
    assert dataset.num_clips == len(expected)


def test_default_stride(monkeypatch):
    monkeypatch.setattr(frames_module, "TRAINING_CLIPS", 10)
    clip = numbered(1, 40)[0]
    assert [window[0] for window in windows_of(load_frames(clip, **OPTIONS))] == list(
        range(0, 37, 3)  # 37 windows are possible, and every third makes 10 or more
    )
    few = clip[:9]
    assert [w[0] for w in windows_of(load_frames(few, **OPTIONS))] == list(range(6))
    many = numbered(2, 100)
    assert [w[0] for w in windows_of(load_frames(many, **OPTIONS))] == [
        *range(0, 97, 4),
        *range(100, 197, 4),  # never so far apart that frames are left out
    ]
    held_out = load_frames(clip, "validation", validation_split=0.5, **OPTIONS)
    assert [window[0] for window in windows_of(held_out)] == list(range(20, 40, 4))


def test_windows_share_memory(monkeypatch):
    stores = []
    build = frames_module.build_store
    monkeypatch.setattr(
        frames_module, "build_store", lambda *a, **k: stores.append(build(*a, **k)) or stores[-1]
    )
    dataset = load_frames(numbered(1, 100), stride=1, **OPTIONS)
    assert dataset.num_clips == 97
    assert stores[0].pixels.dtype == tf.uint8 and stores[0].pixels.shape == (100, 8, 8, 1)


def test_clips_too_short_are_left_out():
    clips = [noise(frames, 8, 8, 1, seed=frames) for frames in (3, 6, 2, 4)]
    got = epoch_of(load_frames(clips, stride=1, **OPTIONS))
    expected = [clips[1][i : i + 4] for i in range(3)] + [clips[3]]
    np.testing.assert_array_equal(got, expected)


def test_frames_are_resized_with_anti_aliasing():
    stripes = np.where(np.arange(64) % 2, 255, 0).astype(np.uint8)
    clip = np.broadcast_to(stripes[:, None], (4, 64, 64, 1))
    got = epoch_of(load_frames(clip, **OPTIONS))
    assert np.abs(got - 127.5).max() < 4
    wide = np.zeros((4, 16, 48, 1), np.uint8)
    wide[:, :, 16:32] = 200  # all that a square crop at the centre shows
    assert epoch_of(load_frames(wide, **OPTIONS)).min() > 190


def test_default_size_and_channels():
    options = {"num_frames": 2, "batch_size": 1}
    assert load_frames(noise(3, 24, 32, 1), **options).image_shape == (24, 32, 1)
    assert load_frames(noise(3, 130, 200, 3), **options).image_shape == (64, 64, 3)
    assert load_frames(noise(3, 24, 32, 3), channels=1, **options).image_shape == (24, 32, 1)


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0, 255)])
def test_floats_map_from_the_stated_range(value_range):
    low, high = value_range
    clips = np.linspace(low, high, 2 * 4 * 64, dtype=np.float32).reshape(2, 4, 8, 8, 1)
    got = np.concatenate(list(load_frames(clips, value_range=value_range, **OPTIONS)))
    np.testing.assert_allclose(got.ravel(), np.linspace(-1, 1, 512), atol=1e-5)


# Order


def test_order_is_a_function_of_seed_and_epoch():
    clip = numbered(1, 60)
    options = OPTIONS | {"shuffle": True, "batch_size": 10, "stride": 1}
    one, two = load_frames(clip, seed=3, **options), load_frames(clip, seed=3, **options)
    epochs = [windows_of(one) for _ in range(4)]
    whole = [windows_of(load_frames(clip, drop_remainder=False, **options)) for _ in range(2)]
    assert whole[0] == whole[1] and sorted(whole[0]) == [list(range(i, i + 4)) for i in range(57)]
    assert all(len(epoch) == 50 for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) == 4
    assert [windows_of(two) for _ in range(4)] == epochs
    two.epoch.assign(2)
    assert windows_of(two) == epochs[2]
    assert two.epoch.numpy() == 3
    assert windows_of(load_frames(clip, seed=4, **options)) not in epochs


def test_pipeline_is_deterministic_and_not_autotuned():
    for source in (numbered(2, 20), "moving_digits"):
        options = load_frames(source, batch_size=1, image_size=16).options()
        assert options.autotune.enabled is False
        assert options.deterministic is True


def test_clips_per_epoch():
    clip = numbered(1, 23)  # 20 windows
    options = OPTIONS | {"stride": 1}
    fewer = load_frames(clip, clips_per_epoch=6, **options | {"shuffle": True})
    epochs = [tuple(w[0] for w in windows_of(fewer)) for _ in range(3)]
    assert len(set(epochs)) == 3 and all(len(set(epoch)) == 6 for epoch in epochs)
    assert fewer.num_clips == 20 and len(fewer) == 6 and fewer.pictures_per_epoch == 24
    assert [w[0] for w in windows_of(load_frames(clip, clips_per_epoch=3, **options))] == [0, 1, 2]
    more = load_frames(clip, clips_per_epoch=50, **options | {"shuffle": True})
    counts = np.bincount([window[0] for window in windows_of(more)], minlength=20)
    assert counts.sum() == 50 and counts.max() <= 3


@pytest.mark.parametrize("shuffle, drop, sizes", [(True, None, [4, 4]), (False, None, [4, 4, 2])])
def test_incomplete_batches(shuffle, drop, sizes):
    options = OPTIONS | {"batch_size": 4, "shuffle": shuffle}
    dataset = load_frames(numbered(1, 13), stride=1, drop_remainder=drop, **options)
    assert [len(batch) for batch in dataset] == sizes
    assert dataset.pictures_per_epoch == 4 * sum(sizes)
    assert dataset.element_spec.shape[0] == (4 if shuffle else None)


def test_frames_collected_as_pictures():
    dataset = load_frames(numbered(2, 40), **OPTIONS | {"shuffle": True}, stride=4)
    frames, labels = collect_images(dataset)
    assert labels is None
    assert sorted(frames[:, 0, 0, 0]) == [*range(40), *range(100, 140)]
    some = sample_images(dataset, 30)[:, 0, 0, 0].tolist()
    assert len(set(some)) == 30
    assert len({number % 4 for number in some}) == 4  # frames of their own, no whole clips
    assert dataset.epoch.numpy() == 0


def test_preview_shows_a_clip_a_row():
    dataset = load_frames(numbered(3, 4), **OPTIONS | {"batch_size": 3})
    for rows, columns in ((2, 3), (4, 8)):
        figure = preview(dataset, rows=rows, columns=columns)
        shown = [np.asarray(axis.images[0].get_array())[0, 0, 0] for axis in figure.axes]
        expected = [100 * clip + frame for clip in range(3)[:rows] for frame in range(4)[:columns]]
        assert shown == expected
    assert dataset.epoch.numpy() == 0


# Splits


@pytest.mark.parametrize("fraction, border", [(0.2, 32), (0.5, 20), (0.33, 27)])
def test_one_clip_is_split_by_time(fraction, border):
    options = OPTIONS | {"stride": 1, "validation_split": fraction}
    train = windows_of(load_frames(numbered(1, 40), **options))
    held_out = windows_of(load_frames(numbered(1, 40)[0], "validation", **options))
    assert train == [list(range(i, i + 4)) for i in range(border - 3)]
    assert held_out == [list(range(i, i + 4)) for i in range(border, 37)]


def test_several_clips_are_split_by_their_content():
    clips = noise(20, 6, 8, 8, 1)
    clips[7] = clips[3]
    options = OPTIONS | {"num_frames": 6, "validation_split": 0.3}

    def sides(source):
        return [
            {clip.tobytes() for clip in epoch_of(load_frames(source, side, **options))}
            for side in ("train", "validation")
        ]

    train, held_out = sides(clips)
    assert (len(train), len(held_out)) == (13, 6)  # of 19 different ones
    assert not train & held_out
    assert train | held_out == {clip.astype(int).tobytes() for clip in clips}
    assert sides(clips[::-1]) == [train, held_out]


def test_sides_of_a_split_that_are_too_short():
    options = OPTIONS | {"validation_split": 0.2}
    with pytest.raises(ValueError, match="on the side 'validation' has 3 frames.*need 4.*Received"):
        load_frames(numbered(1, 15), "validation", **options)
    assert len(load_frames(numbered(1, 15), **options)) == 9
    same = np.zeros((5, 4, 8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match="1 different clips can't be split"):
        load_frames(same, **options)


# Bad input


@pytest.mark.parametrize(
    "options, match",
    [
        ({"num_frames": 1}, "at least 2. Received: num_frames=1"),
        ({"num_frames": 2.0}, "Received: num_frames=2.0"),
        ({"num_frames": True}, "Received: num_frames=True"),
        ({"stride": 0}, "at least 1. Received: stride=0"),
        ({"stride": "1"}, "Received: stride='1'"),
        ({"frame_step": 0}, "Received: frame_step=0"),
        ({"frame_step": None}, "Received: frame_step=None"),
        ({"clips_per_epoch": 0}, "Received: clips_per_epoch=0"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"seed": 0.5}, "Received: seed=0.5"),
        ({"image_size": 7}, r"at least 8 pixels.*Received: image_size=\(7, 7\)"),
        ({"image_size": (8, 0)}, "Received: image_size="),
        ({"channels": 5}, "Received: channels=5"),
        ({"validation_split": 1}, "Received: validation_split=1"),
        ({"value_range": (1, 0)}, "Received: value_range="),
        ({"digit_size": 24}, "goes with the source 'moving_digits'. Received: digit_size=24"),
        ({"split": "test"}, "no split of that name.*Received: split='test'"),
        ({"split": "validation"}, "give `validation_split`.*Received: split='validation'"),
        ({"split": ""}, "Received: split=''"),
    ],
)
def test_bad_options_are_refused_before_any_work(options, match, monkeypatch):
    monkeypatch.setattr(
        frames_module, "build_store", lambda *args, **more: pytest.fail("work started")
    )
    with pytest.raises(ValueError, match=match):
        load_frames(noise(2, 30, 8, 8, 1), **options)


def test_fewer_frames_than_asked_for():
    clips = [noise(frames, 8, 8, 1) for frames in (3, 12, 5)]
    with pytest.raises(
        ValueError, match="longest clip has 12 .*20 need 20.*Received: num_frames=20"
    ):
        load_frames(clips)
    with pytest.raises(ValueError, match="12 .* sequences of 5, 3 apart, need 13.*frame_step=3"):
        load_frames(clips, num_frames=5, frame_step=3)
    assert load_frames(clips, num_frames=12, batch_size=1).num_clips == 1


def test_fewer_clips_than_a_batch():
    with pytest.raises(ValueError, match="3 clips don't fill one batch of 16.*at most 3"):
        load_frames(noise(3, 20, 8, 8, 1))


def test_frames_too_small_or_in_another_order():
    with pytest.raises(ValueError, match="at least 8 pixels.*Received: frames of 8x7"):
        load_frames(noise(2, 20, 8, 7, 1))
    with pytest.raises(ValueError, match="the order is .*Received: frames of 3x64"):
        load_frames(noise(20, 3, 64, 4))  # 20 frames, channels first


def test_floats_that_cannot_be():
    clips = np.random.default_rng(0).uniform(0, 1, (2, 20, 8, 8, 1)).astype(np.float32)
    with pytest.raises(ValueError, match="Received: value_range=None"):
        load_frames(clips)
    with pytest.raises(ValueError, match="outside the stated range.*Received: value_range="):
        load_frames(clips * 2, value_range=(0, 1))
    clips[1, 19, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 40 pictures hold NaN.*Received: value_range="):
        load_frames(clips, value_range=(0, 1))
