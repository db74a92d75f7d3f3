"""What `load_frames` reads: videos, animations, folders of frames, TFDS, `tf.data`, lists."""

import socket
import struct
import sys

import av
import numpy as np
import psutil
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image, ImageSequence

from kerasgen.data import frames as frames_module
from kerasgen.data import load_frames, load_images, store, video
from kerasgen.data.clips import natural_key

OPTIONS = {"num_frames": 4, "batch_size": 1, "shuffle": False}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def epoch_of(dataset):
    batches = [np.round((np.asarray(batch) + 1) * 127.5).astype(np.uint8) for batch in dataset]
    return np.concatenate(batches)


def smooth_clip(frames=6, height=32, width=48, shift=5):
    """A coloured pattern that wanders: what a video codec can keep."""
    time = np.arange(frames)[:, None, None] * shift
    y, x = np.mgrid[:height, :width]
    planes = [127 + 120 * np.sin((x + time) / 9), 127 + 120 * np.cos((y - time) / 7), 2 * y + 0 * x]
    return np.stack(np.broadcast_arrays(*planes), -1).astype(np.uint8)


def write_video(path, clip, codec="ffv1", pixels="bgr0"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = pixels
        grey = clip.shape[-1] == 1
        for frame in clip:
            frame = av.VideoFrame.from_ndarray(
                frame[..., 0] if grey else frame, format="gray" if grey else "rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decode(path, pixels="rgb24"):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format=pixels) for frame in container.decode(video=0)])


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path)
    return path


# Videos


def test_lossless_video(tmp_path):
    clip = noise(6, 32, 48, 3)
    path = write_video(tmp_path / "clip.mkv", clip)
    dataset = load_frames(path, image_size=(32, 48), stride=1, **OPTIONS)
    np.testing.assert_array_equal(epoch_of(dataset), [clip[i : i + 4] for i in range(3)])
    assert dataset.image_shape == (32, 48, 3)


@pytest.mark.parametrize(
    "name, codec", [("a.mp4", "mpeg4"), ("a.avi", "mjpeg"), ("a.MOV", "mpeg4"), ("a.webm", "vp9")]
)
def test_videos_are_what_their_decoder_says(tmp_path, name, codec):
    clip = smooth_clip(12)
    path = write_video(tmp_path / name, clip, codec, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    got = epoch_of(load_frames(str(path), stride=1, **OPTIONS))  # at its own size
    expected = decode(path)
    assert len(expected) == 12
    np.testing.assert_array_equal(got, [expected[i : i + 4] for i in range(9)])
    assert np.abs(got[0].astype(float) - clip[:4]).mean() < 12


def test_grey_video_has_one_channel(tmp_path):
    clip = noise(4, 32, 32, 1)
    dataset = load_frames(write_video(tmp_path / "a.mkv", clip, pixels="gray"), **OPTIONS)
    assert dataset.frame_shape == (4, 32, 32, 1)
    np.testing.assert_array_equal(epoch_of(dataset)[0], clip)


def test_video_is_resized_with_anti_aliasing(tmp_path):
    clip = noise(4, 256, 128, 3)
    dataset = load_frames(write_video(tmp_path / "a.mkv", clip), image_size=16, **OPTIONS)
    boxes = clip[:, 64:192].reshape(4, 16, 8, 16, 8, 3).mean((2, 4))
    error = np.abs(epoch_of(dataset)[0] - boxes)
    picked = np.abs(clip[:, 68:192:8, 4::8] - boxes)
    assert error.mean() < 5 < 50 < picked.mean()
    big = noise(4, 136, 200, 3)
    assert load_frames(write_video(tmp_path / "b.mkv", big), **OPTIONS).image_shape == (64, 64, 3)


def turn_clockwise(path):
    """Writes into an MP4 file what telephones do: that it is to be shown turned by 90 degrees."""
    data = path.read_bytes()
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    header = data.index(b"tkhd")
    start = data.index(straight, header)
    path.write_bytes(data[:start] + turned + data[start + 36 :])


def test_video_filmed_upright_is_turned(tmp_path):
    path = write_video(tmp_path / "a.mp4", smooth_clip(4), "mpeg4", "yuv420p")
    plain = epoch_of(load_frames(path, **OPTIONS))[0]
    turn_clockwise(path)
    turned = epoch_of(load_frames(path, **OPTIONS))[0]
    np.testing.assert_array_equal(turned, np.rot90(plain, -1, axes=(1, 2)))


def test_folder_of_videos_one_a_clip(tmp_path):
    clips = {f"clip {i}.mkv": noise(4 + i % 2, 32, 32, 3, seed=i) for i in (10, 2, 1)}
    for name, clip in clips.items():
        write_video(tmp_path / name, clip)
    save(tmp_path / "cover.png", noise(32, 32, 3))
    (tmp_path / "._clip 1.mkv").write_bytes(b"left by an archiver")
    dataset = load_frames(tmp_path, stride=4, **OPTIONS)
    expected = [clips[f"clip {i}.mkv"][:4] for i in (1, 2, 10)]
    np.testing.assert_array_equal(epoch_of(dataset), expected)


def test_videos_are_decoded_once_for_both_sides_of_a_split(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mkv", noise(20, 32, 32, 3))
    read = []
    decode_video = video._decode_video
    monkeypatch.setattr(video, "_decode_video", lambda path: read.append(1) or decode_video(path))
    options = OPTIONS | {"validation_split": 0.4, "image_size": 32, "channels": 3}
    train = load_frames(path, **options)
    sampled = len(read)
    held_out = load_frames(path, "validation", **options)
    assert train.fingerprint == held_out.fingerprint
    assert (train.num_clips, held_out.num_clips) == (9, 2)
    assert sampled == 2 and len(read) <= 3  # sizes are told by the first frame


def test_videos_that_cannot_be_read(tmp_path):
    whole = write_video(tmp_path / "whole.mp4", smooth_clip(), "mpeg4", "yuv420p").read_bytes()
    for name, content in (("empty.mp4", b""), ("text.avi", b"no video"), ("cut.mp4", whole[:999])):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"can't be read .*Received: source='.*{name}'"):
            load_frames(path, **OPTIONS)
    with pytest.raises(ValueError, match="cut.mp4"):
        load_frames(tmp_path, **OPTIONS)


def test_sound_without_pictures(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ValueError, match="no video stream.*Received: source=.*sound.mkv"):
        load_frames(path, **OPTIONS)


def test_video_without_frames_enough(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mkv", noise(7, 32, 32, 3))
    monkeypatch.setattr(frames_module, "build_store", lambda *args: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="longest clip has 7 frames.*Received: num_frames=20"):
        load_frames(path, batch_size=1)


def test_videos_without_their_reader(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mkv", noise(4, 32, 32, 3))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"kerasgen\[video\].*Received: source=.*a.mkv"):
        load_frames(path, **OPTIONS)


# Animations


def test_animated_gif_is_what_pillow_shows(tmp_path):
    pictures = [Image.fromarray(frame) for frame in smooth_clip(7, 32, 32)]
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50)
    got = epoch_of(load_frames(path, stride=1, **OPTIONS))
    with Image.open(path) as image:
        expected = np.stack([f.convert("RGB") for f in ImageSequence.Iterator(image)])
    assert len(expected) == 7
    np.testing.assert_array_equal(got, [expected[i : i + 4] for i in range(4)])


@pytest.mark.parametrize("name", ["a.webp", "a.png"])
def test_lossless_animations(tmp_path, name):
    clip = noise(5, 16, 16, 3)
    pictures = [Image.fromarray(frame) for frame in clip]
    options = {"lossless": True} if name == "a.webp" else {}
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], **options)
    got = epoch_of(load_frames(tmp_path / name, stride=1, **OPTIONS))
    np.testing.assert_array_equal(got, [clip[:4], clip[1:]])


def test_folder_of_animations_of_which_some_are_grey_or_transparent(tmp_path):
    grey = [Image.fromarray(frame) for frame in noise(4, 16, 16)]
    grey[0].save(tmp_path / "2.gif", save_all=True, append_images=grey[1:])
    assert load_frames(tmp_path / "2.gif", **OPTIONS).image_shape == (16, 16, 1)
    fading = [Image.new("RGBA", (16, 16), (9 * i, 0, 0, 0 if i == 3 else 255)) for i in range(4)]
    fading[0].save(tmp_path / "10.webp", save_all=True, append_images=fading[1:], lossless=True)
    got = epoch_of(load_frames(tmp_path, **OPTIONS))
    assert got.shape == (2, 4, 16, 16, 3)
    np.testing.assert_array_equal(got[0, ..., 0], [np.asarray(picture) for picture in grey])
    assert got[1, :, 8, 8].tolist() == [[0, 0, 0], [9, 0, 0], [18, 0, 0], [255, 255, 255]]


# Folders of frames


def test_natural_order():
    names = ["a10", "A2", "a1", "b", "a01b", "10", "9.5", "9"]
    ordered = ["9", "9.5", "10", "a1", "a01b", "A2", "a10", "b"]
    assert sorted(names, key=natural_key) == ordered


def test_folder_of_numbered_frames_is_one_clip(tmp_path):
    clip = noise(12, 16, 24, 3)
    for index, frame in enumerate(clip):
        save(tmp_path / f"frame{index}.png", frame)  # without leading zeros
    (tmp_path / "notes.txt").write_text("no frame")
    dataset = load_frames(tmp_path, stride=4, **OPTIONS)
    np.testing.assert_array_equal(epoch_of(dataset), clip.reshape(3, 4, 16, 24, 3))
    held_out = load_frames(str(tmp_path), "validation", validation_split=0.5, **OPTIONS)
    np.testing.assert_array_equal(epoch_of(held_out), clip[6:10][None])


def test_folders_of_frames_are_clips_of_their_own(tmp_path):
    lengths = {"walk 10": 5, "walk 9": 4, "deep/er": 4, "short": 3}
    clips = {name: noise(n, 16, 16, seed=n + len(name)) for name, n in lengths.items()}
    for name, clip in clips.items():
        for index, frame in enumerate(clip):
            save(tmp_path / name / f"{index + 8}.bmp", frame)
    dataset = load_frames(tmp_path, **OPTIONS | {"num_frames": 4}, stride=1)
    assert dataset.frame_shape == (4, 16, 16, 1)
    nine, ten = clips["walk 9"], clips["walk 10"]
    expected = [clips["deep/er"], nine, ten[:4], ten[1:]]
    np.testing.assert_array_equal(epoch_of(dataset)[..., 0], expected)


def test_frames_from_a_cache_on_disk(tmp_path, monkeypatch):
    for index, frame in enumerate(noise(9, 16, 16, 3)):
        save(tmp_path / "clip" / f"{index}.png", frame)
    options = OPTIONS | {"batch_size": 2, "stride": 1}
    from_memory = epoch_of(load_frames(tmp_path / "clip", **options))
    store._ALIVE.clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 0}))
    for _ in range(2):  # written, then read
        from_disk = load_frames(tmp_path / "clip", **options)
        assert len(list((tmp_path / "home" / "kerasgen").iterdir())) == 2
        np.testing.assert_array_equal(epoch_of(from_disk), from_memory)
        store._ALIVE.clear()
    pictures = load_images(tmp_path / "clip", batch_size=1, shuffle=False)
    assert pictures.fingerprint != from_disk.fingerprint  # labels differ, so the cache is another


