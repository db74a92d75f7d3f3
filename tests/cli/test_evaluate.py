"""`kerasgen evaluate`: real runs on tiny settings against the panel by hand, and bad input."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.cli import main
from kerasgen.metrics import evaluate_panel

TINY = ["--set", "generator_filters=4", "--set", "discriminator_filters=4", "--set", "latent_dim=8"]
TRAIN = ["train", "dcgan", "--epochs", "1", "--no-evaluate", "--no-report", *TINY]

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:A Fréchet distance from", "ignore:fashion-cnn"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on digits with a validation split. Tests must not write into it."""
    path = tmp_path_factory.mktemp("trained") / "run"
    options = ["--data", "digits", "--image-size", "16", "--batch-size", "64"]
    # So that samples differ after a few steps.
    options += ["--set", "ema_decay=0.5", "--set", "learning_rate=0.02"]
    assert main([*TRAIN, *options, "--validation-split", "0.2", "--out", str(path)]) == 0
    return path


@pytest.fixture
def own(trained, tmp_path):
    """A copy of that run."""
    return shutil.copytree(trained, tmp_path / "own")


def save_pictures(folder, pictures, name="picture"):
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture.squeeze(-1)).save(folder / f"{name}{index}.png")


def noise(count, seed=0):
    shape = (count, 16, 16, 1)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pictures_of(source, split="train", **options):
    """All pictures of a source at 16x16, and labels where it has any."""
    dataset = kerasgen.data.load_images(
        source,
        split,
        image_size=16,
        channels=1,
        shuffle=False,
        drop_remainder=False,
        labels=options.pop("labels", True),
        **options,
    )
    return kerasgen.data.collect_images(dataset)


def facts_of(directory):
    assert {path.name for path in directory.iterdir()} == {"evaluation.json", "evaluation.png"}
    with Image.open(directory / "evaluation.png") as figure:
        figure.load()
        assert np.asarray(figure).std() > 10
    return json.loads((directory / "evaluation.json").read_text())


def state(directory):
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*")}


# What it computes


def test_values_are_the_panel_s_with_the_run_s_own_split(run, own):
    before = {path for path in own.rglob("*")}
    code, out, err = run("evaluate", own, "--num", 60, "--seed", 3)
    assert code == 0, err
    facts = facts_of(own / "evaluation")
    train, labels = pictures_of("digits", validation_split=0.2)
    held_out, _ = pictures_of("digits", "validation", validation_split=0.2)
    assert len(train) + len(held_out) == 1797 and abs(len(held_out) - 359) < 10
    model = keras.saving.load_model(own / "model.keras")
    assert model.generate(60, seed=3).std(0).mean() > 1
    panel = evaluate_panel(
        model.generate(60, seed=3),
        train,
        held_out,
        train_labels=labels,
        class_names=[str(digit) for digit in range(10)],
        seed=3,
    )
    expected = panel.to_dict()
    assert {"C_T", "authenticity", "classes"} < expected["measures"].keys()
    for name, row in expected["measures"].items():
        assert facts["measures"][name] == row, name
    assert facts["verdicts"] == expected["verdicts"]
    assert facts["classes"] == {name: list(pair) for name, pair in expected["classes"].items()}
    assert (facts["data"], facts["split"], facts["held_out"]) == ("digits", "train", "validation")
    assert facts["seed"] == 3 and facts["run"] == str(own)
    assert str(panel) in out
    assert f"Held out: {len(held_out)} pictures, split 'validation'." in out
    assert f"{own}/evaluation/evaluation.json" in out and "evaluation.png" in out
    new = {path.relative_to(own).as_posix() for path in own.rglob("*") if path not in before}
    assert new == {"evaluation", "evaluation/evaluation.json", "evaluation/evaluation.png"}


def test_data_overrides_the_run_s(run, own, tmp_path):
    """A folder with splits and one class: its test pictures are held out, classes not told."""
    save_pictures(tmp_path / "other" / "train" / "noise", noise(90))
    save_pictures(tmp_path / "other" / "test" / "noise", noise(50, seed=1))
    code, out, err = run("evaluate", own, "--data", "other", "--num", 25, "--out", "result")
    assert code == 0, err
    facts = facts_of(tmp_path / "result")
    assert (facts["data"], facts["split"], facts["held_out"]) == ("other", "train", "test")
    train, held_out = (pictures_of("other", split, labels=False)[0] for split in ("train", "test"))
    assert (len(train), len(held_out)) == (90, 50)
    model = keras.saving.load_model(own / "model.keras")
    expected = evaluate_panel(model.generate(25, seed=0), train, held_out).to_dict()
    assert facts["measures"] == expected["measures"]
    assert facts["classes"] is None
    assert not (own / "evaluation").exists()
    assert re.findall("Note: A Fréchet distance from 25 samples", out) == ["Note: " + (
        "A Fréchet distance from 25 samples")]  # fmt: skip


