"""What a source lists, and what it says where it can't."""

import os
import pathlib
import socket

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

from kerasgen.data import load_images
from kerasgen.data.pictures import read_picture
from kerasgen.data.sources import open_source


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(8, 8, 3) if pixels is None else pixels).save(path)
    return path


def decoded(source, size=(8, 8), channels=3):
    return np.stack([read_picture(raw, size, channels) for _, raw, _ in source])


def labels_of(source):
    return [label for _, _, label in source]


# Digits


def test_digits():
    source = open_source("digits")
    expected = load_digits()
    assert len(source) == 1797
    np.testing.assert_allclose(
        decoded(source, channels=1)[..., 0], expected.images * 255 / 16, atol=0.51
    )
    assert labels_of(source) == expected.target.tolist()
    assert source.class_names == list("0123456789")


@pytest.mark.parametrize("split, hint", [("validation", "validation_split"), ("tset", "'train'")])
def test_digits_have_one_split(split, hint):
    with pytest.raises(ValueError, match=f"no split of that name.*{hint}.*Received: split="):
        open_source("digits", split)


# Folders


def test_flat_folder(tmp_path):
    names = ["b.PNG", "a 1.png", "ü.bmp", "c.WebP", "d.GIF", "e.jpeg"]
    for name in names:
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    save(tmp_path / ".hidden" / "x.png")
    save(tmp_path / "__MACOSX" / "x.png")
    (tmp_path / "._b.png").write_bytes(b"left by an archiver")
    source = open_source(tmp_path)
    assert [os.path.basename(path) for path in source.items] == sorted(names)
    assert source.class_names is None
    assert labels_of(source) == [-1] * 6


def test_one_folder_a_class(tmp_path):
    for name in ("zebra/1.png", "ape/deep/er/2.png", "ape/1.png", "Cat 2/1.png"):
        save(tmp_path / name)
    source = open_source(str(tmp_path))
    assert source.class_names == ["Cat 2", "ape", "zebra"]
    found = {os.path.relpath(path, tmp_path): label for _, path, label in source}
    assert found == {"Cat 2/1.png": 0, "ape/1.png": 1, "ape/deep/er/2.png": 1, "zebra/1.png": 2}


def test_image_folder_layout_numbers_classes_alike_in_every_split(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "train/c/1.png", "test/c/1.png", "test/c/2.png"):
        save(tmp_path / name)
    train, test = open_source(tmp_path), open_source(tmp_path, "test")
    assert (len(train), len(test)) == (3, 2)
    assert train.class_names == test.class_names == ["a", "b", "c"]
    assert labels_of(train) == [0, 1, 2]
    assert labels_of(test) == [2, 2]
    # as TFDS reads it
    builder = tfds.ImageFolder(tmp_path)
    assert builder.info.features["label"].names == train.class_names
    theirs = [int(example["label"]) for example in builder.as_dataset(split="test")]
    assert theirs == labels_of(test)
    with pytest.raises(ValueError, match="subfolders: 'test', 'train'.*Received: split='tset'"):
        open_source(tmp_path, "tset")


