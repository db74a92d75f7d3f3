"""Presets saved, loaded to the bit, and refused where they are damaged."""

import json
import re
import shutil
import sys
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kerasgen
from kerasgen import samplers
from kerasgen.presets import collection, directory

RECIPE = {"format": 1, "source": {"data": "digits"}, "model": {"name": "dcgan"}}
KINDS = (ValueError, TypeError, FileNotFoundError)


@pytest.fixture(scope="module")
def model():
    return kerasgen.DCGAN((8, 8, 1), latent_dim=4, generator_filters=4, discriminator_filters=4)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "digits"
    model.compile()
    model.save_to_preset(path, recipe=RECIPE)
    return path


@pytest.fixture
def own(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "own")


def change_config(path, **changes):
    config = json.loads((path / "config.json").read_text()) | changes
    (path / "config.json").write_text(json.dumps(config))
    directory.write_sums(path)


def test_pictures_are_the_saved_model_s_to_the_bit(model, saved):
    again = kerasgen.DCGAN.from_preset(saved)
    np.testing.assert_array_equal(again.generate(20, seed=3), model.generate(20, seed=3))
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("variational", "sampler"),
    [
        (False, samplers.FlowSampler(4, couplings=2, hidden_units=8)),
        (False, samplers.MixtureSampler(4, components=3)),
        (True, samplers.NormalSampler(4)),
        (True, samplers.GaussianSampler(4)),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_an_autoencoder_s_sampler_comes_along(tmp_path, variational, sampler):
    model = kerasgen.ConvAutoencoder(
        (8, 8, 1), latent_dim=4, filters=4, variational=variational, sampler=sampler
    )
    pictures = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), np.uint8)
    model.fit_sampler(pictures)
    model.save_to_preset(tmp_path / "codes")
    again = kerasgen.ConvAutoencoder.from_preset(tmp_path / "codes")
    assert type(again.sampler) is type(model.sampler)
    images = model.generate(20, seed=3)
    np.testing.assert_array_equal(again.generate(20, seed=3), images)
    assert images.std(axis=0).max() > 0  # different codes, different pictures
    np.testing.assert_array_equal(again.encode(pictures), model.encode(pictures))
    np.testing.assert_array_equal(again.reconstruct(pictures), model.reconstruct(pictures))


def test_an_autoencoder_without_a_fitted_sampler_says_so_after_loading(tmp_path):
    model = kerasgen.ConvAutoencoder((8, 8, 1), latent_dim=4, filters=4, sampler="gaussian")
    model.save_to_preset(tmp_path / "codes")
    with pytest.raises(ValueError, match="fit_sampler"):
        kerasgen.from_preset(tmp_path / "codes").generate(2, seed=0)


@pytest.mark.parametrize("latent_dim", [0, 3])
def test_a_frame_generator_goes_on_as_before(tmp_path, latent_dim):
    model = kerasgen.ConvLSTMGenerator((16, 16, 1), filters=4, latent_dim=latent_dim)
    clips = np.random.default_rng(0).integers(0, 256, (3, 6, 16, 16, 1), np.uint8)
    model.save_to_preset(tmp_path / "frames", batch=clips)
    assert (tmp_path / "frames" / "samples.png").exists()
    again = kerasgen.ConvLSTMGenerator.from_preset(tmp_path / "frames")
    np.testing.assert_array_equal(
        again.generate(clips, 4, seed=1), model.generate(clips, 4, seed=1)
    )
    np.testing.assert_array_equal(again.predict_frames(clips, 4), model.predict_frames(clips, 4))
    futures = model.generate(clips, 4, seed=2)
    assert (futures != model.generate(clips, 4, seed=1)).any() == bool(latent_dim)
    assert directory.read_preset(tmp_path / "frames").preprocessing["height"] == 16


def test_float16_is_smaller_and_near(tmp_path):
    model = kerasgen.DCGAN((8, 8, 1), generator_filters=16, discriminator_filters=16)
    sizes = []
    for dtype in ("float32", "float16"):
        model.save_to_preset(tmp_path / dtype, dtype=dtype)
        sizes.append((tmp_path / dtype / "model.weights.h5").stat().st_size)
    assert sizes[1] < 0.65 * sizes[0]
    again = kerasgen.from_preset(tmp_path / "float16")
    difference = again.generate(8, seed=0).astype(int) - model.generate(8, seed=0)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("name", [*directory.FILES[:5], "samples.png", "SHA256SUMS"])
