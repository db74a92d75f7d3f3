"""Finds out what a source is and opens it: embedded digits, folders, arrays, `tf.data`."""

import hashlib
import os
import pathlib
import warnings

import numpy as np

from kerasgen.data.pictures import EXTENSIONS, MODES, is_picture
from kerasgen.data.source import Source
from kerasgen.data.tfds_source import open_tfds, tfds_names

HELD_OUT = "validation"
_SPLIT_FOLDERS = ("train", "validation", "val", "test")
_MOST_CLASSES = 100_000  # beyond it a label is rather a number of something else


def open_source(
    source, split="train", validation_split=None, value_range=None, data_dir=None, download=False
):
    """Finds out what `source` is and opens it, reading no picture yet.

    Args:
        source: see `kerasgen.data.load_images`.
        split: str. Which part, where the source has parts of its own. Defaults to "train".
        validation_split: float or None. See `load_images`.
        value_range: tuple of 2 floats or None. The range that float pictures are in.
        data_dir: str or None. Where TFDS looks for prepared data sets.
        download: bool. Whether TFDS may download.

    Returns:
        A `Source`.

    Raises:
        FileNotFoundError, NotADirectoryError, TypeError, ValueError: as `load_images` says.
    """
    import tensorflow as tf

    if not isinstance(split, str) or not split:
        raise ValueError(
            f"`split` must be a name such as 'train' or 'test'. Received: split={split!r}"
        )
    value_range = check_value_range(value_range)
    part = "train" if validation_split is not None and split == HELD_OUT else split
    if isinstance(source, tf.data.Dataset):
        return _open_dataset(source, part, value_range)
    if isinstance(source, (np.ndarray, tuple, list, tf.Tensor)):
        return _open_arrays(source, part, value_range)
    if isinstance(source, str) and source == "digits":
        return _open_digits(part)
    if isinstance(source, os.PathLike) or (
        isinstance(source, str) and source and looks_like_path(source)
    ):
        return _open_folder(pathlib.Path(source).expanduser(), part)
    if isinstance(source, str) and source:
        return open_tfds(source, part, data_dir, download)
    raise TypeError(
        "`source` must be 'digits', a folder, a TFDS name, an array or a tf.data.Dataset. "
        f"Received: source={source!r} (of type {type(source).__name__})"
    )


def looks_like_path(source, extensions=EXTENSIONS):
    """Whether a string is rather a path, there or missing, than the name of a data set."""
    return (
        any(mark in source for mark in ("/", "\\"))
        and "://" not in source
        and not _is_tfds_config(source)
        or source.startswith((".", "~"))
        or pathlib.Path(source).exists()
        or pathlib.Path(source).suffix.lower() in (*extensions, ".zip", ".npy", ".npz")
    )


def _is_tfds_config(source):
    """Whether `a/b` is rather a TFDS data set with a configuration than a missing folder."""
    first, slash, _ = source.partition("/")
    if not slash or not first or pathlib.Path(first).exists():
        return False
    return first.partition(":")[0] in tfds_names()


def check_value_range(value_range):
    """Checks the argument of that name; it comes back as two floats, or None."""
    if value_range is None:
        return None
    try:
        low, high = (float(value) for value in value_range)
    except (TypeError, ValueError):
        low = high = 0.0
    if not -np.inf < low < high < np.inf:
        raise ValueError(
            "`value_range` must be two finite numbers (low, high), the lower first. "
            f"Received: value_range={value_range!r}"
        )
    return low, high


def only_train(kind, split):
    """Refuses any other split of a source that has no parts of its own."""
    if split == "train":
        return
    hint = (
        "give `validation_split`, the fraction to hold out"
        if split == HELD_OUT
        else "use 'train', or 'validation' together with `validation_split`"
    )
    raise ValueError(f"{kind} has no split of that name: {hint}. Received: split={split!r}")


