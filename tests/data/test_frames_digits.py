"""Moving digits: trajectories and drawing against independent ones, and splits that share none."""

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image
from sklearn.datasets import load_digits

from kerasgen.data import load_frames
from kerasgen.data.moving_digits import SPLITS, MovingDigits


def to_bytes(batch):
    return np.round((np.asarray(batch) + 1) * 127.5).astype(np.uint8)


def epoch_of(dataset):
    return np.concatenate([to_bytes(batch) for batch in dataset])


def test_trajectories_bounce_off_the_walls_at_constant_speed():
    digits = MovingDigits(num_frames=200, image_size=(64, 48))
    room = np.array([64, 48]) - digits.digit_size
    followed = 0
    for number in range(20):
        _, corners = digits.trajectories(number)
        assert corners.shape == (2, 200, 2)
        assert (corners >= 0).all() and (corners <= room).all()
        for corner in corners:
            steps = np.abs(np.diff(corner, axis=0))
            velocity = steps.max(0)  # of a step without a bounce
            assert 2 - 1e-9 <= np.hypot(*velocity) <= 4 + 1e-9
            # A ball followed step by step, mirrored whenever it has crossed a wall.
            position, direction = corner[0].copy(), np.sign(corner[1] - corner[0])
            first = np.abs(corner[1] - corner[0])
            if not np.allclose(first, velocity):
                continue  # bounced at once: which way it came from isn't told
            followed += 1
            for expected in corner[1:]:
                position = position + direction * velocity
                for axis in (0, 1):
                    if position[axis] < 0:
                        position[axis], direction[axis] = -position[axis], 1
                    elif position[axis] > room[axis]:
                        position[axis] = 2 * room[axis] - position[axis]
                        direction[axis] = -1
                np.testing.assert_allclose(position, expected, atol=1e-9)
    assert followed > 20


def test_trajectories_start_and_go_anywhere():
    digits = MovingDigits()
    corners = np.concatenate([digits.trajectories(number)[1] for number in range(300)])
    start, step = corners[:, 0], corners[:, 1] - corners[:, 0]
    assert (start.min(0) < 2).all() and (start.max(0) > 38).all()
    assert {tuple(signs) for signs in np.sign(step)} == {(a, b) for a in (-1, 1) for b in (-1, 1)}
    chosen = {digit for number in range(300) for digit in digits.trajectories(number)[0]}
    assert len(chosen) > 300


def test_clips_are_digits_at_their_places():
    digits = MovingDigits("test", seed=5, num_frames=6)
    for number in range(4):
        chosen, corners = digits.trajectories(number)
        expected = np.zeros((6, 64, 64))
        for digit, path in zip(chosen, corners, strict=True):
            picture = load_digits().images[digits.digit_indices[digit]]
            picture = Image.fromarray(np.round(picture * 255 / 16).astype(np.uint8))
            picture = np.asarray(picture.resize((24, 24), Image.Resampling.BICUBIC), float)
            canvas = np.zeros((64, 64))
            canvas[:24, :24] = picture
            for frame, corner in zip(expected, path, strict=True):
                moved = scipy.ndimage.shift(canvas, corner, order=1, mode="grid-constant")
                np.maximum(frame, moved, out=frame)
        got = digits.clip(number)
        assert got.dtype == np.uint8 and got.shape == (6, 64, 64, 1)
        np.testing.assert_allclose(got[..., 0], expected, atol=0.51)
        assert got.max() > 200


def test_clips_of_other_sizes():
    digits = MovingDigits(num_frames=3, image_size=(32, 40), channels=3, frame_step=2)
    assert digits.digit_size == 12
    clip = digits.clip(0)
    assert clip.shape == (3, 32, 40, 3) and (clip == clip[..., :1]).all()
    slow = MovingDigits(num_frames=5, image_size=(32, 40), channels=3)
    np.testing.assert_array_equal(clip, slow.clip(0)[::2])
    large = MovingDigits(num_frames=2, digit_size=60)
    assert (large.clip(0) > 100).mean() > 0.2


