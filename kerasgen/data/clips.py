"""Finds out what a source of clips is and opens it: arrays, frames, videos, `tf.data`, TFDS."""

import functools
import itertools
import os
import pathlib
import re

import numpy as np

from kerasgen.data.pictures import EXTENSIONS, MODES, is_picture, picture_shape
from kerasgen.data.source import Source
from kerasgen.data.sources import (
    HELD_OUT,
    FolderSource,
    check_array,
    check_value_range,
    enter_split,
    files_below,
    looks_like_path,
    nothing_found,
    only_train,
)
from kerasgen.data.tfds_source import builder_key, prepared_builder, read_encoded
from kerasgen.data.video import (
    ANIMATION_EXTENSIONS,
    VIDEO_EXTENSIONS,
    count_frames,
    is_animation,
    is_video,
    read_frames,
    sample_frames,
)

FEWEST_PIXELS = 8  # on a frame's shorter side
_SAMPLED_CLIPS = 16
_KEYS = ("video", "image_sequence")


def open_clips(
    source, split="train", validation_split=None, value_range=None, data_dir=None, download=False
):
    """Opens a source of clips as a `Source` of all their frames, labelled by the clips' numbers.

    Args:
        source, split, validation_split, value_range, data_dir, download: see
            `kerasgen.data.load_frames`.

    Returns:
        A `kerasgen.data.source.Source` with int `labels`, in order; where only decoding tells
        how many frames there are, they count as many as there can be.

    Raises:
        FileNotFoundError, NotADirectoryError, TypeError, ValueError: as `load_frames` says.
    """
    import tensorflow as tf

    if not isinstance(split, str) or not split:
        raise ValueError(
            f"`split` must be a name such as 'train' or 'test'. Received: split={split!r}"
        )
    value_range = check_value_range(value_range)
    part = "train" if validation_split is not None and split == HELD_OUT else split
    if isinstance(source, tf.data.Dataset):
        only_train("A tf.data.Dataset", part)
        return _open_dataset(source, value_range)
    if isinstance(source, (np.ndarray, tuple, list, tf.Tensor)):
        only_train("An array", part)
        return _array_source("array", *_in_pieces(source), value_range)
    if isinstance(source, os.PathLike) or (isinstance(source, str) and source and _is_path(source)):
        return _open_path(pathlib.Path(source).expanduser(), part)
    if isinstance(source, str) and source:
        return _open_tfds(source, part, data_dir, download)
    raise TypeError(
        "`source` must be 'moving_digits', a video, a folder, a TFDS name, an array or a "
        f"tf.data.Dataset. Received: source={source!r} (of type {type(source).__name__})"
    )


def natural_key(path):
    """Key to sort paths by as people number them: 2 before 10."""
    parts = re.split(r"(\d+)", str(path))
    key = [(int(part), "") if i % 2 else (0, part.lower()) for i, part in enumerate(parts)]
    return key, str(path)


def _is_path(source):
    return looks_like_path(source, (*EXTENSIONS, *VIDEO_EXTENSIONS))


# Arrays and tf.data


def _in_pieces(source):
    """The frames of an array, or of a list of clips `(T, H, W, C)`, and the clips' lengths."""
    try:
        if isinstance(source, (tuple, list)):
            clips = [np.asarray(clip) for clip in source]
            if clips and all(clip.ndim == 4 for clip in clips):
                return clips, [len(clip) for clip in clips]
        clips = np.asarray(source)
    except ValueError:
        raise ValueError(
            "The frames of a clip must share one shape, and clips of different lengths must be "
            "a list of arrays (frames, height, width, channels). "
            f"Received: a {type(source).__name__} of arrays of different shapes"
        ) from None
    shape = clips.shape
    if clips.ndim == 3 or (clips.ndim == 4 and shape[-1] not in MODES):
        clips = clips[..., None]  # grey
    if clips.ndim not in (4, 5) or clips.shape[-1] not in MODES or 0 in shape:
        raise ValueError(
            "An array of clips must be (clips, frames, height, width, channels) with 1 to 4 "
            "channels, or without the channels if grey; one clip the same without the clips; "
            f"and not empty. Received: shape={shape}, dtype={clips.dtype}"
        )
    if clips.ndim == 4:
        return [clips], [len(clips)]
    return [clips.reshape(-1, *clips.shape[2:])], [clips.shape[1]] * len(clips)


def _array_source(kind, pieces, lengths, value_range):
    described = sorted({f"{piece.dtype} {piece.shape[1:]}" for piece in pieces})
    if len({(piece.dtype, piece.shape[-1]) for piece in pieces}) != 1:
        raise ValueError(
            "Clips must share one dtype and number of channels. "
            f"Received: frames of {', '.join(described) or 'no clip'}"
        )
    pieces = [check_array(piece, value_range) for piece in pieces]
    frames = pieces[0] if len(pieces) == 1 else list(itertools.chain.from_iterable(pieces))
    result = Source(kind, frames, _numbers(lengths))
    result.value_range = (-1.0, 1.0) if frames[0].dtype == np.float32 else None
    return result


def _numbers(lengths):
    return np.repeat(np.arange(len(lengths)), lengths)


