"""A frame generator on the command line: trained on clips, evaluated, and continuing a clip."""

import csv
import json
import re

import keras
import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.cli import main

TINY = ["--set", "filters=(4,)", "--set", "kernel_size=3", "--image-size", "16", "--num-frames", 6]
DIGITS = ["train", "convlstm", "--data", "moving_digits", "--no-report", *TINY]


def moving_square(frames=60, height=20, width=24):
    """A square on its way, uint8 `(T, H, W, 1)`."""
    clip = np.full((frames, height, width, 1), 30, np.uint8)
    for time in range(frames):
        top, left = time % (height - 8), 2 * time % (width - 8)
        clip[time, top : top + 8, left : left + 8] = 220
    return clip


def write_frames(folder, clip):
    folder.mkdir(parents=True)
    for index, frame in enumerate(clip):
        Image.fromarray(frame[..., 0]).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("source") / "square", moving_square())


@pytest.fixture(scope="module")
def trained(tmp_path_factory, source):
    path = tmp_path_factory.mktemp("trained") / "run"
    arguments = ["train", "convlstm", "--data", source, "--validation-split", 0.5, *TINY]
    arguments += ["--batch-size", 4, "--epochs", 2, "--frame-step", 2, "--stride", 1]
    assert main([str(a) for a in [*arguments, "--seed", 4, "--out", path]]) == 0
    return path


@pytest.fixture(scope="module")
def stochastic(tmp_path_factory):
    path = tmp_path_factory.mktemp("stochastic") / "stochastic.keras"
    model = kerasgen.ConvLSTMGenerator((16, 16, 1), 4, (4,), 3, latent_dim=2, context_frames=3)
    model.save(path)
    return path


def held_out(source):
    return kerasgen.data.load_frames(
        source, "validation", num_frames=6, image_size=16, shuffle=False, frame_step=2,
        validation_split=0.5,
    )  # fmt: skip


def film(path):
    with Image.open(path) as image:
        frames = []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("L")))
    return np.stack(frames)


def cells(strip, columns, side=16):
    """The pictures of a strip, enlarged as `grid_image` does it."""
    factor = 64 // side
    step = 64 + 2
    return [strip[2:66, 2 + step * i : 66 + step * i][::factor, ::factor] for i in range(columns)]


# === train ===