def test_splits_share_no_digit_and_no_trajectory():
    made = {split: MovingDigits(split, num_frames=2) for split in SPLITS}
    indices = [index for digits in made.values() for index in digits.digit_indices.tolist()]
    assert sorted(indices) == list(range(1797))
    assert [len(made[split].digits) for split in SPLITS] == [1197, 300, 300]
    pictures = load_digits().images
    contents = [{pictures[i].tobytes() for i in digits.digit_indices} for digits in made.values()]
    assert sum(map(len, contents)) == len(set.union(*contents))
    starts = {tuple(made[s].trajectories(n)[1][0, 0]) for s in SPLITS for n in range(50)}
    assert len(starts) == 150
    again = MovingDigits("test", seed=99)
    np.testing.assert_array_equal(again.digit_indices, made["test"].digit_indices)
    labels = load_digits().target
    for digits in made.values():
        assert (np.bincount(labels[digits.digit_indices]) > 0.07 * len(digits.digits)).all()


def test_equal_seeds_are_bit_equal_and_epochs_differ():
    options = {"batch_size": 4, "num_frames": 3, "clips_per_epoch": 8}
    one, two = (load_frames("moving_digits", seed=7, **options) for _ in range(2))
    epochs = [epoch_of(one) for _ in range(3)]
    np.testing.assert_array_equal([epoch_of(two) for _ in range(3)], epochs)
    assert len({clip.tobytes() for epoch in epochs for clip in epoch}) == 24
    two.epoch.assign(1)
    np.testing.assert_array_equal(epoch_of(two), epochs[1])
    digits = MovingDigits(seed=7, num_frames=3)
    np.testing.assert_array_equal(epochs[1], [digits.clip(number) for number in range(8, 16)])
    batched = load_frames("moving_digits", seed=7, **options | {"batch_size": 8})
    np.testing.assert_array_equal(epoch_of(batched), epochs[0])
    other = load_frames("moving_digits", seed=8, **options)
    assert not {clip.tobytes() for clip in epoch_of(other)} & {c.tobytes() for c in epochs[0]}
    assert one.fingerprint == two.fingerprint != other.fingerprint


@pytest.mark.parametrize("split", ["validation", "test"])
def test_held_out_clips_are_fixed(split):
    options = {"num_frames": 3, "clips_per_epoch": 12, "batch_size": 4}
    dataset = load_frames("moving_digits", split, validation_split=0.1, **options)
    epochs = [epoch_of(dataset) for _ in range(2)]
    contents = [{clip.tobytes() for clip in epoch} for epoch in epochs]
    assert contents[0] == contents[1] and len(contents[0]) == 12
    assert (epochs[0] != epochs[1]).any()
    in_order = load_frames("moving_digits", split, shuffle=False, **options)
    expected = MovingDigits(split, num_frames=3).clips(range(12))
    for _ in range(2):
        np.testing.assert_array_equal(epoch_of(in_order), expected)


def test_fixed_training_clips():
    options = {"num_frames": 2, "clips_per_epoch": 5, "batch_size": 2, "shuffle": False}
    dataset = load_frames("moving_digits", **options)
    np.testing.assert_array_equal(epoch_of(dataset), epoch_of(dataset))


def test_defaults():
    dataset = load_frames("moving_digits")
    assert dataset.frame_shape == (20, 64, 64, 1) and dataset.element_spec.shape[0] == 16
    assert dataset.num_clips == 2000 and dataset.pictures_per_epoch == 2000 * 20
    assert load_frames("moving_digits", "test").num_clips == 500
    batch = next(iter(dataset)).numpy()
    assert batch.min() == -1 and batch.max() > 0.9
    assert 0.02 < ((batch + 1) / 2).mean() < 0.2  # two digits of 24 pixels in 64


@pytest.mark.parametrize(
    "options, match",
    [
        ({"split": "tset"}, "Did you mean 'test'.* Received: split='tset'"),
        ({"channels": 4}, "Received: channels=4"),
        ({"digit_size": 64}, "shorter side, 64. Received: digit_size=64"),
        ({"digit_size": 3}, "Received: digit_size=3"),
        ({"digit_size": 24.0}, "Received: digit_size=24.0"),
        ({"stride": 5}, "`stride` goes with clips.*Received: stride=5"),
        ({"clips_per_epoch": 8}, "8 clips don't fill one batch of 16"),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        load_frames("moving_digits", **options)


@pytest.mark.parametrize("seed", [-1, 2**63 - 1, -(2**63), np.int32(5)])
def test_seeds_of_any_size(seed):
    dataset = load_frames("moving_digits", seed=seed, num_frames=2, batch_size=2, clips_per_epoch=2)
    assert len({clip.tobytes() for clip in epoch_of(dataset)}) == 2
