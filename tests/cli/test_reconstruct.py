"""An autoencoder on the command line: trained with its sampler, and `kerasgen reconstruct`."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.cli import main
from kerasgen.data.pictures import read_picture

TRAIN = ["train", "autoencoder", "--data", "digits", "--image-size", "8", "--batch-size", "128"]
TINY = ["--set", "filters=8", "--set", "latent_dim=8", "--set", "sampler=gaussian"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "run"
    assert main([*TRAIN, *TINY, "--epochs", "3", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def model(trained):
    return keras.saving.load_model(trained / "model.keras")


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def digits():
    return kerasgen.data.load_images("digits", image_size=8, shuffle=False)


# === train ===


def test_the_sampler_is_fitted_to_the_codes_of_the_weights_that_are_kept(trained, model):
    lines = [json.loads(line) for line in (trained / "evaluations.jsonl").read_text().splitlines()]
    best = min(lines, key=lambda line: line["fd"])
    assert int(model.step) == best["step"] == int(model.sampler_step)
    images, _ = kerasgen.data.collect_images(digits())
    codes = model.encode(images)
    np.testing.assert_allclose(model.sampler.mean, codes.mean(0), atol=3e-3)  # of whole batches


def test_the_run_shows_pairs_a_walk_and_samples(trained, model):
    samples = trained / "samples"
    names = ("reconstructions", "samples", "walk")
    for name in names:
        assert (samples / f"{name}.gif").is_file()
        assert len(list(samples.glob(f"{name}-epoch-*.png"))) == 3
    shown = kerasgen.plots.grid_image(model.generate(64, seed=0).reshape(8, 8, 8, 8, 1))
    np.testing.assert_array_equal(pixels(samples / "samples-latest.png"), np.asarray(shown))


def test_without_evaluation_the_sampler_is_fitted_too(run, tmp_path):
    out = tmp_path / "run"
    assert run(*TRAIN, *TINY, "--epochs", 1, "--no-evaluate", "--no-report", "--out", out)[0] == 0
    assert (out / "samples" / "samples-latest.png").is_file()
    code, *_ = run("generate", out, "--num", 4, "--out", "four.png")
    assert code == 0 and pixels("four.png").std() > 0


def test_labels_are_of_no_use(run):
    code, _, error = run(*TRAIN, "--labels")
    assert code == 2 and "leave out `--labels`" in error


def test_too_few_pictures_for_the_sampler_are_refused_before_training(run, tmp_path):
    for number in range(30):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
    out = tmp_path / "run"
    arguments = ["train", "autoencoder", "--data", tmp_path, "--image-size", 8, "--out", out]
    code, _, error = run(*arguments, "--batch-size", 10, "--crop", "center", "--epochs", 1)
    assert code == 2 and "at least 65 pictures" in error and "Received: 30" in error
    assert not out.exists()


def test_evaluation_fits_the_sampler_to_the_training_pictures(run, tmp_path, monkeypatch):
    fitted = []

    def recorded(self, data, max_images):
        fitted.append(data.num_images)
        return codes_of(self, data, max_images)

    codes_of = kerasgen.ConvAutoencoder._codes_of
    monkeypatch.setattr(kerasgen.ConvAutoencoder, "_codes_of", recorded)
    held_out = ["--validation-split", 0.4, "--epochs", 1, "--out", tmp_path / "run"]
    assert run(*TRAIN, *TINY, *held_out)[0] == 0
    training = kerasgen.data.load_images("digits", image_size=8, validation_split=0.4)
    assert training.num_images > 1000
    assert fitted == [training.num_images] * 2  # the evaluation's, and the last


# === reconstruct ===


def test_pictures_of_a_source_stand_above_their_reconstructions(run, trained, model):
    code, out, _ = run("reconstruct", trained, "digits", "--num", 11)
    assert code == 0 and "11 pictures" in out
    images, _ = kerasgen.data.collect_images(digits(), 11)
    made = model.reconstruct(images)
    errors = ((images.astype(float) - made) ** 2).mean((1, 2, 3))
    assert f"PSNR {np.mean(10 * np.log10(255**2 / errors)):.1f} dB" in out
    white = np.full((5, 8, 8, 1), 255, np.uint8)
    rows = [images[:8], made[:8], np.concatenate([images[8:], white])]
    rows.append(np.concatenate([made[8:], white]))
    expected = kerasgen.plots.grid_image(np.stack(rows))
    np.testing.assert_array_equal(pixels("reconstructions.png"), np.asarray(expected))


def test_picture_files_are_read_as_in_training(run, trained, model, tmp_path):
    rng = np.random.default_rng(0)
    files = []
    for index, size in enumerate([(20, 30, 3), (9, 9, 3)]):
        files.append(tmp_path / f"{index}.png")
        Image.fromarray(rng.integers(0, 256, size).astype(np.uint8)).save(files[-1])
    code, out, _ = run("reconstruct", trained, *files, "--out", "pairs.png")
    assert code == 0 and all(str(file) in out for file in files)
    images = np.stack([read_picture(file, (8, 8), 1) for file in files])
    grid = np.stack([images, model.reconstruct(images)])
    np.testing.assert_array_equal(pixels("pairs.png"), np.asarray(kerasgen.plots.grid_image(grid)))


def test_refined_codes_are_closer(run, trained, model):
    _, plain, _ = run("reconstruct", trained, "digits", "--num", 11)
    code, refined, _ = run("reconstruct", trained, "digits", "--num", 11, "--refinement", 20)
    decibels = [float(out.split("PSNR ")[1].split(" dB")[0]) for out in (plain, refined)]
    assert code == 0 and decibels[1] > decibels[0] + 0.2
    images, _ = kerasgen.data.collect_images(digits(), 11)
    made = model.reconstruct(images, refinement=20)
    errors = ((images.astype(float) - made) ** 2).mean((1, 2, 3))
    assert np.mean(10 * np.log10(255**2 / errors)) == pytest.approx(decibels[1], abs=0.06)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["digits", "--out", "a.jpg"], "a.jpg"),
        (["digits", "--num", "0"], "--num"),
        (["digits", "--refinement", "-1"], "--refinement"),
        (["digitz"], "digits"),
        (["text.png"], "can't be read as a picture"),
        (["text.png", "missing.png"], "missing.png"),
        (["digits", "--split", "test"], "test"),
    ],
)
def test_bad_input(run, trained, tmp_path, arguments, message):
    (tmp_path / "text.png").write_text("no picture")
    code, _, error = run("reconstruct", trained, *arguments)
    assert code == 2 and message in error and "Traceback" not in error
    assert not (tmp_path / "reconstructions.png").exists()


def test_models_that_make_pictures_of_noise_are_refused(run, tmp_path):
    model = kerasgen.DCGAN((8, 8, 1), generator_filters=4, discriminator_filters=4, latent_dim=4)
    model.save(tmp_path / "gan.keras")
    code, _, error = run("reconstruct", "gan.keras", "digits")
    assert code == 2 and "DCGAN doesn't reconstruct" in error


def test_generating_without_a_sampler_says_how_to_fit_it(run, tmp_path):
    kerasgen.ConvAutoencoder((8, 8, 1), latent_dim=4, filters=4).save(tmp_path / "plain.keras")
    for command in (["generate", "plain.keras"], ["evaluate", "plain.keras", "--data", "digits"]):
        code, _, error = run(*command)
        assert code == 2 and "model.fit_sampler(dataset)" in error