def test_folders_and_files_behind_links(tmp_path):
    save(tmp_path / "elsewhere" / "cats" / "1.png")
    root = tmp_path / "root"
    save(root / "dogs" / "1.png")
    (root / "cats").symlink_to(tmp_path / "elsewhere" / "cats")
    (root / "dogs" / "round").symlink_to(root)  # leads back to where it starts
    (root / "dogs" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(root / "dogs" / "pipe.png")  # reading it would never end
    source = open_source(root)
    found = [os.path.relpath(path, root) for path in source.items]
    assert found == ["cats/1.png", "dogs/1.png", "dogs/broken.png"]
    assert source.class_names == ["cats", "dogs"]


def test_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    for name in ("a/1.png", "b/1.png"):
        save(tmp_path / name)
    scandir = os.scandir

    def deny(path):
        if pathlib.Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.warns(UserWarning, match="Left out a folder that can't be listed.*b'"):
        assert open_source(tmp_path).class_names == ["a"]


def test_home_and_relative_paths(tmp_path, monkeypatch):
    save(tmp_path / "pictures" / "1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_source("~/pictures")) == 1
    monkeypatch.chdir(tmp_path)
    assert len(open_source("pictures")) == 1
    assert len(open_source("./pictures/")) == 1


def test_empty_folders(tmp_path):
    with pytest.raises(ValueError, match="no pictures .*it is empty.*Received: source="):
        open_source(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.tiff").touch()
    with pytest.raises(ValueError, match="holds only .tiff, .txt files"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["photos/summer", "./mnist", "~/no/such", "/no/such", "a.zip"])
def test_missing_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no folder .*looked in .*Received"):
        open_source(name)


def test_file_for_a_folder(tmp_path):
    path = save(tmp_path / "a.png")
    with pytest.raises(NotADirectoryError, match="give the folder it is in. Received: source="):
        open_source(path)


def test_cache_key_changes_with_a_file(tmp_path):
    path = save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    first = open_source(tmp_path).cache_key
    assert open_source(tmp_path).cache_key == first
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    second = open_source(tmp_path).cache_key
    path.unlink()
    third = open_source(tmp_path).cache_key
    assert len({first, second, third}) == 3


# Arrays


def test_arrays_come_back_as_they_are():
    for shape in ((5, 6, 7), (5, 6, 7, 1), (5, 6, 7, 2), (5, 6, 7, 3), (5, 6, 7, 4)):
        images = noise(*shape)
        images.flags.writeable = False
        got = decoded(open_source(images), (6, 7), shape[3] if len(shape) == 4 else 1)
        np.testing.assert_array_equal(got.reshape(shape), images)
        np.testing.assert_array_equal(open_source(tf.constant(images)).items.reshape(shape), images)


@pytest.mark.parametrize("low, high", [(0, 1), (-1, 1), (0, 255), (1000, 1001)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_map_from_their_range(low, high, dtype):
    images = np.linspace(low, high, 4 * 4 * 3).astype(dtype).reshape(1, 4, 4, 3)
    got = open_source(images, value_range=(low, high)).items
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.ravel(), np.linspace(-1, 1, 48), atol=2e-4)
    assert got.min() == -1 and got.max() == 1


def test_half_precision_floats():
    images = np.linspace(0, 1, 16).astype(np.float16).reshape(1, 4, 4, 1)
    got = open_source(images, value_range=(0, 1)).items
    np.testing.assert_allclose(got, images.astype(float) * 2 - 1, atol=1e-6)


def test_array_labels():
    images = noise(4, 8, 8, 3)
    for labels in ([2, 0, 1, 2], np.array([2, 0, 1, 2]), np.array([[2], [0], [1], [2]], np.uint8)):
        source = open_source((images, labels))
        assert labels_of(source) == [2, 0, 1, 2]
        assert source.class_names == ["0", "1", "2"]


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], [0, 1, 2, -1], [0.0, 1, 2, 3], ["a", "b", "c", "d"], [0, 1, 2, 10**9]]
)
def test_bad_array_labels(labels):
    with pytest.raises(ValueError, match="Labels must be 4 whole numbers from 0.*Received"):
        open_source((noise(4, 8, 8, 3), labels))


@pytest.mark.parametrize(
    "images", [noise(8, 8), noise(2, 2, 8, 8, 3), noise(2, 8, 8, 5), noise(0, 8, 8, 3)]
)
def test_arrays_of_other_shapes(images):
    with pytest.raises(ValueError, match=r"must be \(pictures, height, width, channels\).*shape="):
        open_source(images)


def test_pictures_of_different_shapes_in_a_list():
    with pytest.raises(ValueError, match="must share one shape.*Received: a list"):
        open_source([noise(8, 8, 3), noise(9, 8, 3)])


@pytest.mark.parametrize("dtype", ["int64", "uint16", "bool", "object", "complex64"])
def test_arrays_of_other_dtypes(dtype):
    with pytest.raises(TypeError, match="uint8 .* or floating point.*Received: dtype="):
        open_source(noise(2, 8, 8, 3).astype(dtype))


def test_floats_without_or_outside_their_range():
    images = np.linspace(0, 2, 2 * 8 * 8 * 3).astype(np.float32).reshape(2, 8, 8, 3)
    with pytest.raises(ValueError, match=r"value_range=\(0, 1\).*Received: value_range=None"):
        open_source(images)
    with pytest.raises(ValueError, match="go from 0 to 2, which is outside the stated range"):
        open_source(images, value_range=(0, 1))
    for bad in (np.nan, np.inf):
        images[1, 2, 3, 0] = bad
        with pytest.raises(ValueError, match="1 of 2 pictures hold NaN or infinite"):
            open_source(images, value_range=(0, 2))


@pytest.mark.parametrize(
    "value_range", [(1, 0), (0, 0), (0,), (0, 1, 2), 5, "ab", (0, None), (0, np.nan), (0, np.inf)]
)
@pytest.mark.parametrize("source", ["digits", np.zeros((2, 8, 8, 3), np.float32)], ids=str)
def test_bad_value_range(value_range, source):
    with pytest.raises(ValueError, match="two finite numbers .*Received: value_range="):
        open_source(source, value_range=value_range)


@pytest.mark.parametrize("source", [None, 5, "", b"digits", {"image": 1}])
def test_source_of_another_kind(source):
    with pytest.raises(TypeError, match="`source` must be 'digits', a folder.*Received: source="):
        open_source(source)


@pytest.mark.parametrize("split", [None, "", 3])
def test_split_of_another_kind(split):
    with pytest.raises(ValueError, match="`split` must be a name.*Received: split="):
        open_source("digits", split)


# tf.data


def test_datasets_of_every_structure():
    images, labels = noise(6, 8, 8, 3), [3, 1, 2, 0, 1, 2]
    slices = tf.data.Dataset.from_tensor_slices
    for dataset, labelled in (
        (slices(images), False),
        (slices(images).batch(4), False),
        (slices((images, labels)), True),
        (slices((images, labels)).batch(4), True),
        (slices({"image": images, "label": labels}), True),
        (slices({"image": images, "id": labels}), False),
        (slices({"image": images, "label": labels}).batch(4), True),
        (slices((images, np.reshape(labels, (6, 1)))), True),
        (slices((images, labels, images)).batch(4), True),
        (slices((images, images)), False),
        (slices((images, images)).batch(4), False),
        (slices((images, np.eye(6, dtype=np.int32))), False),
        (slices((images, [str(label) for label in labels])), False),
    ):
        source = open_source(dataset)
        np.testing.assert_array_equal(decoded(source), images)
        assert labels_of(source) == (labels if labelled else [-1] * 6)
        assert (source.class_names is not None) == labelled


def test_dataset_of_float_pictures_of_different_sizes():
    pictures = [np.full((height, 8, 1), height / 10, np.float32) for height in (6, 8, 10)]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(pictures), output_signature=tf.TensorSpec((None, 8, 1), tf.float32)
    )
    source = open_source(dataset, value_range=(0, 1))
    got = np.stack([read_picture(raw, (6, 6), 1).mean() for _, raw, _ in source])
    np.testing.assert_allclose(got, [0.2, 0.6, 1.0], atol=1e-5)


