"""All pictures of a source decoded once: in memory, or in a file where they would not fit."""

import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import math
import os
import pathlib
import shutil
import warnings
import weakref

import numpy as np
import tensorflow as tf

from kerasgen.data.pictures import read_picture
from kerasgen.files import write_beside

_CHUNK = 512
_MEMORY_SHARE = 0.4  # of what is free: decoding holds it twice for a moment, a model needs room
_FORMAT = 1
_ALIVE = weakref.WeakValueDictionary()  # so that the sides of a split share one decoded copy


@dataclasses.dataclass(eq=False)
class Store:
    """Decoded pictures with what is known of each.

    Attributes:
        pixels: `tf.Tensor` in memory or `np.memmap` on disk, `(N, H, W, C)`, or for pictures of
            different sizes flat, one after another; uint8 in [0, 255], or float32 in [-1, 1].
        shapes: int64 array `(N, 2)` of heights and widths if `pixels` is flat, else None.
        labels: int32 array `(N,)`; -1 where there is none.
        digests: list of N bytes. Equal for equal pixels.
    """

    pixels: tf.Tensor | np.memmap
    shapes: np.ndarray | None
    labels: np.ndarray
    digests: list

    def __len__(self):
        return len(self.digests)

    @property
    def fingerprint(self):
        """Str of 32 hex digits that changes with any pixel, label, or their order."""
        digest = hashlib.blake2b(digest_size=16)
        for part in self.digests:
            digest.update(part)
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


def build_store(source, image_size, channels, cover=1.0, cache="auto", strict=False):
    """Decodes every picture of a source in parallel.

    Args:
        source: `kerasgen.data.sources.Source`.
        image_size, channels, cover: see `kerasgen.data.pictures.read_picture`.
        cache: "auto", "memory", or a directory. Where the decoded pictures go; "auto" takes the
            user's cache directory if they would fill more than 40% of the free memory.
            Pictures kept for random crops (`cover` above 1) stay in memory.
        strict: bool, or "always" where a caller's user has no choice. Whether an unreadable
            picture is an error or is left out with a warning.

    Returns:
        A `Store`.

    Raises:
        ValueError: for an unreadable picture if `strict`, or if none can be read.
        OSError: where the disk has no room for the decoded pictures.
    """
    shape = (len(source), *image_size, channels)
    identity = source.cache_key
    if identity is None:
        return _decode(source, shape, cover, strict)
    facts = repr((_FORMAT, identity, shape, cover))
    key = hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()
    alive = (key, strict, str(cache))
    store = _ALIVE.get(alive)
    if store is None:
        store = _load_or_decode(source, shape, cover, strict, cache, key)
        _ALIVE[alive] = store
    return store


def _load_or_decode(source, shape, cover, strict, cache, key):
    directory = None if cover != 1.0 else _cache_directory(shape, cache)
    if directory is None:
        return _decode(source, shape, cover, strict)
    path = pathlib.Path(directory).expanduser() / f"{key}.npy"
    if not (path.exists() and path.with_suffix(".json").exists()):
        with write_beside(path) as part:
            _check_room(part.parent, shape)
            _decode(source, shape, cover, strict, part, path.with_suffix(".json"))
    return _open_cached(path, strict)


def _check_room(directory, shape):
    # Writing to a mapped file on a full disk would end the process without a message.
    needed, free = math.prod(shape), shutil.disk_usage(directory).free
    if needed > free:
        raise OSError(
            f"The decoded pictures need {needed / 1e9:.1f} GB and {str(directory)!r} has "
            f"{free / 1e9:.1f} GB left: make room, name another directory as `cache`, or load "
            f"smaller pictures. Received: image_size={shape[1:3]}"
        )


def _cache_directory(shape, cache):
    if cache == "memory":
        return None
    if cache != "auto":
        return cache
    import psutil

    if np.prod(shape, dtype=np.int64) <= psutil.virtual_memory().available * _MEMORY_SHARE:
        return None
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    return pathlib.Path(home) / "kerasgen"