def test_a_flipped_byte_is_found_in_every_file(own, name):
    content = bytearray((own / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own / name).write_bytes(content)
    with pytest.raises(ValueError, match="damaged|SHA256SUMS"):
        kerasgen.from_preset(own)


def test_truncated_weights_are_told(own):
    weights = own / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short.*Expected.*Received"):
        kerasgen.from_preset(own)


def test_weights_that_are_no_hdf5_are_refused_though_their_hash_is_right(own):
    (own / "model.weights.h5").write_bytes(b"x" * json.loads(
        (own / "config.json").read_text())["weights"]["bytes"])  # fmt: skip
    directory.write_sums(own)
    with pytest.raises(ValueError, match="don't fit"):
        kerasgen.from_preset(own)


def test_a_newer_format_a_wrong_class_and_an_unknown_one(own):
    with pytest.raises(ValueError, match="is a DCGAN, not a ConvAutoencoder"):
        kerasgen.ConvAutoencoder.from_preset(own)
    assert isinstance(kerasgen.GenerativeModel.from_preset(own), kerasgen.DCGAN)
    change_config(own, format=2)
    with pytest.raises(ValueError, match="newer format.*upgrade"):
        kerasgen.from_preset(own)
    change_config(own, format=1, **{"class": "os.system"})
    with pytest.raises(ValueError, match="no model of this zoo"):
        kerasgen.from_preset(own)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 16},
        {"width": "8"},
        {"channels": 3},
        {"range": [0, 1]},
        {"crop": "auto"},
        {"range": None},
    ],
)
def test_preprocessing_that_is_not_the_model_s_is_refused(own, change):
    said = json.loads((own / "preprocessing.json").read_text())
    assert said == {"height": 8, "width": 8, "channels": 1, "range": [-1, 1], "crop": None}
    (own / "preprocessing.json").write_text(json.dumps(said | change))
    directory.write_sums(own)
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name}.*Received: {name}={re.escape(repr(value))}$"):
        kerasgen.from_preset(own)


@pytest.mark.parametrize(
    ("asked", "given", "recorded"),
    [("auto", None, None), ("auto", "random", "random"), ("random", None, "random"),
     (None, "center", "center"), (None, None, None)],
)  # fmt: skip
def test_the_crop_that_was_made_is_recorded(model, tmp_path, asked, given, recorded):
    source = {"data": "digits"} | ({} if asked is None else {"crop": asked})
    model.save_to_preset(tmp_path / "new", recipe={**RECIPE, "source": source}, crop=given)
    assert directory.read_preset(tmp_path / "new").preprocessing["crop"] == recorded


def test_names_and_places_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "names", lambda: ["dcgan_digits_32"])
    with pytest.raises(ValueError, match="Did you mean 'dcgan_digits_32'"):
        kerasgen.from_preset("dcgan_digit_32")
    with pytest.raises(FileNotFoundError, match="Received"):
        kerasgen.from_preset("./nowhere")
    with pytest.raises(FileNotFoundError, match="SHA256SUMS"):
        kerasgen.from_preset(tmp_path)
    with pytest.raises(TypeError, match="Received"):
        kerasgen.from_preset(3)


def test_arguments_can_be_replaced_unless_weights_depend_on_them(saved):
    assert kerasgen.from_preset(saved, instance_noise=0.5).instance_noise == 0.5
    with pytest.raises(ValueError, match="don't fit.*latent_dim"):
        kerasgen.from_preset(saved, latent_dim=5)
    with pytest.raises(TypeError, match="Did you mean 'seed'"):
        kerasgen.from_preset(saved, sed=5)


def test_nothing_is_overwritten_and_nothing_half_written(model, saved, tmp_path):
    with pytest.raises(FileExistsError, match="Received"):
        model.save_to_preset(saved)
    with pytest.raises(ValueError, match="dtype"):
        model.save_to_preset(tmp_path / "new", dtype="int8")
    with pytest.raises(ValueError, match="Received: crop='auto'"):
        model.save_to_preset(tmp_path / "new", crop="auto")
    assert not list(tmp_path.iterdir())


def test_the_hub_downloads_a_preset_s_files_only(saved, monkeypatch, own):
    calls = []

    def snapshot_download(**options):
        calls.append(options)
        if options["repo_id"] == "no/one":
            raise OSError("404")
        return str(saved)

    hub = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    collection._download.cache_clear()
    assert isinstance(kerasgen.from_preset("hf://user/digits@v1"), kerasgen.DCGAN)
    assert calls[0]["repo_id"] == "user/digits" and calls[0]["revision"] == "v1"
    assert set(calls[0]["allow_patterns"]) == {*directory.FILES, "SHA256SUMS"}
    with pytest.raises(FileNotFoundError, match="404"):
        kerasgen.from_preset("hf://no/one")
    with pytest.raises(ValueError, match="hf://user/name"):
        kerasgen.from_preset("hf://user")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install"):
        kerasgen.from_preset("hf://user/other")


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_damage_ends_well_or_with_an_error_of_our_own(saved, tmp_path_factory, data):
    path = shutil.copytree(saved, tmp_path_factory.mktemp("damaged") / "preset")
    name = data.draw(st.sampled_from(sorted(p.name for p in path.iterdir())))
    content = bytearray((path / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    how = data.draw(st.sampled_from(["cut", "flip", "insert", "remove"]))
    if how == "cut":
        del content[place:]
    elif how == "flip":
        content[place] ^= data.draw(st.integers(1, 255))
    elif how == "insert":
        content[place:place] = data.draw(st.binary(min_size=1, max_size=9))
    (path / name).write_bytes(content)
    if how == "remove":
        (path / name).unlink()
    with pytest.raises(KINDS):
        kerasgen.from_preset(path)