def test_datasets_that_cannot_be():
    dataset = tf.data.Dataset.from_tensor_slices(noise(4, 8, 8, 3))
    with pytest.raises(ValueError, match="never ends.*take"):
        open_source(dataset.repeat())
    with pytest.raises(ValueError, match="is empty"):
        open_source(dataset.take(0))
    with pytest.raises(ValueError, match="must yield pictures.*Received: element_spec="):
        open_source(tf.data.Dataset.range(4))
    with pytest.raises(ValueError, match="must yield pictures.*Received: element_spec="):
        open_source(tf.data.Dataset.from_tensor_slices({"x": noise(4, 8, 8, 3)}))
    with pytest.raises(ValueError, match="no split of that name"):
        open_source(dataset, "test")


# TFDS


def flowers(split):
    return noise(10 if split == "train" else 4, 12, 10, 3, seed=len(split))


class TinyFlowers(tfds.core.GeneratorBasedBuilder):
    """A data set small enough to be prepared in a test."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["rose", "tulip", "lily"]),
                "id": tf.int64,
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        for index, image in enumerate(flowers(split)):
            yield index, {"image": image, "label": index % 3, "id": index}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    TinyFlowers(data_dir=data_dir).download_and_prepare()
    return data_dir


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    monkeypatch.setattr(tfds.core.utils.gcs_utils, "exists", refuse)


def by_content(images, labels):
    return sorted(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize(
    "split, count", [("train", 10), ("test", 4), ("train[:50%]", 5), ("train+test[:1]", 11)]
)
def test_prepared_data_set(prepared, no_network, split, count):
    source = open_source("tiny_flowers", split, data_dir=prepared)
    assert len(source) == count
    assert source.class_names == ["rose", "tulip", "lily"]
    assert all(isinstance(raw, bytes) for _, raw, _ in source)  # one decoder for every picture
    parts = [flowers("train"), flowers("test")]
    known = dict(by_content(np.concatenate(parts), [*np.arange(10) % 3, *np.arange(4) % 3]))
    got = by_content(decoded(source, (12, 10)), labels_of(source))
    assert len(dict(got)) == count
    assert all(known[pixels] == label for pixels, label in got)
    if split in ("train", "test"):
        assert {pixels for pixels, _ in got} == {image.tobytes() for image in flowers(split)}


def test_prepared_data_set_as_batches(prepared, no_network):
    options = {"data_dir": prepared, "image_size": (12, 10), "batch_size": 2, "labels": True}
    known = dict(by_content(flowers("train"), np.arange(10) % 3))
    sides = []
    for split, count in (("train", 8), ("validation", 2)):
        dataset = load_images("tiny_flowers", split, validation_split=0.2, **options)
        assert dataset.num_images == count
        assert dataset.class_names == ["rose", "tulip", "lily"]
        images, labels = map(np.concatenate, zip(*dataset.as_numpy_iterator(), strict=True))
        pixels = np.round((images + 1) * 127.5).astype(np.uint8)
        sides.append(by_content(pixels, labels))
        assert all(known[content] == label for content, label in sides[-1])
    assert sorted(sides[0] + sides[1]) == sorted(known.items())


def test_parts_of_a_split_are_disjoint_and_whole(prepared):
    halves = [
        {raw for _, raw, _ in open_source("tiny_flowers", split, data_dir=str(prepared))}
        for split in ("train[:50%]", "train[50%:]", "train")
    ]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == halves[2]


@pytest.mark.parametrize("split", ["val", "train[:x%]", "train[:0%]", "train[60%:20%]", "train["])
def test_unknown_split(prepared, split):
    with pytest.raises(ValueError, match=r"has no split .*\['test', 'train'\].*Received: split="):
        open_source("tiny_flowers", split, data_dir=prepared)


def test_cache_key_of_a_data_set(prepared):
    def key(split="train"):
        return open_source("tiny_flowers", split, data_dir=prepared).cache_key

    first = key()
    assert key() == first != key("test")
    about = prepared / "tiny_flowers" / "1.0.0" / "dataset_info.json"
    os.utime(about, ns=(0, about.stat().st_mtime_ns + 1_000_000))
    assert key() != first  # prepared anew


@pytest.mark.parametrize("name", ["mnist", "mnist_corrupted/spatter", "tiny_flowers"])
def test_data_set_that_is_not_prepared(name, tmp_path, no_network):
    with pytest.raises(FileNotFoundError) as error:
        open_source(name, data_dir=tmp_path)
    for part in (str(tmp_path), "download=True", f"tfds build {name}", "--data-dir", "Received"):
        assert part in str(error.value)


def test_download_when_asked(tmp_path):
    source = open_source("tiny_flowers", "test", data_dir=tmp_path, download=True)
    assert len(source) == 4


@pytest.mark.parametrize("name, near", [("nmist", "'mnist'"), ("digit", "'digits'")])
def test_unknown_data_set(name, near, no_network):
    with pytest.raises(ValueError, match=f"no TFDS data set, named.*Did you mean .*{near}"):
        open_source(name)


@pytest.mark.parametrize("name", ["my photos", "http://x.y/z", "mnist/nope", "mnist:9.9.9"])
def test_names_that_tfds_refuses(name, tmp_path, no_network):
    with pytest.raises(ValueError, match="no folder named .*TFDS can't open.*Received: source="):
        open_source(name, data_dir=tmp_path)


def test_namespace_whose_package_is_missing(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'huggingface_hub'")

    monkeypatch.setattr(tfds, "builder", fail)
    with pytest.raises(ValueError, match="TFDS can't open.*huggingface_hub.*Received: source="):
        open_source("huggingface:mnist", data_dir=tmp_path)


def test_data_set_without_pictures(tmp_path):
    class TinyNumbers(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"x": tf.int64})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": iter([(0, {"x": 0})])}

        def _generate_examples(self):
            raise NotImplementedError

    TinyNumbers(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(ValueError, match="doesn't have one picture an example.*'x'.*Received"):
        open_source("tiny_numbers", data_dir=tmp_path)
