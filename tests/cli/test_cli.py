"""The command line: real runs on tiny settings, real signals, and bad input."""

import collections
import csv
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kerasgen
from kerasgen.cli import main

TINY = ["--set", "generator_filters=4", "--set", "discriminator_filters=4", "--set", "latent_dim=8"]
REPORTED = ["train", "dcgan", "--data", "digits", "--image-size", "8", "--batch-size", "256", *TINY]
DIGITS = [*REPORTED, "--no-report"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "run"
    assert main([*REPORTED, "--epochs", "3", "--seed", "4", "--out", str(path)]) == 0
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


# === train ===


def test_the_model_kept_is_the_one_with_the_least_distance(trained):
    lines = [json.loads(line) for line in (trained / "evaluations.jsonl").read_text().splitlines()]
    evaluator = kerasgen.metrics.Evaluator(
        kerasgen.data.load_images("digits", image_size=8, batch_size=256, seed=4)
    )
    model = keras.saving.load_model(trained / "model.keras")
    found = evaluator.evaluate(model.generate(evaluator.num_samples, seed=0))
    assert found["fd"] == pytest.approx(min(line["fd"] for line in lines), rel=1e-6)
    assert evaluator.protocol == lines[0]["protocol"]
    assert evaluator.floor == pytest.approx(lines[0]["floor"], rel=1e-6)


def test_no_evaluate_keeps_the_last_weights(run, tmp_path):
    assert run(*DIGITS, "--epochs", 1, "--no-evaluate", "--out", tmp_path / "run")[0] == 0
    assert not (tmp_path / "run" / "evaluations.jsonl").exists()
    assert "fd" not in (tmp_path / "run" / "history.csv").read_text()


def test_a_run_directory_holds_everything(trained):
    assert {path.name for path in trained.iterdir()} == {
        ".lock",
        "config.json",
        "evaluations.jsonl",
        "history.csv",
        "model.keras",
        "report",
        "report.html",
        "samples",
        "saved_model",
    }
    config = json.loads((trained / "config.json").read_text())
    assert config["arguments"]["seed"] == 4
    assert config["model"]["class"] == "DCGAN"
    assert config["model"]["config"]["generator_filters"] == 4
    assert config["data"]["num_images"] == 1797
    assert config["versions"]["tensorflow"] == tf.__version__
    data = kerasgen.data.load_images("digits", image_size=8)
    assert config["data"]["fingerprint"] == data.fingerprint
    with open(trained / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    lines = (trained / "evaluations.jsonl").read_text().splitlines()
    evaluations = [json.loads(line) for line in lines]
    assert [float(row["fd"]) for row in rows] == [line["fd"] for line in evaluations]
    assert all(np.isfinite(float(row["discriminator_loss"])) for row in rows)
    names = sorted(path.name for path in (trained / "samples").iterdir())
    assert names == [
        *(f"samples-epoch-000{epoch}.png" for epoch in (1, 2, 3)),
        "samples-latest.png",
        "samples.gif",
    ]


def test_the_report_is_of_the_ended_run(run, trained, tmp_path):
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert "Training has ended: 3 epochs, 21 steps" in page
    # As in an epoch, which leaves out an incomplete last batch.
    for part in ("Latent walk", "among 1,792 of the 1,797 training pictures", "generate_png"):
        assert part in page
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    shutil.rmtree(copy / "report")
    (copy / "report.html").unlink()
    code, out, _ = run("report", copy)  # makes again what the training had made
    assert code == 0 and f"{copy / 'report.html'}" in out
    assert (copy / "report" / "walk.png").read_bytes() == (
        trained / "report" / "walk.png"
    ).read_bytes()
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "among 1,797 of the 1,797 training pictures" in page


def test_the_saved_models_are_the_trained_one(trained):
    model = keras.saving.load_model(trained / "model.keras")
    assert int(model.step) == 3 * (1797 // 256)
    served = tf.saved_model.load(trained / "saved_model" / "1").signatures["generate_png"]
    png = served(seed=tf.constant([9], tf.int64))["image_bytes"][0]
    np.testing.assert_array_equal(tf.io.decode_png(png), model.generate(1, seed=9)[0])


def test_the_command_is_load_compile_and_fit(trained):
    """What the command does is what a few lines of Python do, to the bit."""
    data = kerasgen.data.load_images("digits", image_size=8, batch_size=256, seed=4)
    model = kerasgen.DCGAN(
        (8, 8, 1), latent_dim=8, generator_filters=4, discriminator_filters=4, seed=4
    )
    model.compile()
    model.fit(data, epochs=3, verbose=0)
    saved = keras.saving.load_model(trained / "model.keras")
    for a, b in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_defaults_number_the_runs_and_tell_what_was_chosen(run, tmp_path):
    for number in ("0001", "0002"):
        code, out, _ = run(*DIGITS, "--epochs", "1", "--sample-every", "1")
        assert code == 0
        directory = tmp_path / "runs" / f"{number}-dcgan-digits"
        for path in ("samples/samples-latest.png", "samples/samples.gif", "model.keras"):
            assert (directory / path).is_file()
            assert f"runs/{number}-dcgan-digits/{path}" in out
        assert f"runs/{number}-dcgan-digits/saved_model/1" in out
    assert "digits, 1797 grey pictures of 8x8 pixels" in out
    assert "Epoch" not in out and "\r" not in out  # no terminal


def test_size_channels_and_classes_come_from_a_folder(run, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(8):
            array = rng.integers(0, 256, (24, 20, 3)).astype(np.uint8)
            Image.fromarray(array).save(tmp_path / "pets" / name / f"{index}.png")
    (tmp_path / "pets" / "cat" / "broken.png").write_bytes(b"no picture")
    code, out, err = run(
        *("train", "dcgan", "--data", "pets", "--epochs", 1, "--batch-size", 4, "--labels"),
        *("--validation-split", 0.25, "--flip", "--out", "run", *TINY),
    )
    assert code == 0, err
    assert "colour pictures of 24x20 pixels; their own size" in out
    assert "broken.png" in err and err.count("Left out") == 1
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert model.image_shape == (24, 20, 3) and model.num_classes == 2
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["class_names"] == ["cat", "dog"]
    assert config["data"]["num_images"] == 12
    assert "val_discriminator_loss" in (tmp_path / "run" / "history.csv").read_text()


def test_minutes_bound_the_training(run, tmp_path):
    code, out, _ = run(*DIGITS, "--minutes", "0.02", "--out", "run")
    assert code == 0
    steps = int(re.search(r"Trained (\d+) steps", out)[1])
    assert steps == int(keras.saving.load_model(tmp_path / "run" / "model.keras").step) > 0


def test_settings_reach_model_and_compile(run, tmp_path):
    code, _, err = run(
        *DIGITS, "--epochs", 1, "--out", "run", "--precision", "mixed_bfloat16",
        *("--set", "learning_rate=0.002", "--set", "ema_decay=0.5"),
    )  # fmt: skip
    assert code == 0, err
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert float(model.generator_optimizer.learning_rate) == pytest.approx(0.002)
    assert model.ema_decay == 0.5 and model.latent_dim == 8
    assert model.dtype_policy.name == "mixed_bfloat16"


# === Ctrl-C and kill ===


def wait_for(path, child, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert child.poll() is None, child.communicate(timeout=60)[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_ctrl_c_ends_cleanly_with_everything_saved(tmp_path):
    command = [sys.executable, "-m", "kerasgen.cli", *DIGITS, "--epochs", "100000"]
    child = subprocess.Popen(
        [*command, "--sample-every", "1", "--out", tmp_path / "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(tmp_path / "run" / "samples" / "samples-epoch-0002.png", child)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 130, out
    assert "Traceback" not in out
    assert "Stopping after this step and saving" in out
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert f"Trained {int(model.step)} steps" in out
    assert (tmp_path / "run" / "samples" / "samples.gif").exists()
    assert (tmp_path / "run" / "saved_model" / "1" / "saved_model.pb").exists()
    with open(tmp_path / "run" / "history.csv") as file:
        assert len(list(csv.DictReader(file))) >= 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_same_command_resumes_what_was_killed(run, trained, forks, tmp_path, number):
    arguments = [*REPORTED, "--epochs", 3, "--seed", 4, "--out", tmp_path / "run"]
    child = forks.start("-m", "kerasgen.cli", *arguments, merge=True)
    wait_for(tmp_path / "run" / "config.json", child)
    code, _, error = run(*arguments)
    assert code == 2 and "Another training is writing to" in error
    wait_for(tmp_path / "run" / "samples" / "samples-epoch-0002.png", child)
    child.send_signal(number)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == (143 if number == signal.SIGTERM else -number), out
    assert not (tmp_path / "run" / "model.keras").exists()
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"Training hasn&#39;t ended: [12] epochs?, (7|14) steps", page)
    for path in (p for p in (tmp_path / "run").rglob("*") if p.is_file() and p.name[0] != "."):
        if path.suffix == ".png":
            assert pixels(path).shape == (530, 530)
    json.loads((tmp_path / "run" / "config.json").read_text())
    code, _, error = run(*arguments[:-2], "--set", "ema_decay=0.5", *arguments[-2:])
    assert code == 2 and "other settings: --settings" in error
    code, out, _ = run(*arguments)
    assert code == 0
    if number == signal.SIGTERM:
        assert re.search(r"Resuming from .*epoch [23], step", out)
    runs = (tmp_path / "run", trained)
    resumed, whole = (keras.saving.load_model(path / "model.keras") for path in runs)
    for a, b in zip(resumed.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("history.csv", "evaluations.jsonl"):
        ours, theirs = ((path / name).read_text().splitlines() for path in runs)
        assert len(ours) == len(theirs)
        if name == "history.csv":
            assert ours == theirs
        else:  # with times
            assert [json.loads(a)["fd"] for a in ours] == [json.loads(b)["fd"] for b in theirs]
    assert not (tmp_path / "run" / "backup").exists()
    code, _, error = run(*arguments)
    assert code == 2 and "holds a run that has ended" in error


def test_new_makes_a_run_beside_a_taken_one(run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    code, _, error = run(*DIGITS, "--epochs", 1, "--out", tmp_path / "run")
    assert code == 2 and "nothing is overwritten" in error
    arguments = ("--epochs", 1, "--no-evaluate", "--out", tmp_path / "run", "--new")
    assert run(*DIGITS, *arguments)[0] == 0
    assert (tmp_path / "run-2" / "model.keras").exists()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


# === generate and export ===


def test_generate_writes_the_model_s_pictures(run, trained, tmp_path):
    model = keras.saving.load_model(trained / "model.keras")
    code, out, _ = run("generate", trained, "--num", 5, "--seed", 3, "--out", "grid.png")
    assert code == 0 and "5 pictures: grid.png" in out
    grid = pixels(tmp_path / "grid.png")
    images = model.generate(5, seed=3).repeat(8, 1).repeat(8, 2)[..., 0]
    assert grid.shape == (2 * 66 + 2, 3 * 66 + 2)
    np.testing.assert_array_equal(grid[2:66, 2:66], images[0])
    np.testing.assert_array_equal(grid[68:132, 68:132], images[4])
    assert (grid[68:132, 134:198] == 255).all()
    code, _, _ = run("generate", trained / "model.keras", "--num", 3, "--seed", 3, "--out", "many")
    assert code == 0
    files = sorted((tmp_path / "many").iterdir())
    assert [file.name for file in files] == ["00000.png", "00001.png", "00002.png"]
    for file, image in zip(files, model.generate(3, seed=3), strict=True):
        np.testing.assert_array_equal(pixels(file), image[..., 0])


def test_export_numbers_versions_below_the_run_s_name(run, trained, tmp_path):
    code, out, _ = run("export", trained, "--out", "models")
    assert code == 0 and "models/run/1 (decode" in out
    assert "models/run/SERVING.md" in out and "models/models.config" in out
    assert "Note" not in out
    arguments = ("--name", "digits", "--model-version", 7, "--no-warmup")
    code, out, _ = run("export", trained, "--out", "models", *arguments)
    assert code == 0 and "models/digits/7" in out
    for path in ("run/1", "digits/7"):
        signatures = tf.saved_model.load(tmp_path / "models" / path).signatures
        assert {"serving_default", "decode", "generate_png"} < set(signatures)
        warm = (tmp_path / "models" / path / "assets.extra").exists()
        assert warm == (path == "run/1")
    config = (tmp_path / "models" / "models.config").read_text()
    assert config.index('name: "digits"') < config.index('name: "run"')
    before = sorted((tmp_path / "models").rglob("*"))
    for wrong, message in (
        (arguments, "Version 7 exists"),
        (("--model-version", 0), "positive whole number"),
        (("--name", ".."), "plain name"),
        (("--out", "models/models.config"), "Can't export"),
    ):
        code, _, error = run("export", trained, "--out", "models", *wrong)
        assert code == 2 and message in error
    assert sorted((tmp_path / "models").rglob("*")) == before


def test_export_of_an_untrained_model_asks(run, tmp_path):
    model = kerasgen.ConvAutoencoder((8, 8, 1), latent_dim=2, filters=2)
    model.save(tmp_path / "new.keras")
    code, _, error = run("export", "new.keras", "--out", "models")
    assert code == 2 and "never took a step" in error and "with --untrained" in error
    assert not (tmp_path / "models").exists()
    code, out, _ = run("export", "new.keras", "--out", "models", "--untrained", "--no-warmup")
    assert code == 0 and "Note: It doesn't generate: no sampler was fitted" in out


# === Bad input: a clear error before any work, nothing on disk touched ===


def bad_train(*changes, data="digits"):
    return ["train", "dcgan", "--data", data, "--epochs", "1", *TINY, *changes]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (bad_train(data="nowhere/pictures"), "no folder 'nowhere/pictures'"),
        (bad_train(data="empty"), "is empty"),
        (bad_train(data="texts"), r"holds only \.txt files"),
        (bad_train(data="texts/a.txt"), "this is a file"),
        (bad_train(data="fashion_mnits"), "fashion_mnist"),
        (bad_train(data="fashion_mnist"), "--download"),
        (bad_train("--split", "tset"), "split='tset'"),
        (bad_train("--image-size", "0"), "image_size=0"),
        (bad_train("--image-size", "-32"), "image_size=-32"),
        (bad_train("--image-size", "30"), "28 or 32"),
        (bad_train("--image-size", "big"), "expected 64 or 48x64"),
        (bad_train("--channels", "7"), "channels=7"),
        (bad_train("--batch-size", "2000"), "don't fill one batch"),
        (bad_train("--batch-size", "0"), "batch_size=0"),
        (bad_train("--labels", data="flat"), "Labels asked of folder"),
        (bad_train("--validation-split", "1.5"), "validation_split=1.5"),
        (bad_train("--set", "generator_filter=8"), "Did you mean 'generator_filters'"),
        (bad_train("--set", "learning_rate"), "NAME=VALUE"),
        (bad_train("--set", "latent_dim=none"), "latent_dim='none'"),
        (bad_train("--set", "loss=hinged"), "non_saturating"),
        (bad_train("--set", "learning_rate=-1"), "learning_rate=-1"),
        (bad_train("--minutes", "3"), "not allowed with argument"),
        (bad_train("--epochs", "0"), "`--epochs` must be at least 1"),
        (bad_train("--sample-every", "0"), "`--sample-every`"),
        (["train", "dcgan", "--data", "digits", "--minutes", "0"], "`--minutes`"),
        (["train", "dcgam", "--data", "digits"], "dcgan"),
        (["train", "dcgan"], "--data"),
        (["generate", "texts"], "model.keras"),
        (["generate", "nowhere"], "Received: 'nowhere'"),
        (["generate", "torn.keras"], "can't be loaded"),
        (["generate", "texts", "--out", "a.jpg"], "a.jpg"),
        (["generate", "texts", "--num", "0"], "--num"),
        (["generate", "texts", "--out", "flat"], "holds something already"),
        (["export", "texts"], "model.keras"),
        (["export", "texts", "--name", "../away"], "plain name"),
    ],
)
def test_bad_input(run, tmp_path, arguments, message):
    for folder in ("empty", "texts", "flat"):
        (tmp_path / folder).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "torn.keras").write_bytes(b"PK\x03\x04 torn")
    for index in range(70):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / "flat" / f"{index}.png")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, _, err = run(*arguments)
    assert code == 2
    assert re.search(message, err), err
    assert "Traceback" not in err
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_another_run_is_never_overwritten(run, trained):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    code, _, err = run(*DIGITS, "--epochs", "1", "--out", trained)
    assert code == 2 and "never overwritten" in err
    assert before == {path: path.stat().st_mtime_ns for path in trained.rglob("*")}


def test_a_full_disk_is_found_before_training(run, tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    code, _, err = run(*DIGITS, "--epochs", "1", "--out", "run")
    assert code == 2 and "MB free" in err
    assert not (tmp_path / "run").exists()


def test_a_disk_that_fills_up_meanwhile_keeps_what_is_whole(run, tmp_path, monkeypatch):
    original = pathlib.Path.write_text

    def fail(path, *arguments, **options):
        original(path, "half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", fail)
    code, _, err = run(*DIGITS, "--epochs", "1", "--out", "run")
    assert code == 2 and "No space left on device" in err
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_a_place_that_can_not_be_written_to_is_named(run, monkeypatch):
    def refuse(path, **options):
        raise PermissionError(13, "Read-only file system", str(path))

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    code, _, err = run(*DIGITS, "--epochs", "1", "--out", "run")
    assert code == 2 and "Can't make the run directory" in err and "Read-only" in err


def test_no_command_shows_the_help(run):
    code, out, _ = run()
    assert code == 2 and "train" in out
