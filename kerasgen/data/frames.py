"""`load_frames`: clips from anywhere to batches of frame sequences that a model trains on."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from kerasgen.data.checks import (
    check_batching,
    check_fills_batch,
    check_shape,
    check_validation_split,
    is_whole,
)
from kerasgen.data.clips import FEWEST_PIXELS, open_clips
from kerasgen.data.images import sampled_shapes, summarise
from kerasgen.data.moving_digits import MovingDigits
from kerasgen.data.pipeline import batches_by_index, whole_pictures
from kerasgen.data.store import build_store, side_of_split
from kerasgen.pixels import to_float

TRAINING_CLIPS = 2000  # an epoch of moving digits; what overlapping windows are to make at least
FIXED_CLIPS = 500  # of moving digits held out
DIGITS_SIZE = (64, 64)


def load_frames(
    source,
    split="train",
    num_frames=20,
    image_size=None,
    channels=None,
    batch_size=16,
    shuffle=True,
    seed=0,
    *,
    stride=None,
    frame_step=1,
    clips_per_epoch=None,
    digit_size=None,
    validation_split=None,
    value_range=None,
    drop_remainder=None,
    data_dir=None,
    download=False,
):
    """Loads clips as a `tf.data.Dataset` of batches of frame sequences, float32 in [-1, 1].

    Every frame is decoded once, cropped at its centre and resized with anti-aliasing, and kept
    as 8-bit pixels; windows of `num_frames` frames are cut by their indices, so that windows
    which overlap share their frames' memory. The order of epoch `e` is a pure function of `seed`
    and `e`.

    Args:
        source: where the clips come from. One of
            - `"moving_digits"`: two handwritten digits that bounce off the walls of a grey frame
              of 64x64, drawn on the fly. Training clips are new in every epoch. Validation and
              test clips are fixed by the seed, and their digits are not among those trained on;
            - an array `(N, T, H, W, C)`, or one clip `(T, H, W, C)`, uint8, or floating point
              with `value_range`; grey ones may lack C; or a list of clips of any lengths;
            - the name of a TFDS data set prepared on this machine that has a video feature,
              such as `"moving_mnist"`;
            - a video file (MP4, AVI, MOV, MKV, WebM; needs PyAV, `kerasgen[video]`), an animated
              GIF, WebP or PNG file, or a folder of these, each one clip;
            - a folder of numbered frames, in natural order (2 before 10), or of folders of such,
              each one clip;
            - a finite `tf.data.Dataset` of clips `(T, H, W, C)` or batches of clips.
            A folder may have one such folder a split.
        split: str. Part of the source: "train", "validation" (with `validation_split`), a
            TFDS split such as "test" or "train[:10%]", or a subfolder; of moving digits "train",
            "validation" or "test". Defaults to "train".
        num_frames: int. Frames of a sequence, at least 2. Defaults to 20.
        image_size: int, tuple of 2 ints (height, width), or None. Size to crop (at the centre)
            and resize to, in pixels. Defaults to None: 64x64 for moving digits, otherwise as
            in `load_images`.
        channels: int or None. 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha. Defaults
            to None: 1 for moving digits, an array's own, otherwise 1 for grey frames, else 3.
        batch_size: int. Defaults to 16.
        shuffle: bool. Whether every epoch has an order of its own. Training clips of moving
            digits are new ones in each epoch if so, and the same otherwise. Defaults to True.
        seed: int. What order, digits and trajectories derive from. Defaults to 0.
        stride: int or None. Frames from the start of a window to that of the next. Defaults to
            None: windows of split "train" overlap as far as needed for 2,000 an epoch; those of
            other splits don't overlap.
        frame_step: int. Frames from one of a sequence to its next: 2 skips every other frame.
            Defaults to 1.
        clips_per_epoch: int or None. Sequences an epoch takes; where there are more, each
            epoch takes others, and where there are fewer, it takes them again. Defaults to None:
            every window once; 2,000 for moving digits, and 500 where these are held out.
        digit_size: int or None. Side of a moving digit, in pixels. Defaults to None: 24 in a
            frame of 64x64, in proportion in others.
        validation_split: float in (0, 1), or None. Fraction held out as split "validation".
            Of several clips it is a fraction of the clips, chosen by their content; of a single
            one it is the end, and no window crosses the border. Moving digits have a split
            "validation" of their own, whatever is given here. Defaults to None.
        value_range: tuple of 2 floats, or None. The range that floating-point frames are in.
        drop_remainder: bool or None. Whether to leave out an incomplete last batch. Defaults
            to None: exactly if shuffling.
        data_dir: str or None. Where TFDS data sets are. Defaults to None: TFDS's default.
        download: bool. Whether TFDS may download the data set. Defaults to False.

    Returns:
        A `tf.data.Dataset` of float32 `(B, T, H, W, C)` in [-1, 1]. It carries the attributes
        `num_clips` (int, how many sequences there are), `num_images` (int, the same for code
        that expects pictures), `pictures_per_epoch` (int, the frames that an epoch yields),
        `frame_shape` (tuple, `(T, H, W, C)`), `image_shape` (tuple, `(H, W, C)`), `class_names`
        (None), `crop` ("center"), `fingerprint` (str that identifies the frames), and `epoch`,
        an int64 `tf.Variable`: the epoch whose order the next iteration takes.

    Raises:
        FileNotFoundError: a file or folder that isn't there; a TFDS data set that is not prepared.
        ImportError: a video file, and PyAV isn't installed.
        TypeError: a source or array dtype of a kind that can't hold frames.
        ValueError: clips that are all too short, frames of different sizes in a folder of frames
            or smaller than 8x8, an empty or unreadable video or frame, floats outside the stated
            range or not finite, an unknown data set or split, and any other argument outside
            what is described here.

    Example:

    ```python
    dataset = kerasgen.data.load_frames("moving_digits")
    for frames in dataset.take(1):
        print(frames.shape)  # (16, 20, 64, 64, 1)
    ```
    """
    image_size, channels = check_shape(image_size, channels)
    check_batching(batch_size, seed)
    check_validation_split(validation_split)
    _check_window(num_frames, stride, frame_step, clips_per_epoch)
    if image_size is not None and min(image_size) < FEWEST_PIXELS:
        raise ValueError(
            f"Frames must be at least {FEWEST_PIXELS} pixels high and wide. "
            f"Received: image_size={image_size}"
        )
    batching = {
        "batch_size": batch_size,
        "shuffle": shuffle,
        "seed": seed,
        "drop_remainder": shuffle if drop_remainder is None else drop_remainder,
    }
    if isinstance(source, str) and source == "moving_digits":
        if stride is not None:
            raise ValueError(
                "`stride` goes with clips that windows are cut from; moving digits are drawn "
                f"window by window. Received: stride={stride}"
            )
        digits = MovingDigits(
            split,
            seed,
            num_frames,
            image_size or DIGITS_SIZE,
            channels or 1,
            digit_size,
            frame_step,
        )
        return _moving_digits(digits, clips_per_epoch, batching)
    if digit_size is not None:
        raise ValueError(
            f"`digit_size` goes with the source 'moving_digits'. Received: digit_size={digit_size}"
        )
    opened = open_clips(source, split, validation_split, value_range, data_dir, download)
    _check_long_enough(np.bincount(opened.labels), num_frames, frame_step)
    check_large_enough(opened)
    if image_size is None or channels is None:
        summary = summarise(opened, image_size, channels)
        image_size, channels = summary.image_size, summary.channels
    opened.target = (image_size, channels)
    store = build_store(opened, image_size, channels, strict="always")
    starts = _starts(store, split, validation_split, num_frames, frame_step)
    if stride is None:
        stride = _span(num_frames, frame_step)
        if split == "train":
            possible = sum(len(places) for places in starts)
            stride = min(max(possible // TRAINING_CLIPS, 1), stride)
    starts = np.concatenate([places[::stride] for places in starts])
    frame_shape = (int(num_frames), *image_size, channels)
    return _windows(store, starts, frame_step, clips_per_epoch, frame_shape, batching)


@dataclasses.dataclass(frozen=True)
class FrameSummary:
    """What `inspect_frames` found.

    Attributes:
        kind: str. What the source is.
        num_clips: int. How many clips it holds, before windows are cut from them.
        image_size: tuple of 2 ints. Height and width to load at, in pixels.
        channels: int. Channels to load.
        reason: str. What its frames are, and why this size.
    """

    kind: str
    num_clips: int
    image_size: tuple
    channels: int
    reason: str


def inspect_frames(
    source,
    split="train",
    image_size=None,
    channels=None,
    *,
    validation_split=None,
    value_range=None,
    data_dir=None,
    download=False,
):
    """Looks at a source of clips without reading all of it, and says how it would be loaded.

    Args:
        source, split, image_size, channels, validation_split, value_range, data_dir, download:
            as in `load_frames`.

    Returns:
        A `FrameSummary`.

    Raises:
        FileNotFoundError, ValueError: as `load_frames`, for a source that can't be opened,
            or a size or channels that can't be.
    """
    image_size, channels = check_shape(image_size, channels)
    check_validation_split(validation_split)
    if isinstance(source, str) and source == "moving_digits":
        size = image_size or DIGITS_SIZE
        digits = MovingDigits(split, image_size=size, channels=channels or 1)
        count = TRAINING_CLIPS if split == "train" else FIXED_CLIPS
        reason = f"two digits of {digits.digit_size}x{digits.digit_size} pixels each"
        return FrameSummary(source, count, size, channels or 1, reason)
    opened = open_clips(source, split, validation_split, value_range, data_dir, download)
    check_large_enough(opened)
    found = summarise(opened, image_size, channels, may_crop=False)
    return FrameSummary(
        found.kind,
        len(set(opened.labels)),
        found.image_size,
        found.channels,
        f"{found.num_images} {found.reason}",
    )


def _check_window(num_frames, stride, frame_step, clips_per_epoch):
    for name, value, least in (
        ("num_frames", num_frames, 2),
        ("stride", 1 if stride is None else stride, 1),
        ("frame_step", frame_step, 1),
        ("clips_per_epoch", 1 if clips_per_epoch is None else clips_per_epoch, 1),
    ):
        if not is_whole(value) or value < least:
            raise ValueError(
                f"`{name}` must be a whole number, at least {least}. Received: {name}={value!r}"
            )


def _check_long_enough(lengths, num_frames, frame_step, where="The longest clip"):
    longest, span = max(lengths, default=0), _span(num_frames, frame_step)
    if longest < span:
        skipping = f", {frame_step} apart," if frame_step > 1 else ""
        raise ValueError(
            f"{where} has {longest} frames, and sequences of {num_frames}{skipping} need {span}: "
            "use a smaller `num_frames` or `frame_step`, or longer clips. "
            f"Received: num_frames={num_frames}, frame_step={frame_step}"
        )


def check_large_enough(opened):
    """Checks the frames of an opened source."""
    for height, width, _ in sampled_shapes(opened):
        if min(height, width) < FEWEST_PIXELS:
            raise ValueError(
                f"Frames must be at least {FEWEST_PIXELS} pixels high and wide; of an array the "
                "order is (clips, frames, height, width, channels). "
                f"Received: frames of {height}x{width}"
            )


def _span(num_frames, frame_step):
    """Frames from the first of a sequence to its last."""
    return (num_frames - 1) * frame_step + 1


def _starts(store, split, validation_split, num_frames, frame_step):
    """Where a window can start: for each stretch of time on the split's side, an int array."""
    lengths = np.bincount(store.labels)
    _check_long_enough(lengths, num_frames, frame_step)  # a video may hold less than it says
    ends = np.cumsum(lengths)
    stretches = np.stack([ends - lengths, ends], axis=1)
    if validation_split is not None and len(stretches) == 1:
        border = round(lengths[0] * (1 - validation_split))
        stretches = [(border, ends[0]) if split == "validation" else (0, border)]
    elif validation_split is not None:
        digests = [
            hashlib.blake2b(b"".join(store.digests[begin:end]), digest_size=16).digest()
            for begin, end in stretches
        ]
        stretches = stretches[side_of_split(digests, split, validation_split, "clips")]
    _check_long_enough(
        [end - begin for begin, end in stretches],
        num_frames,
        frame_step,
        f"Of {'a clip' if len(lengths) == 1 else 'clips'} split by `validation_split`, the "
        f"longest on the side {split!r}",
    )
    span = _span(num_frames, frame_step)
    return [np.arange(begin, max(begin, end - span + 1)) for begin, end in stretches]