def test_folder_with_a_folder_a_split(tmp_path):
    clips = {"train": noise(5, 16, 16, 3), "test": noise(4, 16, 16, 3, seed=1)}
    for split, clip in clips.items():
        for index, frame in enumerate(clip):
            save(tmp_path / split / "only" / f"{index}.png", frame)
    np.testing.assert_array_equal(
        epoch_of(load_frames(tmp_path, "test", **OPTIONS)), clips["test"][None]
    )
    assert load_frames(tmp_path, stride=1, **OPTIONS).num_clips == 2
    with pytest.raises(ValueError, match="no split of that name.*Received: split='val'"):
        load_frames(tmp_path, "val", **OPTIONS)


def test_clips_of_different_sizes_but_not_in_one(tmp_path):
    for index in range(8):
        size = (16, 16) if index < 4 else (20, 30)
        save(tmp_path / f"clip{index // 4}" / f"{index}.png", noise(*size, 3))
    assert load_frames(tmp_path, **OPTIONS).num_clips == 2
    odd = save(tmp_path / "clip1" / "11.png", noise(30, 20, 3))
    with pytest.raises(
        ValueError, match=r"share one size.*clip1.*20x30 \(4.png\); 30x20 \(11.png\).*Received"
    ):
        load_frames(tmp_path, **OPTIONS)
    odd.unlink()
    (tmp_path / "clip1" / "5.png").write_bytes((tmp_path / "clip1" / "5.png").read_bytes()[:60])
    with pytest.raises(ValueError, match="1 of 8 pictures can't be read: .*5.png.*remove them.$"):
        load_frames(tmp_path, **OPTIONS)


