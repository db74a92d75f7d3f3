"""Pictures out of a pipeline, as people see them: for measuring, not for training."""

import numpy as np
import tensorflow as tf

from kerasgen.pixels import to_uint8


def collect_images(data, max_images=None):
    """Takes the first pictures of a pipeline, without changing what a training then sees.

    Args:
        data: `tf.data.Dataset` of float batches in [-1, 1], with or without labels, of pictures
            `(B, H, W, C)` or of frame sequences `(B, T, H, W, C)`, whose frames count as
            pictures; or a uint8 array `(N, H, W, C)`, or a tuple of it and labels.
        max_images: int or None. Defaults to None: all of one epoch.

    Returns:
        Tuple of a uint8 array `(N, H, W, C)` and an int array of labels `(N,)`, or None where
        there are none.

    Raises:
        TypeError, ValueError: something else than described here.
    """
    if max_images is not None and max_images < 1:
        raise ValueError(f"`max_images` must be at least 1. Received: max_images={max_images!r}")
    if isinstance(data, tf.data.Dataset):
        images, labels = _collect(data, max_images)
    else:
        images, labels = data if isinstance(data, tuple) else (data, None)
        images = np.asarray(images)
    if images.ndim not in (4, 5) or images.dtype != np.uint8:
        raise ValueError(
            "Expected a pipeline of `kerasgen.data`, or uint8 pictures (N, H, W, C). "
            f"Received: dtype={images.dtype}, shape={images.shape}"
        )
    images, labels = _single_frames(images, labels)
    labels = None if labels is None else np.asarray(labels)
    if labels is not None and len(labels) != len(images):
        raise ValueError(
            f"Expected one label a picture. Received: {len(labels)} labels, {len(images)} pictures"
        )
    return images[:max_images], None if labels is None else labels[:max_images]


def collect_clips(data, max_clips=None):
    """Takes the first clips of a pipeline, without changing what a training then sees.

    Args:
        data: `tf.data.Dataset` of float batches `(B, T, H, W, C)` in [-1, 1], all of one T, with
            or without labels.
        max_clips: int or None. Defaults to None: all of one epoch.

    Returns:
        uint8 array `(N, T, H, W, C)`.

    Raises:
        TypeError, ValueError: something else than described here.
    """
    if max_clips is not None and max_clips < 1:
        raise ValueError(f"`max_clips` must be at least 1. Received: max_clips={max_clips!r}")
    spec = data.element_spec
    shape = (spec[0] if isinstance(spec, tuple) else spec).shape
    if shape.rank != 5 or shape[1] is None:
        raise ValueError(
            "The pipeline must hold clips (B, T, H, W, C) of one length T. "
            f"Received: batches of shape {shape}"
        )
    frames, _ = collect_images(data, None if max_clips is None else max_clips * shape[1])
    return frames.reshape(-1, shape[1], *frames.shape[1:])


def first_batch(dataset):
    """The first batch of a pipeline, without changing what a training then sees."""
    epoch = getattr(dataset, "epoch", None)
    before = None if epoch is None else epoch.numpy()
    batch = next(iter(dataset))
    if epoch is not None:
        epoch.assign(before)
    return batch


def sample_images(data, count, seed=0):
    """Pictures chosen at random from all of the data, which is often sorted by class.

    Args:
        data: as in `collect_images`. Of a pipeline that isn't `load_images`'s the first pictures
            come, as it may be endless.
        count: int. All come if there are no more.
        seed: int. Defaults to 0.

    Returns:
        uint8 array `(count or fewer, H, W, C)`.
    """
    if isinstance(data, tf.data.Dataset):
        total = getattr(data, "pictures_per_epoch", 0)
        if total <= count:
            return collect_images(data, count)[0]
        chosen = np.random.default_rng(seed).permutation(total) < count
        return _collect(data, count, chosen)[0]
    images, _ = collect_images(data)
    if len(images) > count:
        chosen = np.random.default_rng(seed).choice(len(images), count, replace=False)
        images = images[np.sort(chosen)]
    return images


def _collect(dataset, max_images, chosen=None):
    """Pictures and labels; of the pictures of an epoch those where `chosen` is true, or all."""
    if max_images is None and dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The pipeline never ends: say how many pictures. Received: max_images=None"
        )
    epoch = getattr(dataset, "epoch", None)
    before = None if epoch is None else epoch.numpy()
    images, labels, count, place = [], [], 0, 0
    try:
        for batch in dataset:
            pictures, classes = batch if isinstance(batch, tuple) else (batch, None)
            pictures, classes = _single_frames(_from_floats(pictures), classes)
            if chosen is not None:
                kept = chosen[place : place + len(pictures)]
                place += len(pictures)
                pictures = pictures[kept]
                classes = None if classes is None else np.asarray(classes)[kept]
            images.append(pictures)
            if classes is not None:
                labels.append(np.asarray(classes))
            count += len(images[-1])
            if max_images is not None and count >= max_images:
                break
    finally:
        if epoch is not None:
            epoch.assign(before)
    if not images:
        raise ValueError("The pipeline holds no pictures.")
    return np.concatenate(images), np.concatenate(labels) if labels else None


def _single_frames(pictures, labels):
    """Pictures `(N, H, W, C)` out of sequences `(B, T, H, W, C)`, each with its label."""
    if pictures.ndim != 5:
        return pictures, labels
    labels = None if labels is None else np.repeat(np.asarray(labels), pictures.shape[1])
    return pictures.reshape(-1, *pictures.shape[2:]), labels


def _from_floats(pictures):
    if not isinstance(pictures, tf.Tensor) or not pictures.dtype.is_floating:
        raise TypeError(
            "Expected a pipeline of floating-point pictures in [-1, 1], alone or with labels. "
            f"Received: batches of {getattr(pictures, 'dtype', type(pictures))}"
        )
    low, high = float(tf.reduce_min(pictures)), float(tf.reduce_max(pictures))  # NaN propagates
    if not (-1.001 <= low and high <= 1.001):
        raise ValueError(
            "The pictures of a pipeline must lie in [-1, 1] and be finite. "
            f"Received: values from {low:.4g} to {high:.4g}"
        )
    return to_uint8(pictures).numpy()