def embedded_digits():
    """The 1,797 digits that scikit-learn carries: uint8 `(1797, 8, 8, 1)`, labels `(1797,)`."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target


def _open_digits(split):
    only_train("The source 'digits'", split)
    pictures, labels = embedded_digits()
    return Source("digits", pictures, labels, [str(d) for d in range(10)])


class FolderSource(Source):
    """Picture files below a folder."""

    def __init__(self, root, items, labels, class_names):
        super().__init__(f"folder {root}", items, labels, class_names)
        self.root = root

    @property
    def cache_key(self):
        digest = hashlib.blake2b(str(self.root.resolve()).encode(), digest_size=16)
        below = len(str(self.root))
        for path in self.items:
            try:
                stat = os.stat(path)
                entry = (path[below:], stat.st_size, stat.st_mtime_ns)
            except OSError:
                entry = (path, "missing")
            digest.update(repr(entry).encode())
        return digest.digest()


def enter_split(root, split, holding="pictures", embedded="digits"):
    """The folder of a split, where a folder has one folder a split, or else the folder itself.

    Args:
        root: `pathlib.Path`.
        split: str.
        holding: str. What to expect in it, for messages.
        embedded: str. The source that needs no folder, for messages.

    Returns:
        Tuple of a `pathlib.Path`, and the set of all splits' subfolders: a class keeps its number
        in every split, also where one of them lacks another class.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: no folder, a file, no such split.
    """
    if not root.exists():
        raise FileNotFoundError(
            f"There is no folder {str(root)!r} (looked in {str(pathlib.Path.cwd())!r}). Give a "
            f"folder of {holding}, {embedded!r}, or the name of a TFDS data set. "
            f"Received: source={str(root)!r}"
        )
    if not root.is_dir():
        raise NotADirectoryError(
            f"Expected a folder of {holding}, and this is a file: give the folder it is in. "
            f"Received: source={str(root)!r}"
        )
    classes = set()
    if (root / split).is_dir():
        for name in {split, *_SPLIT_FOLDERS}:
            classes |= set(subfolders(root / name))
        return root / split, classes
    if split != "train":
        folders = ", ".join(repr(folder) for folder in subfolders(root))
        only_train(f"The folder {str(root)!r} (with the subfolders: {folders or 'none'})", split)
    return root, classes


def _open_folder(root, split):
    root, classes = enter_split(root, split)
    inside = sorted(files_below(root))
    paths = [path for path in inside if is_picture(path)]
    if not paths:
        raise nothing_found(root, inside, "pictures", EXTENSIONS)
    parts = [path[len(str(root)) :].strip(os.sep).partition(os.sep) for path in paths]
    if not all(inside_folder for _, inside_folder, _ in parts):
        return FolderSource(root, paths, None, None)
    tops = [top for top, _, _ in parts]
    class_names = sorted(classes | set(tops))
    labels = np.searchsorted(class_names, tops)
    return FolderSource(root, paths, labels, class_names)


def nothing_found(root, inside, nouns, extensions):
    """The error for a folder whose files, `inside`, are none of those looked for."""
    names = [os.path.basename(path) for path in inside]
    found = sorted({os.path.splitext(name)[1].lower() or name for name in names})[:8]
    return ValueError(
        f"The folder has no {nouns} ({', '.join(e[1:] for e in extensions)}): it "
        + (f"holds only {', '.join(found)} files" if found else "is empty")
        + f". Received: source={str(root)!r}"
    )


def files_below(root):
    """Paths of the files anywhere under a folder, also behind links, but of no archiver's own."""
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_warn_left_out, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(filter(_is_shown, folders))
        for path in (os.path.join(folder, name) for name in names):
            # A broken link is named when it is decoded; a pipe would never end.
            if os.path.isfile(path) or os.path.islink(path):
                yield path


def _warn_left_out(error):
    warnings.warn(f"Left out a folder that can't be listed: {error}", stacklevel=2)


def subfolders(root):
    """Names of the folders in a folder, without hidden ones; none if it isn't there."""
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and _is_shown(path.name))


def _is_shown(name):
    return not name.startswith(".") and name != "__MACOSX"


def _open_arrays(source, split, value_range):
    only_train("An array", split)
    images, labels = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    try:
        images = np.asarray(images)
    except ValueError:
        raise ValueError(
            "The pictures of an array must share one shape: resize them, or give a folder of "
            f"files. Received: a {type(images).__name__} of arrays of different shapes"
        ) from None
    images = check_array(images, value_range)
    class_names = None
    if labels is not None:
        labels = _check_labels(np.asarray(labels), len(images))
        class_names = [str(label) for label in range(int(labels.max()) + 1)]
    result = Source("array", images, labels, class_names)
    result.value_range = (-1.0, 1.0) if images.dtype == np.float32 else None
    return result


