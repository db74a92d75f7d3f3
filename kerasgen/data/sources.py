"""Where pictures come from. Every source is a sequence of `(name, raw, label)` and no more.

`raw` is what `kerasgen.data.pictures.read_picture` reads: a path, encoded bytes, or an array.
"""

import difflib
import hashlib
import os
import pathlib

import numpy as np

from kerasgen.data.pictures import EXTENSIONS, MODES, is_picture

_HELD_OUT = "validation"


class Source:
    """A finite, ordered collection of pictures.

    Attributes:
        kind: str. What the source is, for messages: "digits", "folder PATH", "TFDS NAME", ...
        class_names: list of str, or None if the pictures carry no labels.
        cache_key: bytes, or None. Identifies the content cheaply, for a cache that outlives the
            process; None for what is in memory anyway.
        value_range: None for 8-bit pictures, (-1.0, 1.0) for float arrays.
    """

    value_range = None
    cache_key = None

    def __init__(self, kind, items, labels=None, class_names=None):
        self.kind = kind
        self.items = items
        self.labels = labels
        self.class_names = class_names

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        labels = self.labels if self.labels is not None else [-1] * len(self)
        for index, (item, label) in enumerate(zip(self.items, labels, strict=True)):
            yield self.name(index, item), item, int(label)

    def name(self, index, item):
        """What to call picture `index` in a message."""
        return str(item) if isinstance(item, pathlib.Path) else f"picture {index}"

    def sample(self, limit=256):
        """At most `limit` raw pictures, evenly spread over the source."""
        step = max(1, len(self) // limit)
        return [self.items[i] for i in range(0, len(self), step)]


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

    part = "train" if validation_split is not None and split == _HELD_OUT else split
    if isinstance(source, tf.data.Dataset):
        return _open_dataset(source, part, value_range)
    if isinstance(source, (np.ndarray, tuple, list, tf.Tensor)):
        return _open_arrays(source, part, value_range)
    if isinstance(source, str) and source == "digits":
        return _open_digits(part)
    if isinstance(source, os.PathLike) or (isinstance(source, str) and _looks_like_path(source)):
        return _open_folder(pathlib.Path(source).expanduser(), part)
    if isinstance(source, str) and source:
        return _open_tfds(source, part, data_dir, download)
    raise TypeError(
        "`source` must be 'digits', a folder, a TFDS name, an array or a tf.data.Dataset. "
        f"Received: source={source!r} (of type {type(source).__name__})"
    )


def nearest(name, names):
    """The known names nearest to a mistyped one, as a clause for a message ('' if none is)."""
    close = difflib.get_close_matches(str(name), list(names), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


def _looks_like_path(source):
    return (
        any(mark in source for mark in ("/", "\\"))
        and "://" not in source
        and not _is_tfds_config(source)
        or source.startswith((".", "~"))
        or pathlib.Path(source).exists()
        or pathlib.Path(source).suffix.lower() in (*EXTENSIONS, ".zip", ".npy", ".npz")
    )


def _is_tfds_config(source):
    """Whether `a/b` is rather a TFDS data set with a configuration than a missing folder."""
    first, slash, _ = source.partition("/")
    if not slash or not first or pathlib.Path(first).exists():
        return False
    return first.partition(":")[0] in _tfds_names()


def _only_train(kind, split):
    if split == "train":
        return
    hint = (
        "give `validation_split`, the fraction to hold out"
        if split == _HELD_OUT
        else "use 'train', or 'validation' together with `validation_split`"
    )
    raise ValueError(f"{kind} has no split of that name: {hint}. Received: split={split!r}")


def _open_digits(split):
    from sklearn.datasets import load_digits

    _only_train("The source 'digits'", split)
    digits = load_digits()
    pictures = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return Source("digits", pictures, digits.target, [str(d) for d in range(10)])


class _FolderSource(Source):
    def __init__(self, root, items, labels, class_names):
        super().__init__(f"folder {root}", items, labels, class_names)
        self.root = root

    @property
    def cache_key(self):
        digest = hashlib.blake2b(digest_size=16)
        for path in self.items:
            try:
                stat = path.stat()
                entry = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
            except OSError:
                entry = (str(path), "missing")
            digest.update(repr(entry).encode())
        return digest.digest()


def _open_folder(root, split):
    if not root.exists():
        raise FileNotFoundError(
            f"There is no folder {str(root)!r} (looked in {str(pathlib.Path.cwd())!r}). Give a "
            f"folder of pictures, 'digits', or the name of a TFDS data set. "
            f"Received: source={str(root)!r}"
        )
    if not root.is_dir():
        raise NotADirectoryError(
            f"Expected a folder of pictures, and this is a file: give the folder it is in. "
            f"Received: source={str(root)!r}"
        )
    if (root / split).is_dir():
        root = root / split
    else:
        _only_train(f"The folder {str(root)!r}", split)
    inside = sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and not any(
            part.startswith(".") or part == "__MACOSX" for part in path.relative_to(root).parts[:-1]
        )
    )
    paths = [path for path in inside if is_picture(path)]
    if not paths:
        found = sorted({path.suffix.lower() or path.name for path in inside})[:8]
        raise ValueError(
            f"The folder has no pictures ({', '.join(e[1:] for e in EXTENSIONS)}): it "
            + (f"holds only {', '.join(found)} files" if found else "is empty")
            + f". Received: source={str(root)!r}"
        )
    tops = [path.relative_to(root).parts[0] for path in paths]
    if any(len(path.relative_to(root).parts) == 1 for path in paths):
        return _FolderSource(root, paths, None, None)
    class_names = sorted(set(tops))
    labels = np.searchsorted(class_names, tops)
    return _FolderSource(root, paths, labels, class_names)


def _open_arrays(source, split, value_range):
    _only_train("An array", split)
    images, labels = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    images = np.asarray(images)
    images = _check_array(images, value_range)
    class_names = None
    if labels is not None:
        labels = _check_labels(np.asarray(labels), len(images))
        class_names = [str(label) for label in range(int(labels.max()) + 1)]
    result = Source("array", images, labels, class_names)
    result.value_range = (-1.0, 1.0) if images.dtype == np.float32 else None
    return result


def _check_array(images, value_range):
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
    low, high = (float(v) for v in value_range)
    if not low < high:
        raise ValueError(f"`value_range` must rise. Received: value_range={value_range}")
    if not np.isfinite(images).all():
        bad = int((~np.isfinite(images)).reshape(len(images), -1).any(1).sum())
        raise ValueError(
            f"{bad} of {len(images)} pictures hold NaN or infinite values; remove them or "
            "replace the values, for instance with `numpy.nan_to_num`."
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
        or (count and labels.min() < 0)
    ):
        raise ValueError(
            f"Labels must be {count} whole numbers from 0, one a picture. "
            f"Received: shape={labels.shape}, dtype={labels.dtype}"
        )
    return labels


def _open_dataset(dataset, split, value_range):
    import tensorflow as tf

    _only_train("A tf.data.Dataset", split)
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
    if image_spec.shape.rank == 4:
        dataset = dataset.unbatch()
    images, labels = [], []
    for element in dataset.as_numpy_iterator():
        if isinstance(element, dict):
            element = (
                (element["image"], element["label"]) if "label" in element else (element["image"],)
            )
        elif not isinstance(element, tuple):
            element = (element,)
        images.append(_check_array(element[0][None], value_range)[0])
        labels.extend(element[1:2])
    if not images:
        raise ValueError("The tf.data.Dataset is empty.")
    class_names = None
    if labels:
        labels = _check_labels(np.asarray(labels), len(images))
        class_names = [str(label) for label in range(int(labels.max()) + 1)]
    result = Source("tf.data.Dataset", images, labels if class_names else None, class_names)
    result.value_range = (-1.0, 1.0) if images[0].dtype == np.float32 else None
    return result


def _tfds_names():
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


class _TFDSSource(Source):
    """Reads a prepared data set as encoded bytes, so that every picture has one decoder."""

    def __init__(self, builder, split, image_key, label_key):
        label = builder.info.features[label_key] if label_key else None
        super().__init__(
            f"TFDS {builder.info.full_name}", None, class_names=list(label.names) if label else None
        )
        self.builder = builder
        self.split = split
        self.image_key = image_key
        self.label_key = label_key
        self.cache_key = f"{builder.data_path} {split}".encode()

    def __len__(self):
        return self.builder.info.splits[self.split].num_examples

    def _read(self, split):
        import tensorflow_datasets as tfds

        return self.builder.as_dataset(
            split=split,
            decoders={self.image_key: tfds.decode.SkipDecoding()},
            shuffle_files=False,
            read_config=tfds.ReadConfig(try_autocache=False),
        ).as_numpy_iterator()

    def __iter__(self):
        for index, example in enumerate(self._read(self.split)):
            label = int(example[self.label_key]) if self.label_key else -1
            yield f"example {index}", example[self.image_key], label

    def sample(self, limit=256):
        rows = []
        for example in self._read(self.split):
            rows.append(example[self.image_key])
            if len(rows) == limit:
                break
        return rows


def _open_tfds(name, split, data_dir, download):
    import tensorflow_datasets as tfds

    looked_in = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    prepare = (
        "prepare it once with `download=True` (`--download` on the command line), or on another "
        f"machine with `tfds build {name}`, and give its directory as `data_dir` (`--data-dir`)"
    )
    try:
        builder = tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        raise ValueError(
            f"There is no folder, and no TFDS data set, named {name!r}."
            f"{nearest(name, [*_tfds_names(), 'digits'])} Received: source={name!r}"
        ) from None
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"TFDS can't open {name!r}: {str(error).splitlines()[0]} Received: source={name!r}"
        ) from None
    if not builder.is_prepared():
        if not download:
            raise FileNotFoundError(
                f"The TFDS data set {name!r} is not prepared in {str(looked_in)!r}: {prepare}. "
                f"Received: source={name!r}, download=False"
            )
        builder.download_and_prepare()
    splits = builder.info.splits
    try:
        splits[split]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"The TFDS data set {name!r} has no split {split!r}: it has {sorted(splits)}, "
            f"parts of them as 'train[:10%]', and 'validation' with `validation_split`. "
            f"({str(error).splitlines()[0][:200]})"
        ) from None
    features = builder.info.features
    images = [k for k, f in features.items() if type(f) is tfds.features.Image]
    labels = [k for k, f in features.items() if type(f) is tfds.features.ClassLabel]
    if len(images) != 1 and "image" not in images:
        raise ValueError(
            f"The TFDS data set {name!r} doesn't have one picture an example: its features are "
            f"{dict(features.items())}. Received: source={name!r}"
        )
    image_key = "image" if "image" in images else images[0]
    label_key = "label" if "label" in labels else (labels[0] if len(labels) == 1 else None)
    return _TFDSSource(builder, split, image_key, label_key)