def test_paths_that_hold_no_clip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no videos and no pictures .*it is empty. Received"):
        load_frames(tmp_path)
    for name in ("no/such", "clip.mp4", "./moving_digits"):
        with pytest.raises(FileNotFoundError, match="There is no folder .*Received: source="):
            load_frames(name)
    for path in (save(tmp_path / "one.png", noise(9, 9, 3)), tmp_path / "a.txt"):
        path.touch()
        with pytest.raises(ValueError, match="Expected a video .*mp4.*Received: source="):
            load_frames(path)
    with pytest.raises(ValueError, match="longest clip has 1 frames"):
        load_frames(tmp_path)


# Arrays and tf.data


def test_arrays_of_every_shape():
    clips = noise(3, 5, 16, 16, 3)
    options = OPTIONS | {"num_frames": 5}
    for source in (clips, list(clips), tuple(clips), tf.constant(clips)):
        np.testing.assert_array_equal(epoch_of(load_frames(source, **options)), clips)
    grey = clips[..., 0]
    np.testing.assert_array_equal(epoch_of(load_frames(grey, **options))[..., 0], grey)
    for source in (clips[0], list(clips[0])):
        np.testing.assert_array_equal(epoch_of(load_frames(source, **options)), clips[:1])
    np.testing.assert_array_equal(epoch_of(load_frames(grey[1], **options))[0, ..., 0], grey[1])
    transparent = noise(2, 5, 16, 16, 4)
    np.testing.assert_array_equal(epoch_of(load_frames(transparent, **options)), transparent)


