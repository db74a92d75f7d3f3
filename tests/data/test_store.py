"""Every picture decoded once, broken ones left out by name, and the cache on disk."""

import json
import os
import shutil
import threading
import types
import warnings

import numpy as np
import psutil
import pytest
from PIL import Image

from kerasgen.data import load_images, store
from kerasgen.data.sources import open_source
from kerasgen.data.store import build_store


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Six pictures of 8x8, as the array that they should come back as."""
    pictures = noise(6, 8, 8, 3)
    (tmp_path / "pictures").mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{index}.png")
    return tmp_path / "pictures", pictures


@pytest.fixture
def decodings(monkeypatch):
    """Counts the pictures that are decoded."""
    count = []

    def read(*args):
        count.append(args)
        return read_picture(*args)

    read_picture = store.read_picture
    monkeypatch.setattr(store, "read_picture", read)
    return count


def build(path, **options):
    return build_store(open_source(path), (8, 8), 3, **options)


def break_three(path):
    """Leaves pictures 1, 3 and 5 readable."""
    Image.fromarray(noise(99, 99, 3)).save(path / "0.jpg")
    (path / "0.png").unlink()
    data = (path / "0.jpg").read_bytes()
    (path / "0.jpg").write_bytes(data[: len(data) // 2])
    (path / "2.png").write_bytes(b"")
    (path / "4.png").write_text("I only look like a picture.")


def test_pictures_in_order_with_digests_of_their_content(folder):
    path, pictures = folder
    shutil.copy(path / "2.png", path / "6.png")
    Image.fromarray(pictures[3]).save(path / "7.bmp")
    built = build(path)
    expected = np.concatenate([pictures, pictures[2:4]])
    np.testing.assert_array_equal(built.pixels.numpy(), expected)
    assert len(set(built.digests)) == 6
    assert built.digests[2] == built.digests[6] and built.digests[3] == built.digests[7]
    assert built.labels.tolist() == [-1] * 8


def test_files_may_vanish_while_they_are_listed(folder, monkeypatch):
    path, pictures = folder
    source = open_source(path)
    (path / "4.png").unlink()
    with pytest.warns(UserWarning, match="1 of 6 pictures can't be read.*4.png.*FileNotFound"):
        built = build_store(source, (8, 8), 3)
    np.testing.assert_array_equal(built.pixels.numpy(), np.delete(pictures, 4, axis=0))


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_training_doesn_t_notice_that_its_files_change(folder, tmp_path, on_disk):
    path, _ = folder
    cache = tmp_path / "cache" if on_disk else "memory"
    dataset = load_images(path, image_size=8, batch_size=3, seed=1, cache=cache)
    before = np.concatenate([batch for _ in range(2) for batch in dataset])
    for number, name in enumerate(sorted(path.iterdir())):
        name.unlink() if number % 2 else name.write_bytes(b"something else")
    if on_disk:
        shutil.rmtree(cache)
    dataset.epoch.assign(0)
    after = np.concatenate([batch for _ in range(2) for batch in dataset])
    np.testing.assert_array_equal(after, before)


def test_decoding_runs_in_parallel(folder, monkeypatch):
    together = threading.Barrier(2, timeout=30)

    def read(*args):
        together.wait()  # breaks, and so leaves pictures out, unless two are decoded at once
        return read_picture(*args)

    read_picture = store.read_picture
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(store, "read_picture", read)
    path, pictures = folder
    np.testing.assert_array_equal(build(path, strict=True).pixels, pictures)


def test_fingerprint_changes_with_pixels_labels_and_order():
    images, labels = noise(3, 8, 8, 3), np.array([0, 1, 1])

    def fingerprint(images, labels):
        return build_store(open_source((images, labels)), (8, 8), 3).fingerprint

    changed = images.copy()
    changed[2, 7, 7, 2] ^= 1
    found = [
        fingerprint(images, labels),
        fingerprint(changed, labels),
        fingerprint(images, [0, 1, 2]),
        fingerprint(images[::-1], labels),
    ]
    assert len(set(found)) == 4
    assert fingerprint(images.copy(), labels.copy()) == found[0]


@pytest.mark.parametrize("as_floats", [False, True])
def test_arrays_of_any_memory_layout(as_floats):
    planes = noise(3, 3, 8, 8)  # channels first
    images = planes.transpose(0, 2, 3, 1)
    if as_floats:
        built = build_store(open_source(images / 255.0, value_range=(0, 1)), (8, 8), 3)
        np.testing.assert_allclose(built.pixels, images / 127.5 - 1, atol=1e-6)
    else:
        built = build_store(open_source(images), (8, 8), 3)
        np.testing.assert_array_equal(built.pixels, images)


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_broken_pictures_are_left_out_with_one_warning_that_names_them(folder, tmp_path, cache):
    path, pictures = folder
    break_three(path)
    source = open_source(path)
    (path / "5.png").unlink()  # between listing and decoding
    with pytest.warns(UserWarning) as caught:
        built = build_store(source, (8, 8), 3, cache=tmp_path / "c" if cache == "disk" else cache)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "4 of 6 pictures can't be read" in message
    for name, reason in (
        ("0.jpg", "truncated"),
        ("2.png", "cannot identify"),
        ("4.png", "cannot identify"),
        ("5.png", "No such file"),
    ):
        assert name in message and reason in message
    np.testing.assert_array_equal(built.pixels, pictures[[1, 3]])
    assert len(built) == 2


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_broken_pictures_are_an_error_if_strict(folder, tmp_path, cache):
    path, _ = folder
    break_three(path)
    cache = tmp_path / "cache" if cache == "disk" else cache
    with pytest.raises(ValueError, match="3 of 6 pictures can't be read: .*0.jpg.*strict=False"):
        build(path, strict=True, cache=cache)
    with pytest.warns(UserWarning, match="3 of 6"):
        assert len(build(path, cache=cache)) == 3


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_nothing_readable_is_an_error(folder, tmp_path, cache):
    path, _ = folder
    for file in path.iterdir():
        file.write_text("no picture")
    cache = tmp_path / "cache" if cache == "disk" else cache
    with pytest.raises(ValueError, match="6 of 6 pictures can't be read: .*Replace or remove"):
        build(path, cache=cache)
    assert not (tmp_path / "cache").exists() or os.listdir(tmp_path / "cache") == []


def test_long_lists_of_broken_pictures_are_cut(tmp_path):
    for index in range(13):
        (tmp_path / f"{index:02}.png").touch()
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "whole.png")
    with pytest.warns(UserWarning, match="13 of 14 .*09.png.*; and 3 more") as caught:
        build(tmp_path)
    assert "10.png" not in str(caught[0].message)


def test_decoded_copy_is_shared_while_it_lives(folder, decodings):
    path, _ = folder
    first = build(path)
    assert build(path) is first
    assert len(decodings) == 6
    del first
    build(path)
    assert len(decodings) == 12


def test_cache_on_disk_is_read_again(folder, tmp_path, decodings):
    path, pictures = folder
    built = build(path, cache=tmp_path / "cache")
    assert len(decodings) == 6
    assert isinstance(built.pixels, np.memmap)
    np.testing.assert_array_equal(built.pixels, pictures)
    digests, labels = built.digests, built.labels
    assert sorted(os.path.splitext(name)[1] for name in os.listdir(tmp_path / "cache")) == [
        ".json",
        ".npy",
    ]
    del built
    again = build(path, cache=str(tmp_path / "cache"))
    assert len(decodings) == 6  # none decoded anew
    np.testing.assert_array_equal(again.pixels, pictures)
    assert again.digests == digests
    np.testing.assert_array_equal(again.labels, labels)


def test_directory_gets_its_file_although_a_copy_in_memory_lives(folder, tmp_path):
    path, _ = folder
    in_memory = build(path, cache="memory")
    on_disk = build(path, cache=tmp_path / "cache")
    assert len(os.listdir(tmp_path / "cache")) == 2
    assert on_disk.digests == in_memory.digests


def test_cached_broken_pictures_are_named_again(folder, tmp_path, decodings):
    path, _ = folder
    break_three(path)
    for _ in range(2):
        with pytest.warns(UserWarning, match="3 of 6 pictures.*0.jpg.*2.png.*4.png"):
            assert len(build(path, cache=tmp_path / "cache")) == 3
    assert len(decodings) == 6


def test_cache_is_another_one_for_other_content_or_sizes(folder, tmp_path, decodings):
    path, pictures = folder
    cache = tmp_path / "cache"
    build(path, cache=cache)
    Image.fromarray(255 - pictures[4]).save(path / "4.png")
    os.utime(path / "4.png", ns=(0, 1))
    changed = build(path, cache=cache)
    assert len(decodings) == 12
    np.testing.assert_array_equal(changed.pixels[4], 255 - pictures[4])
    assert build_store(open_source(path), (4, 4), 3, cache=cache).pixels.shape == (6, 4, 4, 3)
    assert build_store(open_source(path), (8, 8), 1, cache=cache).pixels.shape == (6, 8, 8, 1)
    assert len(os.listdir(cache)) == 8


def test_no_half_written_cache_after_an_error(folder, tmp_path, monkeypatch):
    path, pictures = folder
    cache = tmp_path / "cache"

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", fail)
        with pytest.raises(KeyboardInterrupt):
            build(path, cache=cache)
    assert os.listdir(cache) == []
    with monkeypatch.context() as patch:
        replace = os.replace
        patch.setattr(
            os, "replace", lambda a, b: fail() if str(b).endswith("npy") else replace(a, b)
        )
        with pytest.raises(KeyboardInterrupt):
            build(path, cache=cache)
    assert not list(cache.glob("*.npy")) and not list(cache.glob(".*"))
    np.testing.assert_array_equal(build(path, cache=cache).pixels, pictures)


def test_full_disk_is_said_before_decoding(folder, tmp_path, monkeypatch, decodings):
    monkeypatch.setattr(
        store.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=6 * 8 * 8 * 3 - 1)
    )
    with pytest.raises(OSError, match=r"make room.*`cache`.*Received: image_size=\(8, 8\)"):
        build(folder[0], cache=tmp_path / "cache")
    assert not decodings


@pytest.mark.parametrize("share, on_disk", [(0.3, False), (0.5, True)])
def test_auto_goes_to_disk_where_memory_is_short(folder, tmp_path, monkeypatch, share, on_disk):
    path, pictures = folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    free = types.SimpleNamespace(available=pictures.size / share)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    built = build(path)
    assert isinstance(built.pixels, np.memmap) == on_disk
    assert (tmp_path / "home" / "kerasgen").exists() == on_disk
    np.testing.assert_array_equal(built.pixels, pictures)


def test_pictures_for_random_crops_stay_whole(folder):
    path, _ = folder
    wide = noise(10, 40, 3)
    Image.fromarray(wide).save(path / "9.png")
    built = build_store(open_source(path), (4, 4), 3, cover=2.5)
    assert built.shapes.tolist() == [[8, 8]] * 6 + [[10, 40]]
    np.testing.assert_array_equal(built.pixels[-1200:], wide.ravel())


def test_whole_pictures_cause_no_warning(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(build(folder[0])) == 6
