"""Handwritten digits that bounce off the walls of a frame, drawn when they are asked for."""

import hashlib

import numpy as np

from kerasgen.data.checks import is_whole
from kerasgen.data.pictures import read_picture
from kerasgen.data.sources import embedded_digits
from kerasgen.names import nearest

SPLITS = ("train", "validation", "test")
_HELD_OUT = 300  # of the 1,797 digits, for validation and for test each
_SLOWEST, _FASTEST = 2.0, 4.0  # pixels a frame
_PER_CLIP = 2


class MovingDigits:
    """Clips of two digits, each a function of the seed, the split and the clip's number alone.

    A digit starts anywhere, goes in any direction at a speed between 2 and 4 pixels a frame that
    it keeps, and is mirrored back where it would leave the frame. Positions are fractions of a
    pixel, interpolated linearly. Where two digits overlap, the brighter is seen.

    The digits of the three splits are different ones, whatever the seed: they are chosen by
    their pixels, so that equal digits never land in two splits. The seeds of the trajectories
    differ by split, too.

    Args:
        split: str. "train", "validation" or "test". Defaults to "train".
        seed: int. Defaults to 0.
        num_frames: int. Defaults to 20.
        image_size: tuple of 2 ints. Height and width of a frame, in pixels. Defaults to (64, 64).
        channels: int. 1 grey, or 3 for the same in colour. Defaults to 1.
        digit_size: int or None. Side that a digit of 8x8 pixels is smoothly enlarged to.
            Defaults to None: 24 pixels in frames of 64, in proportion in others.
        frame_step: int. Time from one frame to the next. Defaults to 1.

    Raises:
        ValueError: an unknown split, channels or a digit size that can't be.

    Reference:
        - [Srivastava et al., 2015: Unsupervised Learning of Video Representations using
          LSTMs](https://arxiv.org/abs/1502.04681), whose digits moved likewise.
    """

    def __init__(
        self,
        split="train",
        seed=0,
        num_frames=20,
        image_size=(64, 64),
        channels=1,
        digit_size=None,
        frame_step=1,
    ):
        if split not in SPLITS:
            raise ValueError(
                "The source 'moving_digits' has the splits 'train', 'validation' and 'test'."
                f"{nearest(split, SPLITS)} Received: split={split!r}"
            )
        if channels not in (1, 3):
            raise ValueError(
                f"Moving digits have 1 channel or 3 equal ones. Received: channels={channels}"
            )
        shorter = min(image_size)
        size = max(4, round(shorter * 3 / 8)) if digit_size is None else digit_size
        if not is_whole(size) or not 4 <= size < shorter:
            raise ValueError(
                "`digit_size` must be a whole number of pixels from 4 to less than the frame's "
                f"shorter side, {shorter}. Received: digit_size={digit_size!r}"
            )
        self.split = split
        self.seed = int(seed)
        self.frame_shape = (int(num_frames), *image_size, channels)
        self.digit_size = int(size)
        self.frame_step = frame_step
        self.digit_indices, pictures = _digits_of(split)
        enlarged = [read_picture(picture, (size, size), 1)[..., 0] for picture in pictures]
        self.digits = np.stack(enlarged).astype(np.float32)

    @property
    def fingerprint(self):
        """Str of 32 hex digits that changes with any argument."""
        digest = hashlib.blake2b(self.digits.tobytes(), digest_size=16)
        digest.update(repr((self.split, self.seed, self.frame_shape, self.frame_step)).encode())
        return digest.hexdigest()

    def trajectories(self, number):
        """What moves where in a clip.

        Args:
            number: int. The clip's, from 0.

        Returns:
            Tuple of an int array `(2,)`, which of `digits` the clip shows, and a float array
            `(2, T, 2)`, the pixels from the frame's top and left to each digit's.
        """
        seed = self.seed % 2**64  # entropy must not be negative
        random = np.random.default_rng([SPLITS.index(self.split), seed, int(number)])
        chosen = random.integers(0, len(self.digits), _PER_CLIP)
        room = np.array(self.frame_shape[1:3]) - self.digit_size
        start = random.uniform(0, room, (_PER_CLIP, 2))
        speed = random.uniform(_SLOWEST, _FASTEST, (_PER_CLIP, 1))
        angle = random.uniform(0, 2 * np.pi, (_PER_CLIP, 1))
        velocity = speed * np.concatenate([np.sin(angle), np.cos(angle)], 1)
        time = np.arange(self.frame_shape[0])[:, None] * self.frame_step
        straight = start[:, None] + velocity[:, None] * time
        # Mirrored at both walls, a way repeats after twice the room.
        return chosen, room - np.abs(straight % (2 * room) - room)

    def clip(self, number):
        """Draws a clip.

        Args:
            number: int. The clip's, from 0.

        Returns:
            uint8 array `(T, H, W, C)`.
        """
        frames = np.zeros(self.frame_shape[:3], np.float32)
        for digit, corners in zip(*self.trajectories(number), strict=True):
            down, right = (
                _placement(corners[:, axis], self.frame_shape[1 + axis], self.digit_size)
                for axis in (0, 1)
            )
            placed = down @ self.digits[digit] @ right.transpose(0, 2, 1)
            np.maximum(frames, placed, out=frames)
        frames = np.round(frames).astype(np.uint8)[..., None]
        return np.repeat(frames, self.frame_shape[3], axis=-1)

    def clips(self, numbers):
        """Draws clips: uint8 array `(N, T, H, W, C)` for `numbers`, ints `(N,)`."""
        return np.stack([self.clip(number) for number in numbers])


def _digits_of(split):
    """Which digits a split draws from, as int array, and these, uint8 `(N, 8, 8, 1)`."""
    pictures, _ = embedded_digits()
    digests = [hashlib.blake2b(picture.tobytes()).digest() for picture in pictures]
    ranked = np.array(sorted(range(len(digests)), key=digests.__getitem__))
    parts = {
        "test": ranked[:_HELD_OUT],
        "validation": ranked[_HELD_OUT : 2 * _HELD_OUT],
        "train": ranked[2 * _HELD_OUT :],
    }
    return parts[split], pictures[parts[split]]


def _placement(offsets, length, size):
    """Weights `(T, length, size)` of a digit's pixels in a frame's, along one axis."""
    distance = np.arange(length)[:, None] - np.arange(size) - offsets[:, None, None]
    return np.maximum(1 - np.abs(distance), 0).astype(np.float32)
