"""`load_images`: pictures from anywhere to batches that a model trains on."""

import dataclasses
import os
import pathlib

import numpy as np
import tensorflow as tf

from kerasgen.data.checks import (
    check_batching,
    check_fills_batch,
    check_shape,
    check_validation_split,
    is_whole,
)
from kerasgen.data.collect import first_batch
from kerasgen.data.pictures import picture_shape
from kerasgen.data.pipeline import AUGMENTATIONS, as_list, make_pipeline
from kerasgen.data.sources import open_source
from kerasgen.data.store import build_store, side_of_split
from kerasgen.names import nearest
from kerasgen.pixels import to_uint8
from kerasgen.plots import grid_figure

RANDOM_CROP_COVER = 2.0  # photographs are kept at up to twice the crop's size
SMALL_EPOCH = 2000  # pictures an epoch has at least where random crops make many out of few
FEW_PICTURES = 500
_NATIVE_SIDES = range(16, 129)


def load_images(
    source,
    split="train",
    image_size=None,
    channels=None,
    batch_size=32,
    shuffle=True,
    seed=0,
    labels=False,
    augment=None,
    validation_split=None,
    *,
    crop="center",
    crops_per_image=None,
    value_range=None,
    drop_remainder=None,
    strict=False,
    cache="auto",
    data_dir=None,
    download=False,
):
    """Loads pictures as a `tf.data.Dataset` of batches, float32 in [-1, 1], channels last.

    Every picture is decoded once, in parallel, and kept decoded (in memory, or in a file where
    it would not fit), so that errors show before training and later epochs cost next to nothing.
    The order of epoch `e` is a pure function of `seed` and `e`.

    Args:
        source: where the pictures come from. One of
            - `"digits"`: 1,797 handwritten digits of 8x8 pixels that scikit-learn carries;
            - a folder of JPEG, PNG, WebP, BMP or GIF files: flat, or one folder a class, or
              TFDS's `ImageFolder` layout (`root/split/class/picture`);
            - the name of a TFDS data set that is prepared on this machine;
            - an array `(N, H, W, C)` or `(N, H, W)`, uint8, or floating point with
              `value_range`; or a tuple of such an array and integer labels `(N,)`;
            - a finite `tf.data.Dataset` of pictures or batches, alone or with labels.
        split: str. Part of the source: "train", "validation" (with `validation_split`), a
            TFDS split such as "test" or "train[:10%]", or a subfolder. Defaults to "train".
        image_size: int, tuple of 2 ints (height, width), or None. Size to crop (at the centre)
            and resize (anti-aliased) to, in pixels. Defaults to None: the pictures' own where
            all share one between 16 and 128 that is a multiple of 4; otherwise 32 where the
            median shorter side is up to 40, and 64 above.
        channels: int or None. 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha. Defaults
            to None: an array's own; for files 1 if every picture is grey, else 3.
        batch_size: int. Defaults to 32.
        shuffle: bool. Whether every epoch has an order of its own. Defaults to True.
        seed: int. What order, crops and flips derive from. Defaults to 0.
        labels: bool. Whether to yield `(images, labels)`, labels int32 `(B,)`. Defaults to False.
        augment: None, "flip" (left-right), "flip_vertical", a list of these, or a callable from
            a float batch to a float batch of the same shape. Defaults to None.
        validation_split: float in (0, 1), or None. Fraction held out as split "validation".
            Chosen by the pictures' content, so that equal pictures land on the same side, in any
            order, with any seed. Defaults to None.
        crop: "center", or "random": for few large photographs, a new random crop (half to all
            of the largest that fits) at each use. Defaults to "center".
        crops_per_image: int or None. With random crops, how often an epoch uses each picture.
            Defaults to None: as often as makes 2,000 pictures an epoch.
        value_range: tuple of 2 floats, or None. The range that floating-point pictures are in.
        drop_remainder: bool or None. Whether to leave out an incomplete last batch. Defaults
            to None: exactly if shuffling.
        strict: bool. Whether an unreadable picture is an error; otherwise it is left out with
            one warning that names all. Defaults to False.
        cache: "auto", "memory", or a directory for the decoded pictures. Defaults to "auto": a
            file in the user's cache directory if they would fill over 40% of the free memory.
            Random crops are made from memory.
        data_dir: str or None. Where TFDS data sets are. Defaults to None: TFDS's default.
        download: bool. Whether TFDS may download the data set. Defaults to False.

    Returns:
        A `tf.data.Dataset` of float32 `(B, H, W, C)` in [-1, 1], or of tuples with labels. It
        carries the attributes `num_images` (int), `pictures_per_epoch` (int, what an epoch
        yields), `image_shape` (tuple), `class_names` (list of str, or None), `crop` (as given),
        `fingerprint` (str that identifies the pictures), `image_digests` (list of bytes, equal
        for equal pictures), and `epoch`, an int64 `tf.Variable`: the epoch whose order the next
        iteration takes.

    Raises:
        FileNotFoundError: a folder that isn't there; a TFDS data set that is not prepared.
        NotADirectoryError: a file in place of a folder.
        TypeError: a source or array dtype of a kind that can't hold pictures.
        ValueError: an unknown data set or split, a folder without pictures, floats outside the
            stated range or not finite, fewer pictures than a batch, labels asked of a source
            without, and any other argument outside what is described here.

    Example:

    ```python
    dataset = kerasgen.data.load_images("digits", image_size=32)
    for images in dataset.take(1):
        print(images.shape)  # (64, 32, 32, 1)
    ```
    """
    image_size, channels = check_shape(image_size, channels)
    _check_options(batch_size, seed, augment, validation_split, crop, crops_per_image, cache)
    opened = open_source(source, split, validation_split, value_range, data_dir, download)
    if labels and opened.class_names is None:
        raise ValueError(
            f"Labels asked of {opened.kind}, which has none: use `labels=False`, give "
            "`(images, labels)`, or put the pictures into one folder a class. "
            "Received: labels=True"
        )
    if image_size is None or channels is None:
        summary = summarise(opened, image_size, channels)
        image_size, channels = summary.image_size, summary.channels
    random = crop == "random"
    store = build_store(
        opened, image_size, channels, RANDOM_CROP_COVER if random else 1.0, cache, strict
    )
    chosen = side_of_split(store.digests, split, validation_split)
    repeats = 1
    if random:
        repeats = crops_per_image or max(1, -(-SMALL_EPOCH // len(chosen)))
    drop_remainder = shuffle if drop_remainder is None else drop_remainder
    if drop_remainder:
        check_fills_batch(len(chosen) * repeats, batch_size, "pictures")
    dataset = make_pipeline(
        store,
        chosen,
        repeats,
        (*image_size, channels),
        batch_size,
        shuffle,
        seed,
        labels,
        augment,
        random,
        drop_remainder,
    )
    dataset.num_images = len(chosen)
    pictures = len(chosen) * repeats
    dataset.pictures_per_epoch = pictures - (pictures % batch_size if drop_remainder else 0)
    dataset.image_shape = (*image_size, channels)
    dataset.class_names = opened.class_names
    dataset.crop = crop
    dataset.fingerprint = store.fingerprint
    dataset.image_digests = [store.digests[i] for i in chosen]
    return dataset


def preview(dataset, rows=4, columns=8):
    """Shows the first pictures of a pipeline as a figure.

    Args:
        dataset: `tf.data.Dataset` as `load_images` or `load_frames` returns it, or one batch.
        rows: int. Defaults to 4.
        columns: int. Of frame sequences, which take a row each, how many frames are shown.
            Defaults to 8.

    Returns:
        `matplotlib.figure.Figure`; notebooks show it, `figure.savefig(path)` writes it.
        Classes stand above the pictures where the pipeline yields labels.

    Example:

    ```python
    kerasgen.data.preview(kerasgen.data.load_images("digits")).savefig("batch.png")
    ```
    """
    names = getattr(dataset, "class_names", None)
    batch = first_batch(dataset) if isinstance(dataset, tf.data.Dataset) else dataset
    images, labels = batch if isinstance(batch, tuple) else (batch, None)
    titles = None
    if len(images.shape) == 5:
        images = np.asarray(images)[:rows, :columns]
        columns = images.shape[1]
        images = images.reshape(-1, *images.shape[2:])
    if labels is not None:
        titles = [names[i] if names else str(i) for i in np.asarray(labels)]
    return grid_figure(to_uint8(images).numpy(), rows, columns, titles)


@dataclasses.dataclass(frozen=True)
class ImageSummary:
    """What `inspect_images` found, and what it advises.

    Attributes:
        kind: str. What the source is.
        num_images: int. How many pictures it lists; broken ones are found when they are decoded.
        image_size: tuple of 2 ints. Height and width to load at, in pixels.
        channels: int. Channels to load.
        crop: str. "center", or "random" for fewer than 500 pictures whose median shorter side
            is at least twice the size to load at.
        class_names: list of str, or None.
        reason: str. Why this size, these channels and this crop.
    """

    kind: str
    num_images: int
    image_size: tuple
    channels: int
    crop: str
    class_names: list | None
    reason: str


def inspect_images(
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
    """Looks at a source, reading headers of a sample only, and advises how to load it.

    Args:
        source, split, image_size, channels, validation_split, value_range, data_dir, download:
            as in `load_images`.

    Returns:
        An `ImageSummary`.

    Raises:
        FileNotFoundError, ValueError: as `load_images`, for a source that can't be opened,
            or a size or channels that can't be.
    """
    image_size, channels = check_shape(image_size, channels)
    check_validation_split(validation_split)
    opened = open_source(source, split, validation_split, value_range, data_dir, download)
    return summarise(opened, image_size, channels)


def summarise(source, image_size=None, channels=None, may_crop=True):
    """What `inspect_images` says, of a `kerasgen.data.source.Source`; with or without crops."""
    shapes = np.array(sampled_shapes(source), np.int64).reshape(-1, 3)
    if not len(shapes):  # nothing readable; decoding names each picture and its fault
        shapes = np.array([[64, 64, 3]])
    low, high = shapes[:, :2].min(0), shapes[:, :2].max(0)
    short = int(np.median(shapes[:, :2].min(1)))
    grey = bool((shapes[:, 2] <= 2).all())
    reason = (
        f"{'grey' if grey else 'colour'} pictures of {low[0]}x{low[1]}"
        + ("" if (low == high).all() else f" to {high[0]}x{high[1]}")
        + " pixels"
    )
    if channels is None:
        in_array = all(isinstance(raw, np.ndarray) for raw in source.sample(1))
        channels = int(shapes[0, 2]) if in_array else (1 if grey else 3)
    if image_size is not None:
        reason += "; size as asked"
    elif (low == high).all() and all(s % 4 == 0 and s in _NATIVE_SIDES for s in low):
        image_size = (int(low[0]), int(low[1]))
        reason += "; their own size"
    else:
        side = 32 if short <= 40 else 64
        image_size = (side, side)
        reason += f"; {side} pixels suit a shorter side of {short}"
    crop = "center"
    if may_crop and len(source) < FEW_PICTURES and short >= RANDOM_CROP_COVER * max(image_size):
        crop = "random"
        reason += f"; random crops, since {len(source)} are few and large"
    return ImageSummary(
        source.kind, len(source), image_size, channels, crop, source.class_names, reason
    )


def sampled_shapes(source):
    """Height, width and channels of a sample of a source's pictures, without unreadable ones."""
    shapes = []
    for raw in source.sample():
        try:
            shapes.append(picture_shape(raw))
        except Exception:  # noqa: S112  named, with its reason, when it is decoded
            continue
    return shapes


def _check_options(batch_size, seed, augment, validation_split, crop, crops_per_image, cache):
    check_batching(batch_size, seed)
    if crop not in ("center", "random"):
        raise ValueError(f"`crop` must be 'center' or 'random'. Received: crop={crop!r}")
    if crops_per_image is not None and not (
        crop == "random" and is_whole(crops_per_image) and crops_per_image >= 1
    ):
        raise ValueError(
            "`crops_per_image` must be a whole number, at least 1, and goes with `crop='random'`. "
            f"Received: crops_per_image={crops_per_image!r}, crop={crop!r}"
        )
    check_validation_split(validation_split)
    for name in as_list(augment):
        if name not in AUGMENTATIONS and not callable(name):
            raise ValueError(
                f"`augment` must be None, a callable, or of {AUGMENTATIONS}."
                f"{nearest(name, AUGMENTATIONS)} Received: augment={augment!r}"
            )
    if (
        not isinstance(cache, (str, os.PathLike))
        or not str(cache)
        or pathlib.Path(cache).expanduser().is_file()
    ):
        raise ValueError(
            f"`cache` must be 'auto', 'memory' or a directory. Received: cache={cache!r}"
        )
