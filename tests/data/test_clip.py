"""`load_clip`, and what `inspect_frames` says before anything is read."""

import numpy as np
import pytest
from PIL import Image

from kerasgen.data import inspect_frames, load_clip, load_frames


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_frames(folder, clip):
    folder.mkdir(parents=True)
    for index, frame in enumerate(clip):
        Image.fromarray(frame.squeeze()).save(folder / f"{index}.png")
    return folder


def test_a_clip_is_whole_and_in_order(tmp_path):
    clip = noise(12, 16, 24, 1)
    folder = write_frames(tmp_path / "clip", clip)
    np.testing.assert_array_equal(load_clip(folder), clip)
    np.testing.assert_array_equal(load_clip(folder, frame_step=5), clip[[1, 6, 11]])
    np.testing.assert_array_equal(load_clip(folder, channels=3), np.repeat(clip, 3, axis=-1))
    floats = clip.astype(np.float32) / 255
    np.testing.assert_array_equal(load_clip(floats, value_range=(0, 1)), clip)


def test_a_clip_is_resized_as_in_training():
    clip = noise(4, 40, 60, 3)
    dataset = load_frames(clip, num_frames=4, image_size=16, batch_size=1)
    trained = np.round((np.asarray(next(iter(dataset)))[0] + 1) * 127.5)
    np.testing.assert_array_equal(load_clip(clip, image_size=16), trained)


def test_moving_digits_have_a_clip_too():
    test_clips = load_frames("moving_digits", "test", shuffle=False, batch_size=1)
    expected = np.round((np.asarray(next(iter(test_clips)))[0] + 1) * 127.5)
    np.testing.assert_array_equal(load_clip("moving_digits"), expected)


def test_several_clips_and_bad_steps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a single clip, and there are 2"):
        load_clip(noise(2, 5, 16, 16, 1))
    for step in (0, 1.5):
        with pytest.raises(ValueError, match=f"frame_step={step}"):
            load_clip(noise(5, 16, 16, 1), frame_step=step)
    with pytest.raises(ValueError, match="at least 8 pixels"):
        load_clip(noise(5, 4, 16, 1))


def test_what_is_found_is_what_is_loaded(tmp_path):
    for name in "ab":
        write_frames(tmp_path / "clips" / name, noise(5, 100, 200, 3))
    found = inspect_frames(tmp_path / "clips")
    assert found.num_clips == 2
    assert "10 colour pictures of 100x200 pixels" in found.reason
    assert "crop" not in found.reason
    dataset = load_frames(tmp_path / "clips", num_frames=5, batch_size=1)
    assert dataset.image_shape == (*found.image_size, found.channels)
    found = inspect_frames("moving_digits", image_size=(32, 48))
    assert (found.image_size, found.channels, found.num_clips) == ((32, 48), 1, 2000)
    assert inspect_frames("moving_digits", split="test").num_clips == 500
    with pytest.raises(ValueError, match="split='tset'"):
        inspect_frames("moving_digits", split="tset")
