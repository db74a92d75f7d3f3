"""Data sets that TFDS has prepared on this machine."""

import itertools
import os
import pathlib

import numpy as np

from kerasgen.data.source import Source
from kerasgen.names import nearest


def tfds_names():
    """Names of all data sets that TFDS itself knows."""
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


def builder_key(builder, split):
    """Bytes that change with the split, or when the data set is prepared anew."""
    try:
        written = os.stat(builder.data_path / "dataset_info.json").st_mtime_ns
    except OSError:  # in a bucket, say
        written = None
    return f"{builder.data_path} {written} {split}".encode()


def read_encoded(builder, split, key):
    """A split as TFDS stores it, in one order always, the feature `key` as encoded bytes."""
    import tensorflow_datasets as tfds

    return builder.as_dataset(
        split=split,
        decoders={key: tfds.decode.SkipDecoding()},
        shuffle_files=False,
        read_config=tfds.ReadConfig(try_autocache=False),
    )


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

    @property
    def cache_key(self):
        return builder_key(self.builder, self.split)

    def __len__(self):
        return self.builder.info.splits[self.split].num_examples

    def _read(self):
        dataset = read_encoded(self.builder, self.split, self.image_key)
        keys = [key for key in (self.image_key, self.label_key) if key]
        dataset = dataset.map(lambda example: tuple(example[key] for key in keys))
        # An example at a time would take longer to read than to decode.
        for images, *labels in dataset.batch(32).as_numpy_iterator():
            yield from zip(images, *(labels or [[-1] * len(images)]), strict=True)

    def __iter__(self):
        for index, (image, label) in enumerate(self._read()):
            yield f"example {index}", image, int(label)

    def sample(self, limit=256):
        return [image for image, _ in itertools.islice(self._read(), limit)]


def prepared_builder(name, split, data_dir, download, embedded="digits"):
    """The builder of a prepared data set that has the split, asking no network unless `download`.

    Args:
        name: str. As `tfds.load` takes it.
        split: str. As `tfds.load` takes it.
        data_dir: str or None. Where data sets are. Defaults to TFDS's default.
        download: bool. Whether to download and prepare a data set that isn't prepared.
        embedded: str. A name that is no data set of TFDS's, for messages.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        FileNotFoundError: a data set that isn't prepared.
        ValueError: an unknown data set or split.
    """
    import tensorflow_datasets as tfds

    looked_in = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    prepare = (
        "prepare it once with `download=True` (`--download` on the command line), or on another "
        f"machine with `tfds build {name}`, and give its directory as `data_dir` (`--data-dir`)"
    )
    try:
        builder = tfds.builder(name, data_dir=looked_in, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        raise ValueError(
            f"There is no folder, and no TFDS data set, named {name!r}."
            f"{nearest(name, [*tfds_names(), embedded])} Received: source={name!r}"
        ) from None
    except (AssertionError, ImportError, ValueError) as error:
        raise ValueError(
            f"There is no folder named {name!r}, and TFDS can't open a data set of that name: "
            f"{' '.join(str(error).split())[:400]} Received: source={name!r}"
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
        if splits[split].num_examples < 1:
            raise ValueError("It has no examples.")
    except (AssertionError, KeyError, ValueError) as error:
        raise ValueError(
            f"The TFDS data set {name!r} has no split {split!r}: it has {sorted(splits)}, "
            f"parts of them as 'train[:10%]', and 'validation' with `validation_split`. "
            f"{str(error).splitlines()[0][:200]} Received: split={split!r}"
        ) from None
    return builder


def open_tfds(name, split, data_dir, download):
    """Opens a prepared data set of pictures.

    Args:
        name, split, data_dir, download: see `prepared_builder`.

    Returns:
        A `kerasgen.data.source.Source`.

    Raises:
        FileNotFoundError: a data set that isn't prepared.
        ValueError: an unknown data set or split, or one without one picture an example.
    """
    import tensorflow_datasets as tfds

    builder = prepared_builder(name, split, data_dir, download)
    features = builder.info.features
    images = [
        key
        for key, feature in features.items()
        if type(feature) is tfds.features.Image and feature.np_dtype in (np.uint8, np.uint16)
    ]
    labels = [k for k, f in features.items() if type(f) is tfds.features.ClassLabel]
    if len(images) != 1 and "image" not in images:
        raise ValueError(
            f"The TFDS data set {name!r} doesn't have one picture an example: its features are "
            f"{dict(features.items())}. Received: source={name!r}"
        )
    image_key = "image" if "image" in images else images[0]
    label_key = "label" if "label" in labels else (labels[0] if len(labels) == 1 else None)
    return _TFDSSource(builder, split, image_key, label_key)