def _open_dataset(dataset, value_range):
    import tensorflow as tf

    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The tf.data.Dataset never ends: give a finite one, for instance with `.take(n)`. "
            f"Received: source={dataset}"
        )
    spec = dataset.element_spec
    key = next((k for k in _KEYS if k in spec), None) if isinstance(spec, dict) else 0
    clip_spec = spec[key] if isinstance(spec, tuple) or (key and key in spec) else spec
    if not isinstance(clip_spec, tf.TensorSpec) or clip_spec.shape.rank not in (4, 5):
        raise ValueError(
            "A tf.data.Dataset must yield clips (T, H, W, C) or batches of them, alone, first in "
            f"a tuple, or under one of the keys {_KEYS}. Received: element_spec={spec}"
        )
    if clip_spec is not spec:
        dataset = dataset.map(lambda *element: (element[0] if key else element)[key])
    pieces, lengths = [], []
    for element in dataset.as_numpy_iterator():
        more = _in_pieces(element)
        pieces += more[0]
        lengths += more[1]
    return _array_source("tf.data.Dataset", pieces, lengths, value_range)


# Files


class _FramesSource(FolderSource):
    """Numbered pictures; a folder that holds some is one clip."""

    @property
    def cache_key(self):
        return b"frames " + super().cache_key  # the same files have other labels as pictures


class _VideoSource(FolderSource):
    """Videos and animations, each one clip."""

    def __init__(self, root, paths):
        super().__init__(root, paths, None, None)
        self.kind = f"{len(paths)} video(s) in {root}" if root.is_dir() else f"video {root}"
        self.labels = _numbers([count_frames(path) for path in paths])

    @property
    def cache_key(self):
        return b"videos " + super().cache_key

    def __len__(self):
        return len(self.labels)

    def __iter__(self):
        for clip, path in enumerate(self.items):
            index = -1
            for index, frame in enumerate(read_frames(path, *self.target)):
                yield f"{path} frame {index}", frame, clip
            if index < 0:
                raise ValueError(f"The video holds no frames. Received: source={path!r}")

    def sample(self, limit=256):
        return self._sample

    @functools.cached_property
    def _sample(self):
        step = max(1, len(self.items) // _SAMPLED_CLIPS)
        frames = [frame for path in self.items[::step] for frame in sample_frames(path)]
        return sorted(frames, key=lambda frame: -frame.shape[-1])  # colour, if any has some


def _open_path(path, split):
    if path.is_file():
        only_train(f"The file {str(path)!r}", split)
        if not is_video(str(path)) and not is_animation(str(path)):
            raise ValueError(
                f"Expected a video ({', '.join(e[1:] for e in VIDEO_EXTENSIONS)}), an animation "
                f"({', '.join(e[1:] for e in ANIMATION_EXTENSIONS)}) of several frames, or a "
                f"folder. Received: source={str(path)!r}"
            )
        return _VideoSource(path, [str(path)])
    root, _ = enter_split(path, split, "videos or numbered frames", "moving_digits")
    inside = sorted(files_below(root), key=natural_key)
    pictures = [file for file in inside if is_picture(file)]
    videos = [file for file in inside if is_video(file)]
    if not videos and pictures and is_animation(pictures[0]):
        videos = [file for file in pictures if is_animation(file)]
    if videos:
        return _VideoSource(root, videos)
    if not pictures:
        known = (*VIDEO_EXTENSIONS, *EXTENSIONS)
        raise nothing_found(root, inside, "videos and no pictures", known)
    clips = {}
    for file in pictures:
        clips.setdefault(os.path.dirname(file), []).append(file)
    for folder, files in clips.items():
        _check_one_size(folder, files)
    frames = list(itertools.chain.from_iterable(clips.values()))
    labels = _numbers([len(files) for files in clips.values()])
    return _FramesSource(root, frames, labels, None)


def _check_one_size(folder, files):
    sizes = {}
    for file in files:
        try:
            sizes.setdefault(picture_shape(file)[:2], file)
        except Exception:  # noqa: S112  named, with its reason, when it is decoded
            continue
    if len(sizes) > 1:
        found = "; ".join(
            f"{height}x{width} ({os.path.basename(file)})"
            for (height, width), file in itertools.islice(sizes.items(), 5)
        )
        raise ValueError(
            f"The frames of a clip must share one size, and those in {folder!r} don't: {found}. "
            "Put other pictures elsewhere, and each clip into a folder of its own. "
            f"Received: source={folder!r}"
        )


# TFDS


class _TFDSClips(Source):
    """Clips that TFDS keeps as sequences of encoded pictures."""

    def __init__(self, builder, split, key):
        super().__init__(f"TFDS {builder.info.full_name}", None)
        self.builder = builder
        self.split = split
        self.key = key
        length = builder.info.features[key].shape[0]
        if length is None:
            lengths = [len(clip) for clip in self._read()]
        else:
            lengths = [length] * builder.info.splits[split].num_examples
        self.labels = _numbers(lengths)

    @property
    def cache_key(self):
        return b"clips " + builder_key(self.builder, self.split)

    def __len__(self):
        return len(self.labels)

    def _read(self):
        dataset = read_encoded(self.builder, self.split, self.key)
        return dataset.map(lambda example: example[self.key]).as_numpy_iterator()

    def __iter__(self):
        for clip, frames in enumerate(self._read()):
            for index, frame in enumerate(frames):
                yield f"example {clip} frame {index}", frame, clip

    def sample(self, limit=256):
        clips = itertools.islice(self._read(), _SAMPLED_CLIPS)
        return [frame for clip in clips for frame in clip[:1]]


def _open_tfds(name, split, data_dir, download):
    import tensorflow_datasets as tfds

    builder = prepared_builder(name, split, data_dir, download, "moving_digits")
    features = builder.info.features
    videos = [key for key, feature in features.items() if isinstance(feature, tfds.features.Video)]
    key = next((key for key in _KEYS if key in videos), videos[0] if len(videos) == 1 else None)
    if key is None:
        raise ValueError(
            f"The TFDS data set {name!r} doesn't have one video an example: its features are "
            f"{dict(features.items())}. Received: source={name!r}"
        )
    return _TFDSClips(builder, split, key)