def test_a_run_directory_holds_predictions_rollouts_and_horizons(trained, source):
    assert {path.name for path in trained.iterdir()} == {
        ".lock",
        "config.json",
        "history.csv",
        "horizons.json",
        "horizons.png",
        "model.keras",
        "report.html",
        "samples",
        "saved_model",
    }
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert "Skill " in page and 'alt="rollouts of run, an animation"' in page
    names = {path.name for path in (trained / "samples").iterdir()}
    assert names == {
        "predictions-epoch-0001.png",
        "predictions-epoch-0002.png",
        "predictions-latest.png",
        "predictions.gif",
        "rollouts-latest.gif",
    }
    with open(trained / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and all(float(row["val_loss"]) > 0 for row in rows)
    config = json.loads((trained / "config.json").read_text())
    assert config["arguments"]["num_frames"] == 6 and config["arguments"]["batch_size"] == 4
    assert config["model"]["class"] == "ConvLSTMGenerator"
    assert config["data"]["image_shape"] == [16, 16, 1]


def test_the_command_is_load_compile_and_fit(trained, source):
    data = kerasgen.data.load_frames(
        source, num_frames=6, image_size=16, frame_step=2, stride=1, validation_split=0.5,
        batch_size=4, seed=4,
    )  # fmt: skip
    model = kerasgen.ConvLSTMGenerator((16, 16, 1), filters=(4,), kernel_size=3, seed=4)
    model.compile()
    model.fit(data, epochs=2, verbose=0)
    saved = keras.saving.load_model(trained / "model.keras")
    for a, b in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_weights_that_continue_held_out_clips_best_are_kept(run, source, tmp_path):
    arguments = ["train", "convlstm", "--data", source, "--validation-split", 0.5, *TINY]
    arguments += ["--set", "ema_decay=0.0", "--set", "learning_rate=0.3", "--batch-size", 8]
    code, out, err = run(*arguments, "--frame-step", 2, "--epochs", 6, "--out", "run")
    assert code == 0, err
    with open(tmp_path / "run" / "history.csv") as file:
        found = [float(row["val_psnr"]) for row in csv.DictReader(file)]
    assert max(found) > found[-1], "the rate is too low for this test"
    assert "val_psnr" in out
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    kept = model.evaluate(held_out(source), verbose=0, return_dict=True)["psnr"]
    np.testing.assert_allclose(kept, max(found), rtol=1e-5)


def test_a_training_that_diverges_says_so_and_saves_no_model(run, source, tmp_path):
    arguments = ["train", "convlstm", "--data", source, "--no-report", *TINY, "--frame-step", 2]
    arguments += ["--set", "learning_rate=1e38", "--batch-size", 8, "--epochs", 2]
    code, out, err = run(*arguments, "--out", "run")
    assert code == 2 and "diverged" in err and "learning_rate" in err
    assert not (tmp_path / "run" / "model.keras").exists()


def test_the_horizons_are_those_of_the_held_out_clips(trained, source):
    model = keras.saving.load_model(trained / "model.keras")
    quality, _ = kerasgen.metrics.evaluate_frames(model, held_out(source))
    found = json.loads((trained / "horizons.json").read_text())
    assert found["held_out"] == "validation" and found["context_frames"] == 3
    assert found["num_clips"] == held_out(source).num_clips == 2
    assert found["model"] == quality.to_dict()["model"]
    assert found["skill"] == list(quality.skill)


def test_moving_digits_have_held_out_clips_of_their_own(run, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasgen.data.frames.TRAINING_CLIPS", 20)
    monkeypatch.setattr("kerasgen.data.frames.FIXED_CLIPS", 8)
    settings = ["--set", "patch_size=3", "--image-size", 18, "--set", "latent_dim=2"]
    settings += ["--num-frames", 4]
    code, out, err = run(*DIGITS, *settings, "--epochs", 1, "--out", "run")
    assert code == 0, err
    assert "Training on 20 sequences of 4 frames of 18x18 pixels" in out and "8 held out" in out
    assert re.search(r"horizon +mse +frame_sse", out) and "Best of 10 futures" in out
    assert len(json.loads((tmp_path / "run" / "horizons.json").read_text())["skill"]) == 2
    assert (tmp_path / "run" / "samples" / "futures-latest.png").is_file()
    assert keras.saving.load_model(tmp_path / "run" / "model.keras").patch_size == 3


def test_minutes_and_no_evaluation(run, tmp_path, source):
    arguments = ["train", "convlstm", "--data", source, "--no-report", *TINY, "--batch-size", 4]
    code, out, _ = run(*arguments, "--minutes", 0.01, "--no-evaluate", "--out", "run")
    assert code == 0 and "Horizons" not in out
    assert not (tmp_path / "run" / "horizons.json").exists()


# === evaluate ===


def test_evaluate_measures_the_horizons(run, trained):
    code, out, err = run("evaluate", trained, "--num", 10)
    assert code == 0, err
    assert "Held out: 2 clips, split 'validation'" in out
    found = json.loads((trained / "evaluation" / "horizons.json").read_text())
    known = json.loads((trained / "horizons.json").read_text())
    assert found["model"] == known["model"]
    assert (trained / "evaluation" / "horizons.png").is_file()
    assert f"{found['model']['mse'][0]:.4g}" in out


def test_evaluate_on_other_clips_says_which(run, trained, tmp_path):
    write_frames(tmp_path / "other", moving_square(30)[::-1])
    code, out, err = run("evaluate", trained, "--data", "other", "--out", "results")
    assert code == 0, err
    assert "No held-out split: measuring with split 'train'" in out
    found = json.loads((tmp_path / "results" / "horizons.json").read_text())
    assert found["data"] == "other" and found["num_clips"] == 20
    code, _, err = run("evaluate", trained, "--extractor", "fashion-cnn")
    assert code == 2 and "--extractor" in err


# === generate ===


def test_a_folder_of_frames_is_continued_from_its_last(run, trained, source, tmp_path):
    """Read in the pace of the training: every other frame, the last one included."""
    model = keras.saving.load_model(trained / "model.keras")
    past = kerasgen.data.load_clip(source, image_size=16, frame_step=2)[-3:]
    expected = model.predict_frames(past[None], 7)[0]
    code, out, err = run("generate", trained, "--context", source, "--num-frames", 7)
    assert code == 0 and "7 frames after 3 known ones" in out, err
    shown = film(tmp_path / "frames.gif")[:, 2:66:4, 2:66:4]
    assert len(shown) == 10
    np.testing.assert_allclose(shown, np.concatenate([past, expected])[..., 0], atol=4)
    code, *_ = run("generate", trained, "--context", source, "--num-frames", 2, "--out", "many")
    assert code == 0
    files = sorted((tmp_path / "many").iterdir())
    assert [file.name for file in files] == ["00000.png", "00001.png"]
    for file, frame in zip(files, expected, strict=False):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), frame[..., 0])