def _decode(source, shape, cover, strict, file=None, about=None):
    _, *image_size, channels = shape

    def read(entry):
        try:
            pixels = np.ascontiguousarray(read_picture(entry[1], image_size, channels, cover))
        except Exception as error:  # any broken file, however Pillow's codecs take it
            return None, f"{type(error).__name__}: {error}"
        return pixels, hashlib.blake2b(pixels, digest_size=16).digest()

    pixels, ragged, shapes, labels, digests, unreadable = None, [], [], [], [], []
    entries = iter(source)
    workers = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        while chunk := list(itertools.islice(entries, _CHUNK)):
            # Handing small pictures over one by one would cost more than decoding them.
            size = max(1, len(chunk) // (16 * workers))
            groups = [chunk[i : i + size] for i in range(0, len(chunk), size)]
            results = pool.map(lambda group: [read(entry) for entry in group], groups)
            for (name, _, label), (picture, digest) in zip(
                chunk, itertools.chain.from_iterable(results), strict=True
            ):
                if picture is None:
                    unreadable.append((name, digest))
                    continue
                if cover != 1.0:
                    ragged.append(picture.ravel())
                    shapes.append(picture.shape[:2])
                else:
                    if pixels is None:
                        pixels = (
                            np.empty(shape, picture.dtype)
                            if file is None
                            else np.lib.format.open_memmap(file, "w+", picture.dtype, shape)
                        )
                    pixels[len(digests)] = picture
                digests.append(digest)
                labels.append(label)
    if not digests:
        _report(unreadable, strict, 0)
    labels = np.asarray(labels, np.int32)
    if file is not None:
        pixels.flush()
        facts = {
            "digests": [digest.hex() for digest in digests],
            "labels": labels.tolist(),
            "unreadable": unreadable,
        }
        with write_beside(about) as part:
            part.write_text(json.dumps(facts))
        return None
    _report(unreadable, strict, len(digests))
    with tf.device("CPU:0"):
        if cover != 1.0:
            pixels = tf.constant(np.concatenate(ragged))
            return Store(pixels, np.asarray(shapes, np.int64), labels, digests)
        return Store(tf.constant(pixels[: len(digests)]), None, labels, digests)


def _open_cached(path, strict):
    facts = json.loads(path.with_suffix(".json").read_text())
    _report(facts["unreadable"], strict, len(facts["digests"]))
    pixels = np.load(path, mmap_mode="r")[: len(facts["digests"])]
    digests = [bytes.fromhex(digest) for digest in facts["digests"]]
    return Store(pixels, None, np.asarray(facts["labels"], np.int32), digests)


def _report(unreadable, strict, readable):
    if not unreadable:
        return
    count = len(unreadable) + readable
    listed = "; ".join(f"{name} ({reason})" for name, reason in unreadable[:10])
    more = f"; and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
    message = f"{len(unreadable)} of {count} pictures can't be read: {listed}{more}"
    if strict or not readable:
        hint = ", or use `strict=False`" if strict and strict != "always" else ""
        raise ValueError(f"{message}. Replace or remove them{hint}.")
    warnings.warn(f"Left out: {message}", stacklevel=4)


def side_of_split(digests, split, validation_split, noun="pictures"):
    """Chooses by content, so that what is equal lands on the same side, in any order.

    Args:
        digests: list of bytes, equal for equal content.
        split: str. "validation" for the side held out; any other name for the rest.
        validation_split: float or None. Fraction of the different contents to hold out.
        noun: str. What the digests are of, for messages.

    Returns:
        int array, the indices of those on the asked side; all if there is no split.

    Raises:
        ValueError: if one side would have none.
    """
    if validation_split is None:
        return np.arange(len(digests))
    ranked = sorted(set(digests))  # digests are as good as random, whatever the order
    held_out = set(ranked[: max(1, round(len(ranked) * validation_split))])
    if len(held_out) == len(ranked):
        raise ValueError(
            f"{len(ranked)} different {noun} can't be split so that both sides have some. "
            f"Received: validation_split={validation_split}"
        )
    inside = np.array([digest in held_out for digest in digests])
    return np.flatnonzero(inside if split == "validation" else ~inside)