def check_array(images, value_range):
    """Checks an array of pictures; floats come back as float32 in [-1, 1]."""
    if images.ndim == 3 and images.shape[-1] > max(MODES):
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in MODES or 0 in images.shape:
        raise ValueError(
            "An array of pictures must be (pictures, height, width, channels) with 1 to 4 "
            "channels, or (pictures, height, width) for grey ones, and not empty. "
            f"Received: shape={images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(
            "An array of pictures must be uint8 (0 to 255) or floating point with "
            "`value_range=(low, high)`; convert it with `.astype('uint8')` if its values are "
            f"0 to 255. Received: dtype={images.dtype}"
        )
    if value_range is None:
        raise ValueError(
            "Say which range floating-point pictures are in: `value_range=(0, 1)`, (-1, 1) or "
            f"(0, 255). Received: value_range=None, dtype={images.dtype}"
        )
    low, high = value_range
    if not np.isfinite(images).all():
        bad = int((~np.isfinite(images)).reshape(len(images), -1).any(1).sum())
        raise ValueError(
            f"{bad} of {len(images)} pictures hold NaN or infinite values; remove them or "
            "replace the values, for instance with `numpy.nan_to_num`. "
            f"Received: value_range={value_range}"
        )
    smallest, largest = float(images.min()), float(images.max())
    slack = 1e-6 * (high - low)
    if smallest < low - slack or largest > high + slack:
        raise ValueError(
            f"The pictures go from {smallest:.6g} to {largest:.6g}, which is outside the stated "
            f"range: state the right one or rescale. Received: value_range={value_range}"
        )
    scaled = (images.astype(np.float64) - low) * (2 / (high - low)) - 1
    return np.clip(scaled, -1, 1).astype(np.float32)


def _check_labels(labels, count):
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if (
        labels.shape != (count,)
        or not np.issubdtype(labels.dtype, np.integer)
        or labels.min() < 0
        or labels.max() >= _MOST_CLASSES
    ):
        raise ValueError(
            f"Labels must be {count} whole numbers from 0 to {_MOST_CLASSES - 1}, one a picture. "
            f"Received: shape={labels.shape}, dtype={labels.dtype}, labels={labels}"
        )
    return labels


def _open_dataset(dataset, split, value_range):
    import tensorflow as tf

    only_train("A tf.data.Dataset", split)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The tf.data.Dataset never ends: give a finite one, for instance with `.take(n)`."
        )
    spec = dataset.element_spec
    image_spec = spec[0] if isinstance(spec, tuple) else spec
    image_spec = spec.get("image") if isinstance(spec, dict) else image_spec
    if not isinstance(image_spec, tf.TensorSpec) or image_spec.shape.rank not in (3, 4):
        raise ValueError(
            "A tf.data.Dataset must yield pictures (H, W, C) or batches of them, alone, as "
            f"(image, label), or under the key 'image'. Received: element_spec={spec}"
        )
    batched = image_spec.shape.rank == 4
    image_key, label_key = ("image", "label") if isinstance(spec, dict) else (0, 1)
    labelled = _holds_label(spec, label_key, batched)

    def pick(*element):
        element = element[0] if isinstance(spec, dict) else element
        return element[image_key], element[label_key] if labelled else ()

    dataset = dataset.map(pick)
    if not batched:  # an element at a time costs many times as much
        dataset = dataset.batch(64 if image_spec.shape.is_fully_defined() else 1)
    images, labels = [], []
    for batch, batch_labels in dataset.as_numpy_iterator():
        images.extend(check_array(batch, value_range))
        labels.extend(batch_labels)
    if not images:
        raise ValueError("The tf.data.Dataset is empty.")
    class_names = None
    if labels:
        labels = _check_labels(np.asarray(labels), len(images))
        class_names = [str(label) for label in range(int(labels.max()) + 1)]
    result = Source("tf.data.Dataset", images, labels if class_names else None, class_names)
    result.value_range = (-1.0, 1.0) if images[0].dtype == np.float32 else None
    return result


def _holds_label(spec, key, batched):
    """Whether elements hold a whole number there; a second picture or a file name is no label."""
    try:
        dtype, shape = spec[key].dtype, spec[key].shape
        return dtype.is_integer and shape[int(batched) :].num_elements() == 1
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return False