def test_a_film_strip_of_a_video_s_end(run, trained, tmp_path):
    frames = [Image.fromarray(frame[..., 0]) for frame in moving_square(9)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    arguments = ["--context", "clip.gif", "--context-frames", 1, "--num-frames", 2]
    code, out, err = run("generate", trained, *arguments, "--out", "strip.png")
    assert code == 0 and "2 frames after 1 known ones" in out, err
    past = kerasgen.data.load_clip(tmp_path / "clip.gif", 16, 1)[-1:]
    expected = keras.saving.load_model(trained / "model.keras").predict_frames(past[None], 2)[0]
    known, gap, *generated = cells(np.asarray(Image.open(tmp_path / "strip.png")), 4)
    np.testing.assert_array_equal(known, past[0, ..., 0])
    assert (gap == 255).all()
    np.testing.assert_array_equal(generated, expected[..., 0])


def test_several_futures_of_moving_digits(run, stochastic, tmp_path):
    model = keras.saving.load_model(stochastic)
    past = kerasgen.data.load_clip("moving_digits", image_size=16)[-3:]
    expected = model.generate(np.repeat(past[None], 2, axis=0), 10, seed=5)
    arguments = ["--context", "moving_digits", "--num", 2, "--seed", 5, "--out", "futures"]
    code, _, err = run("generate", stochastic, *arguments)
    assert code == 0, err
    for index in range(2):
        found = kerasgen.data.load_clip(tmp_path / "futures" / f"{index:02d}")
        np.testing.assert_array_equal(found, expected[index])


# === Bad input ===


def bad_train(*changes, data="clip"):
    return ["train", "convlstm", "--data", data, "--epochs", 1, *TINY, *changes]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (bad_train("--crop", "random"), "`--crop` goes with models that are trained on pictures"),
        (bad_train("--labels"), "`--labels` goes with"),
        (bad_train("--flip"), "`--flip` goes with"),
        (bad_train("--strict"), "`--strict` goes with"),
        (["train", "dcgan", "--data", "digits", "--stride", 2], "`--stride` goes with .* clips"),
        (["train", "dcgan", "--data", "digits", "--num-frames", 2], "`--num-frames` goes with"),
        (bad_train("--num-frames", 30), "has 12 frames, and sequences of 30 need 30"),
        (bad_train("--num-frames", 1), "num_frames=1"),
        (bad_train("--frame-step", 0), "frame_step=0"),
        (bad_train("--stride", 0), "stride=0"),
        (bad_train("--stride", 2, data="moving_digits"), "moving digits are drawn"),
        (bad_train("--image-size", 18), "near 18 that is 16 or 20"),
        (bad_train("--set", "patch_size=5"), "near 16 that is 15 or 20"),
        (bad_train("--set", "patch_size=none"), "patch_size='none'"),
        (bad_train("--set", "latent_dims=2"), "Did you mean 'latent_dim'"),
        (bad_train(data="mixed"), "must share one size.*20x24.*8x9"),
        (bad_train(data="empty"), "is empty"),
        (bad_train(data="torn.mp4"), "can't be read"),
        (bad_train(data="nothing.mkv"), "can't be read"),
        (bad_train(data="digits"), "moving_digits"),
    ],
)
def test_bad_training(run, tmp_path, arguments, message):
    check_bad(run, tmp_path, arguments, message)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "name one with --context"),
        (["--context", "clip", "--num-frames", 0], "`--num-frames` must be at least 1"),
        (["--context", "clip", "--num-frames", -3], "`--num-frames` must be at least 1"),
        (["--context", "clip", "--context-frames", 0], "`--context-frames` must be at least 1"),
        (["--context", "clip", "--context-frames", 9], "read 9 frames and the clip has 6"),
        (["--context", "short"], "read 3 frames and the clip has 2.*--context-frames 2"),
        (["--context", "mixed"], "must share one size"),
        (["--context", "empty"], "is empty"),
        (["--context", "nowhere/clip"], "nowhere/clip"),
        (["--context", "torn.mp4"], "can't be read"),
        (["--context", "several"], "a single clip, and there are 2"),
        (["--context", "clip", "--num", 2], "knows one future"),
        (["--context", "clip", "--out", "a.jpg"], "a.jpg"),
        (["--context", "clip", "--out", "clip"], "holds something already"),
    ],
)
def test_bad_generation(run, trained, tmp_path, arguments, message):
    check_bad(run, tmp_path, ["generate", trained, *arguments], message)


def check_bad(run, tmp_path, arguments, message):
    clip = moving_square(12)
    write_frames(tmp_path / "clip", clip)
    write_frames(tmp_path / "short", clip[:3])
    write_frames(tmp_path / "several" / "a", clip[:8])
    write_frames(tmp_path / "several" / "b", clip[:8])
    write_frames(tmp_path / "mixed", clip[:8])
    Image.new("L", (9, 8)).save(tmp_path / "mixed" / "9.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    (tmp_path / "nothing.mkv").write_bytes(b"")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    code, _, err = run(*arguments)
    assert code == 2
    assert re.search(message, err), err
    assert "Traceback" not in err
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_models_of_pictures_take_no_clip(run, tmp_path):
    model = kerasgen.DCGAN((8, 8, 1), generator_filters=4, discriminator_filters=4, latent_dim=4)
    model.save(tmp_path / "gan.keras")
    for option in (["--context", "clip.gif"], ["--num-frames", 3], ["--context-frames", 3]):
        code, _, err = run("generate", "gan.keras", *option)
        assert code == 2 and f"`{option[0]}` goes with models that continue clips" in err
    code, _, err = run("generate", "gan.keras", "--out", "a.gif")
    assert code == 2 and "a .png file" in err
