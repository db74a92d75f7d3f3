"""`load_clip`: a single clip, whole."""

import numpy as np

from kerasgen.data.checks import check_shape, is_whole
from kerasgen.data.clips import open_clips
from kerasgen.data.frames import DIGITS_SIZE, check_large_enough
from kerasgen.data.images import summarise
from kerasgen.data.moving_digits import MovingDigits
from kerasgen.data.store import build_store
from kerasgen.pixels import to_uint8


def load_clip(source, image_size=None, channels=None, *, frame_step=1, value_range=None):
    """Loads all frames of one clip, for instance to let a model continue it.

    Args:
        source: a video, an animation, a folder of numbered frames, an array `(T, H, W, C)`, or
            any other source of `load_frames` that holds a single clip; or "moving_digits", which
            gives the first 20 frames of its first test clip.
        image_size, channels, value_range: as in `load_frames`.
        frame_step: int. Frames from one that is kept to the next; the last one is always kept.
            Defaults to 1.

    Returns:
        uint8 array `(T, H, W, C)`.

    Raises:
        ValueError: a source of several clips, and as `load_frames`.
        FileNotFoundError, ImportError, TypeError: as `load_frames`.

    Example:

    ```python
    clip = kerasgen.data.load_clip("walk.mp4", image_size=64)
    frames = model.predict_frames(clip[None, -10:], num_frames=30)
    ```
    """
    image_size, channels = check_shape(image_size, channels)
    if not is_whole(frame_step) or frame_step < 1:
        raise ValueError(
            f"`frame_step` must be a whole number, at least 1. Received: frame_step={frame_step!r}"
        )
    if isinstance(source, str) and source == "moving_digits":
        size, channels = image_size or DIGITS_SIZE, channels or 1
        return MovingDigits("test", 0, 20, size, channels, frame_step=frame_step).clip(0)
    opened = open_clips(source, value_range=value_range)
    count = len(set(opened.labels))
    if count != 1:
        raise ValueError(
            f"Expected a single clip, and there are {count}: name one video, or one folder of "
            f"numbered frames. Received: {opened.kind}"
        )
    check_large_enough(opened)
    if image_size is None or channels is None:
        summary = summarise(opened, image_size, channels)
        image_size, channels = summary.image_size, summary.channels
    opened.target = (image_size, channels)
    pixels = np.asarray(build_store(opened, image_size, channels, strict="always").pixels)
    clip = pixels[(len(pixels) - 1) % frame_step :: frame_step]
    return clip if clip.dtype == np.uint8 else to_uint8(clip).numpy()
