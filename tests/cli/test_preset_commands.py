"""Commands on presets and recipes: listing, generating, evaluating, fine-tuning."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import kerasgen

QUICK = ["--no-evaluate", "--no-report"]
SMALL = {"latent_dim": 4, "generator_filters": 4, "discriminator_filters": 4}
RECIPE = """
format = 1
[source]
data = "digits"
image_size = 8
[model]
name = "dcgan"
latent_dim = 4
generator_filters = 4
discriminator_filters = 4
[compile]
loss = "hinge"
[fit]
epochs = 3
batch_size = 512
seed = 5
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "small"
    kerasgen.DCGAN((8, 8, 1), **SMALL).save_to_preset(path)
    return path


def test_presets_and_help_start_without_tensorflow():
    code = "import sys\nfrom kerasgen.cli import main\nmain(['presets'])\n"
    code += "print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "False"
    for name, entry in kerasgen.list_presets().items():
        assert name in result.stdout and entry.summary in result.stdout


def test_a_preset_generates_what_its_model_does(run, preset, tmp_path):
    assert run("generate", preset, "--num", 3, "--seed", 2, "--out", "pictures")[0] == 0
    images = kerasgen.from_preset(preset).generate(3, seed=2)
    for index, image in enumerate(images):
        with Image.open(tmp_path / "pictures" / f"{index:05d}.png") as read:
            np.testing.assert_array_equal(np.asarray(read), image[..., 0])


def test_a_recipe_is_the_options_it_stands_for(run, recipe, tmp_path):
    code, out, _ = run("train", "--recipe", recipe, "--epochs", 1, *QUICK, "--out", "run")
    assert code == 0 and "Training for 1 epochs" in out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["arguments"]["seed"] == 5 and config["arguments"]["batch_size"] == 512
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert model.latent_dim == 4 and isinstance(model.adversarial_loss, kerasgen.losses.Hinge)
    written = kerasgen.presets.load_recipe(tmp_path / "run" / "recipe.json")
    assert written == kerasgen.presets.load_recipe(recipe)


def test_fine_tuning_goes_on_from_the_preset_s_weights(run, preset, tmp_path):
    options = ["--data", "digits", "--batch-size", 512, "--epochs", 1, "--no-evaluate"]
    options += ["--set", "learning_rate=1e-12", "--set", "ema_decay=0.0"]
    code, out, _ = run("train", "--from", preset, *options, "--no-report", "--out", "run")
    assert code == 0 and "Training on 8x8 pixels" in out
    tuned = keras.saving.load_model(tmp_path / "run" / "model.keras")
    before = kerasgen.from_preset(preset).generator.trainable_variables
    for a, b in zip(tuned.generator.trainable_variables, before, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert int(tuned.step) == 3


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["generate", "dcgan_digits_31"], "Did you mean 'dcgan_digits_32'"),
        (["train"], "--recipe"),
        (["train", "--recipe", "dcgan_digit_32"], "Did you mean 'dcgan_digits_32'"),
        (["train", "--from", "./nowhere", "--data", "digits"], "There is none"),
        (["train", "--from", "PRESET", "--data", "digits", "--image-size", "16"], "leave out"),
        (["train", "autoencoder", "--from", "PRESET", "--data", "digits"], "not a ConvAutoencoder"),
        (["train", "--from", "PRESET", "--data", "digits", "--set", "latent_dim=9"], "don't fit"),
    ],
)
def test_bad_input_is_told_in_a_line(run, preset, arguments, words):
    code, _, errors = run(*[preset if a == "PRESET" else a for a in arguments])
    assert code == 2 and words in errors and errors.startswith("kerasgen: error: ")


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("format = 1", "format = 2", "newer"),
        ('name = "dcgan"', 'name = "dcgam"', "Did you mean 'dcgan'"),
        ("epochs = 3", "epochs = 3\nminutes = 1", "either"),
        ("batch_size", "batchsize", "Did you mean 'batch_size'"),
        ("epochs = 3", 'epochs = "3"', "wrong kind"),
        ("[fit]", "[fitt]", "Did you mean 'fit'"),
        ("[fit]", "[fit", "TOML"),
    ],
)
def test_bad_recipes_are_told(recipe, old, new, words):
    recipe.write_text(RECIPE.replace(old, new))
    with pytest.raises(ValueError, match=words):
        kerasgen.presets.load_recipe(recipe)


def test_a_preset_that_does_not_say_how_it_cropped_is_measured_as_a_training_would_crop(
    run, recipe, tmp_path
):
    model = kerasgen.DCGAN((8, 8, 1), **SMALL)
    rng = np.random.default_rng(0)
    for index in range(40):
        noise = rng.integers(0, 256, (20, 30), np.uint8)
        (tmp_path / "large").mkdir(exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "large" / f"{index}.png")
    said = {**kerasgen.presets.load_recipe(recipe), "source": {"data": str(tmp_path / "large")}}
    for crop, random in ((None, True), ("center", False)):
        model.save_to_preset(tmp_path / str(crop), recipe=said, crop=crop)
        code, out, err = run("evaluate", tmp_path / str(crop), "--num", 10)
        assert code == 0, err
        assert ("random crops" in out) == random