@pytest.mark.parametrize(
    "source, match",
    [
        (noise(16, 16), r"must be \(clips, frames, height, width, channels\).*shape=\(16, 16\)"),
        (noise(1, 1, 5, 16, 16, 3), "Received: shape="),
        (noise(2, 5, 16, 16, 5), "Received: shape="),
        (noise(0, 5, 16, 16, 3), "not empty. Received: shape="),
        ([], "Received: shape="),
        ([noise(5, 16, 16, 3), noise(5, 16, 16, 1)], "share one dtype.*Received: frames of uint8"),
        ([noise(5, 16, 16), noise(6, 16, 16)], "share one shape.*Received: a list of arrays"),
    ],
)
def test_arrays_that_cannot_be(source, match):
    with pytest.raises(ValueError, match=match):
        load_frames(source, **OPTIONS)


def test_sources_of_another_kind():
    with pytest.raises(TypeError, match="uint8 .*Received: dtype=int64"):
        load_frames(noise(2, 5, 16, 16, 3).astype(np.int64), **OPTIONS)
    for source in (None, 5, "", b"moving_digits"):
        with pytest.raises(TypeError, match="must be 'moving_digits', a video.*Received: source="):
            load_frames(source)


def test_datasets_of_every_structure():
    clips = noise(3, 5, 16, 16, 3)
    options = OPTIONS | {"num_frames": 5}
    slices = tf.data.Dataset.from_tensor_slices
    for dataset in (
        slices(clips),
        slices(clips).batch(2),
        slices((clips, [0, 1, 2])),
        slices({"video": clips, "label": [0, 1, 2]}).batch(2),
        slices({"image_sequence": clips}),
    ):
        np.testing.assert_array_equal(epoch_of(load_frames(dataset, **options)), clips)
    floats = slices(clips.astype(np.float32) / 255)
    got = epoch_of(load_frames(floats, value_range=(0, 1), **options))
    np.testing.assert_array_equal(got, clips)