def _windows(store, starts, frame_step, clips_per_epoch, frame_shape, batching):
    with tf.device("CPU:0"):
        offsets = tf.range(0, frame_shape[0] * frame_step, frame_step, tf.int64)
    look_up = whole_pictures(store, frame_shape)
    count = clips_per_epoch or len(starts)
    dataset = _batches(
        np.tile(starts, -(-count // len(starts))),
        lambda batch, places: look_up(batch[:, None] + offsets),
        count,
        frame_shape,
        portable=not isinstance(store.pixels, np.memmap),
        **batching,
    )
    dataset.num_clips = dataset.num_images = len(starts)
    dataset.fingerprint = store.fingerprint
    return dataset


def _moving_digits(digits, clips_per_epoch, batching):
    training = digits.split == "train"
    count = clips_per_epoch or (TRAINING_CLIPS if training else FIXED_CLIPS)
    endless = training and batching["shuffle"]

    def draw(batch, places):
        numbers = places if endless else batch
        return to_float(tf.numpy_function(digits.clips, [numbers], tf.uint8, stateful=False))

    batching = batching | {"shuffle": batching["shuffle"] and not endless}
    dataset = _batches(np.arange(count), draw, count, digits.frame_shape, **batching)
    dataset.num_clips = dataset.num_images = count
    dataset.fingerprint = digits.fingerprint
    return dataset


def _batches(
    indices, load, count, frame_shape, batch_size, shuffle, seed, drop_remainder, portable=False
):
    if drop_remainder:
        check_fills_batch(count, batch_size, "clips")
    shape = (batch_size if drop_remainder else None, *frame_shape)
    dataset = batches_by_index(
        indices,
        lambda batch, places: tf.ensure_shape(load(batch, places), shape),
        batch_size,
        shuffle,
        seed,
        drop_remainder,
        count,
        portable,
    )
    left_out = count % batch_size if drop_remainder else 0
    dataset.pictures_per_epoch = (count - left_out) * frame_shape[0]
    dataset.frame_shape = frame_shape
    dataset.image_shape = frame_shape[1:]
    dataset.class_names = None
    dataset.crop = "center"
    return dataset
