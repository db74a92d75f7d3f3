"""Hostile input of all kinds ends well or with an error of kerasgen's own, and damages nothing.

`KERASGEN_FUZZ=600` tries that many cases of each kind.
"""

import json
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import kerasgen
from kerasgen.callbacks import backup_file
from kerasgen.cli import UserError, main, runs, train

CASES = int(os.environ.get("KERASGEN_FUZZ", 25))
fuzz = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@st.composite
def damaged(draw, content):
    """Bytes cut short, or with some changed, or with some put in."""
    content = bytearray(content)
    how = draw(st.sampled_from(["cut", "flip", "insert", "nothing"]))
    places = st.integers(0, len(content) - 1)
    if how == "cut":
        del content[draw(places) :]
    elif how == "flip":
        for place in draw(st.lists(places, min_size=1, max_size=8)):
            content[place] ^= draw(st.integers(1, 255))
    elif how == "insert":
        content[(place := draw(places)) : place] = draw(st.binary(min_size=1, max_size=40))
    return bytes(content)


# === Backups ===

FACTS = {"epoch": 3, "step": 2, "callbacks": {"History-0": {"dict": []}}}
ARRAYS = {"model/0": np.arange(12, dtype=np.float32).reshape(3, 4), "model/1": np.int64(7)}


@pytest.fixture(scope="module")
def backup(tmp_path_factory):
    directory = tmp_path_factory.mktemp("backup")
    backup_file.write(directory, FACTS, ARRAYS)
    return (directory / backup_file.NAME).read_bytes()


@fuzz
@given(data=st.data())
def test_damaged_backups_are_recognised(backup, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "state.kgb"
    content = data.draw(damaged(backup))
    path.write_bytes(content)
    if content == backup:
        facts, arrays = backup_file.read(path)
        assert facts == FACTS and (arrays["model/0"] == ARRAYS["model/0"]).all()
    else:
        with pytest.raises(backup_file.BackupError):
            backup_file.read(path)


@fuzz
@given(head=json_values, rest=st.binary(max_size=64))
def test_foreign_backups_with_a_right_checksum_are_recognised(tmp_path_factory, head, rest):
    path = tmp_path_factory.mktemp("foreign") / "state.kgb"
    backup_file.write_parts(path, json.dumps(head).encode(), [rest])
    with pytest.raises(backup_file.BackupError):
        backup_file.read(path)


# === Pictures ===


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (24, 20, 3)).astype(np.uint8))
    kinds = {}
    for kind in ("png", "jpg", "webp", "bmp", "gif"):
        image.save(folder / f"picture.{kind}")
        kinds[kind] = (folder / f"picture.{kind}").read_bytes()
    return kinds


@fuzz
@given(data=st.data())
def test_damaged_pictures_are_named_and_left_out(encoded, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("pictures")
    kind = data.draw(st.sampled_from(sorted(encoded)))
    (folder / "a.png").write_bytes(encoded["png"])
    (folder / "b.png").write_bytes(encoded["png"])
    (folder / f"damaged.{kind}").write_bytes(data.draw(damaged(encoded[kind])))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = kerasgen.data.load_images(folder, image_size=16, channels=3, batch_size=2)
    assert dataset.num_images == 3 or any("damaged" in str(w.message) for w in caught)
    assert dataset.num_images >= 2


# === Models ===


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model = kerasgen.DCGAN((8, 8, 1), latent_dim=2, generator_filters=2, discriminator_filters=2)
    model.compile()
    model.save(path)
    return path.read_bytes()


@settings(fuzz, max_examples=max(5, CASES // 5))
@given(data=st.data())
def test_damaged_models_are_refused(model_file, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("models") / "model.keras"
    path.write_bytes(data.draw(damaged(model_file)))
    try:
        model, _ = runs.load_run(str(path))
    except UserError:
        return
    assert isinstance(model, kerasgen.GenerativeModel)


# === Settings and arguments ===


@fuzz
@given(content=json_values.map(json.dumps) | st.text() | st.binary())
def test_any_config_is_read_or_refused(tmp_path_factory, content):
    run = tmp_path_factory.mktemp("run")
    content = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (run / "config.json").write_bytes(content)
    try:
        assert set(runs.read_config(str(run))) == {"arguments", "data"}
    except UserError:
        pass
    assert (run / "config.json").read_bytes() == content


words = st.sampled_from(
    ["-1", "0", "1", "2", "8", "16x8", "1e9", "nan", "", "digits", "moving_digits", "auto", "é"]
)
names = st.sampled_from(["latent_dim", "filters", "loss", "learning_rate", "nothing", "augment"])
options = st.one_of(
    st.tuples(
        st.sampled_from(
            ["--epochs", "--minutes", "--image-size", "--channels", "--batch-size", "--num-frames"]
            + ["--stride", "--frame-step", "--split", "--validation-split", "--crop", "--seed"]
            + ["--precision", "--sample-every", "--devices", "--data-dir"]
        ),
        words,
    ),
    st.tuples(st.sampled_from(["--labels", "--flip", "--strict", "--no-evaluate", "--new"])),
    st.builds(lambda name, value: ("--set", f"{name}={value}"), names, words),
    st.tuples(words),
)


@fuzz
@given(
    command=st.sampled_from(["train", "generate", "reconstruct", "evaluate", "export"]),
    model=st.sampled_from(["autoencoder", "convlstm", "dcgan", "gan"]),
    source=st.sampled_from(["digits", "moving_digits", "nowhere", ""]),
    more=st.lists(options, max_size=4),
)
def test_any_arguments_end_with_a_code(
    tmp_path_factory, monkeypatch_module, command, model, source, more
):
    place = tmp_path_factory.mktemp("arguments")
    monkeypatch_module.chdir(place)
    flat = [word for option in more for word in option]
    if command == "train":
        flat = ["train", model, "--data", source, *flat, "--out", str(place / "run")]
    else:
        flat = [command, str(place / source), *flat]
    try:
        code = main(flat)
    except SystemExit as error:  # argparse's
        code = error.code
    assert code in (0, 2)
    if code == 2:
        assert not (place / "run").exists()


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Trainings end before their first step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_train", lambda *arguments: 0)
        yield patch