def test_datasets_that_cannot_be():
    dataset = tf.data.Dataset.from_tensor_slices(noise(3, 5, 16, 16, 3))
    with pytest.raises(ValueError, match="never ends.*take.*Received"):
        load_frames(dataset.repeat(), **OPTIONS)
    with pytest.raises(ValueError, match="Received: frames of no clip"):
        load_frames(dataset.take(0), **OPTIONS)
    for other in (tf.data.Dataset.range(4), dataset.map(lambda clip: {"clip": clip})):
        with pytest.raises(ValueError, match="must yield clips.*Received: element_spec="):
            load_frames(other, **OPTIONS)


# TFDS


def moving_squares(split):
    clips = np.zeros((3 if split == "train" else 2, 6, 16, 16, 1), np.uint8)
    for index, clip in enumerate(clips):
        for time, frame in enumerate(clip):
            frame[2 * time : 2 * time + 4, index : index + 4] = 100 + len(split)
    return clips


class TinySquares(tfds.core.GeneratorBasedBuilder):
    """In moving_mnist's layout, small enough to be prepared in a test."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        video = tfds.features.Video(shape=(6, 16, 16, 1))
        features = tfds.features.FeaturesDict({"image_sequence": video})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        for index, clip in enumerate(moving_squares(split)):
            yield index, {"image_sequence": clip}


class TinyActions(tfds.core.GeneratorBasedBuilder):
    """In ucf101's layout: clips of any length and size, with labels."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "video": tfds.features.Video(shape=(None, None, None, 3)),
                "label": tfds.features.ClassLabel(num_classes=3),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index, frames in enumerate((5, 2, 7)):
            yield index, {"video": noise(frames, 16, 20, 3, seed=index), "label": index}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    TinySquares(data_dir=data_dir).download_and_prepare()
    TinyActions(data_dir=data_dir).download_and_prepare()
    return data_dir


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    monkeypatch.setattr(tfds.core.utils.gcs_utils, "exists", refuse)


def contents(clips):
    return sorted(clip.tobytes() for clip in clips)


@pytest.mark.parametrize("split", ["train", "test"])
def test_prepared_data_set(prepared, no_network, split):
    options = OPTIONS | {"num_frames": 6, "data_dir": prepared}
    dataset = load_frames("tiny_squares", split, **options)
    assert dataset.frame_shape == (6, 16, 16, 1)
    assert contents(epoch_of(dataset)) == contents(moving_squares(split))


def test_prepared_data_set_of_clips_of_any_length(prepared, no_network):
    dataset = load_frames("tiny_actions", stride=1, data_dir=prepared, **OPTIONS)
    clips = [noise(frames, 16, 20, 3, seed=index) for index, frames in enumerate((5, 2, 7))]
    expected = [clip[i : i + 4] for clip in clips for i in range(len(clip) - 3)]
    assert dataset.num_clips == 6
    assert contents(epoch_of(dataset)) == contents(expected)


def test_data_sets_that_cannot_be(prepared, no_network, tmp_path):
    for name in ("moving_mnist", "tiny_squares"):
        with pytest.raises(FileNotFoundError, match=f"not prepared.*tfds build {name}.*Received"):
            load_frames(name, data_dir=tmp_path)
    with pytest.raises(ValueError, match="has no split 'val'.*Received: split='val'"):
        load_frames("tiny_squares", "val", data_dir=prepared)
    for name in ("moving_digit", "digits"):
        with pytest.raises(ValueError, match="Did you mean .*'moving_digits'.*Received: source="):
            load_frames(name)


def test_data_set_without_video(tmp_path):
    class TinyCounts(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"x": tf.int64})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": iter([(0, {"x": 0})])}

        def _generate_examples(self):
            raise NotImplementedError

    TinyCounts(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(ValueError, match="doesn't have one video an example.*'x'.*Received"):
        load_frames("tiny_counts", data_dir=tmp_path)