def test_a_keras_file_with_data(run, trained, tmp_path):
    """Too few held-out pictures, as nobody asked for them, are not used."""
    shutil.copy(trained / "model.keras", tmp_path / "model.keras")
    save_pictures(tmp_path / "few" / "train", noise(40))
    save_pictures(tmp_path / "few" / "test", noise(19, seed=1))
    code, out, err = run("evaluate", "model.keras", "--data", "few", "--num", 10)
    assert code == 0, err
    assert "Held out: 19 pictures, too few to compare with." in out
    facts = facts_of(tmp_path / "evaluation")
    assert facts["held_out"] is None and facts["classes"] is None
    assert "C_T" not in facts["measures"]
    assert facts["verdicts"][0].endswith("can't be told without held-out ones.")
    model = keras.saving.load_model("model.keras")
    train, _ = pictures_of("few", labels=False)
    expected = evaluate_panel(model.generate(10, seed=0), train).to_dict()
    assert facts["measures"] == expected["measures"]
    code, _, err = run(
        "evaluate", "model.keras", "--data", "few", "--num", 10, "--held-out", "test"
    )
    assert code == 2 and "at least 20 real pictures. Received: 19" in err


def test_of_a_large_folder_every_class_is_compared_with(run, own, tmp_path, monkeypatch):
    """The pictures come class by class, and there are more than the reference takes."""
    monkeypatch.setattr(evaluate_panel, "__defaults__", _with_reference_of(60))
    dark, bright = noise(150) // 3, 255 - noise(150, seed=1) // 3
    save_pictures(tmp_path / "two" / "a-dark", dark)
    save_pictures(tmp_path / "two" / "b-bright", bright)
    code, out, err = run("evaluate", own, "--data", "two", "--num", 40, "--out", "result")
    assert code == 0, err
    measures = facts_of(tmp_path / "result")["measures"]
    assert ", 40 vs 60" in measures["FD"]["protocol"]
    assert measures["classes"]["floor"] == 2
    assert list(facts_of(tmp_path / "result")["classes"]) == ["a-dark", "b-bright"]


def _with_reference_of(count):
    names = ("held_out", "train_labels", "class_names", "extractor", "num_reference", "seed")
    values = dict(zip(names, evaluate_panel.__defaults__, strict=True)) | {"num_reference": count}
    return tuple(values.values())


def test_a_second_evaluation_replaces_the_first_whole(run, own, monkeypatch):
    """Where the figure can't be written, the older one stays."""
    save_pictures(own / "pictures", noise(40))
    options = ["evaluate", own, "--data", own / "pictures", "--num", 20]
    assert run(*options)[0] == 0
    first = facts_of(own / "evaluation")
    figure = (own / "evaluation" / "evaluation.png").read_bytes()
    assert run(*options, "--seed", 1)[0] == 0
    second = facts_of(own / "evaluation")
    assert second["seed"] == 1 and second["measures"]["FD"] != first["measures"]["FD"]
    figure = (own / "evaluation" / "evaluation.png").read_bytes()

    def fill_up(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fill_up)
    code, _, err = run(*options, "--seed", 2)
    assert code == 2 and "No space left on device" in err and "Traceback" not in err
    assert (own / "evaluation" / "evaluation.png").read_bytes() == figure
    assert len(list((own / "evaluation").iterdir())) == 2


# Bad input: a clear error in one line, nothing on disk touched


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own", "--num", "3"], "`--num` must be at least 10. Received: 3"),
        (["own", "--num", "many"], "--num"),
        (["own", "--seed", "-1"], "`--seed` must be from 0"),
        (["own", "--seed", str(2**32)], "`--seed` must be from 0"),
        (["own", "--extractor", "fashion-cn"], "Did you mean 'fashion-cnn'"),
        (["own", "--extractor", "absent.pb"], "no file 'absent.pb'"),
        (["own", "--extractor", "text.pb"], "Not a TensorFlow graph"),
        (["own", "--held-out", "tset"], "no split of that name.*split='tset'"),
        (["own", "--held-out", "train"], "trained on that split.*--held-out train"),
        (["own", "--data", "nowhere/pictures"], "no folder 'nowhere/pictures'"),
        (["own", "--data", "few"], "at least 20 real pictures. Received: 19"),
        (["own", "--out", "text.pb"], "'text.pb' is no directory"),
        (["own", "--out", "text.pb/below/it"], "'text.pb' is no directory"),
        (["model.keras"], "--data SOURCE.*Received: 'model.keras'"),
        (["untrained"], "did its training end?.*Received: 'untrained'"),
        (["nowhere"], "run directory with a model.keras.*Received: 'nowhere'"),
        (["damaged"], "'damaged/config.json' can't be read"),
        ([], "RUN"),
    ],
)
def test_bad_input(run, own, tmp_path, arguments, message):
    shutil.copy(own / "model.keras", tmp_path / "model.keras")
    for name in ("untrained", "damaged"):
        (tmp_path / name).mkdir()
    shutil.copy(own / "config.json", tmp_path / "untrained")
    shutil.copy(own / "model.keras", tmp_path / "damaged")
    (tmp_path / "damaged" / "config.json").write_text("{")
    (tmp_path / "text.pb").write_text("a text, and no graph")
    save_pictures(tmp_path / "few", noise(19))
    before = state(tmp_path)
    code, _, err = run("evaluate", *arguments)
    assert code == 2
    assert re.search(message, err), err
    if "usage" not in err:
        assert err.count("\n") == 1 and err.startswith("kerasgen: error: ")
    assert state(tmp_path) == before
