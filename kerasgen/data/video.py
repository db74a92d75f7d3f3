"""Frames of one video file, by PyAV, or of one animated picture, by Pillow."""

import contextlib
import itertools
import os

import numpy as np
from PIL import Image

from kerasgen.data.pictures import open_picture, read_picture, to_mode

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg")
ANIMATION_EXTENSIONS = (".gif", ".webp", ".png")


def is_video(path):
    """Whether a path is named like a video, and is not a file that an archiver left behind."""
    return _extension(path) in VIDEO_EXTENSIONS and not os.path.basename(path).startswith(".")


def is_animation(path):
    """Whether a path is named like a picture that can move, and has several frames."""
    if _extension(path) not in ANIMATION_EXTENSIONS:
        return False
    try:
        with open_picture(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except Exception:  # whatever is wrong with it is said when it is decoded
        return False


def count_frames(path):
    """How many frames a video or animation has at most, without decoding it.

    Args:
        path: str.

    Returns:
        int. Exact but for a video with packets that show nothing.

    Raises:
        ImportError: a video, and PyAV isn't installed.
        ValueError: a file that can't be read, or without pictures.
    """
    if not is_video(path):
        with _naming(path), Image.open(path) as image:
            return getattr(image, "n_frames", 1)
    with _naming(path), _open_video(path) as container:
        return sum(packet.size > 0 for packet in container.demux(_video_stream(container)))


def read_frames(path, size=None, channels=None):
    """Decodes the frames of a video or animation, one after another.

    Args:
        path: str.
        size: tuple of 2 ints, or None. Height and width to crop (at the centre) and resize
            (anti-aliased) to. Defaults to None: the frames' own.
        channels: int or None. As in `kerasgen.data.load_frames`. Defaults to None: 3, or 1 of
            a video that is stored in grey.

    Yields:
        uint8 arrays `(H, W, C)`, upright.

    Raises:
        ImportError: a video, and PyAV isn't installed.
        ValueError: a file that can't be read, or breaks off.
    """
    with _naming(path):
        for frame in _decode_video(path) if is_video(path) else _decode_animation(path):
            target = frame.shape[:2] if size is None else size
            yield read_picture(frame, target, channels or frame.shape[-1])


def sample_frames(path):
    """A few frames of a file to tell its size and channels by: a list of uint8 arrays."""
    if is_video(path):
        return list(itertools.islice(read_frames(path), 1))
    frames = list(read_frames(path))
    frames = [frames[0], frames[len(frames) // 2], frames[-1]]
    grey = all((frame == frame[..., :1]).all() for frame in frames)  # the first is often black
    return [frame[..., :1] for frame in frames] if grey else frames


@contextlib.contextmanager
def _naming(path):
    """Says which file it was that a decoder couldn't read."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # FFmpeg's and Pillow's share no base
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"The video can't be read ({type(error).__name__}: {reason}): replace or remove it. "
            f"Received: source={path!r}"
        ) from error


def _open_video(path):
    try:
        import av
    except ImportError:
        raise ImportError(
            "Reading videos needs PyAV: `python -m pip install 'kerasgen[video]'`. "
            f"Received: source={path!r}"
        ) from None
    return av.open(path)


def _video_stream(container):
    if not container.streams.video:
        raise ValueError("no video stream")
    return container.streams.video[0]


def _decode_video(path):
    with _open_video(path) as container:
        stream = _video_stream(container)
        stream.thread_type = "AUTO"  # later frames are decoded while this one is used
        for frame in container.decode(stream):
            grey = frame.format.name.startswith("gray")
            pixels = frame.to_ndarray(format="gray" if grey else "rgb24")
            # Telephones store what they film upright lying on its side.
            pixels = np.rot90(pixels, round(frame.rotation / 90) % 4)
            yield np.ascontiguousarray(pixels[..., None] if grey else pixels)


def _decode_animation(path):
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            yield np.array(to_mode(image, 3))


def _extension(path):
    return os.path.splitext(path)[1].lower()
