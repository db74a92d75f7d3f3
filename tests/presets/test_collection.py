"""What ships: whole, small enough, by its recipe, in the wheel, exported, and in README's table."""

import configparser
import fnmatch
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import kerasgen
from kerasgen.presets import collection, directory, load_recipe, read_preset

ROOT = pathlib.Path(__file__).parents[2]
NAMES = list(kerasgen.list_presets())


def test_sizes_and_the_wheel():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = config["options.package_data"]["kerasgen.presets"].split()
    total = 0
    for name in NAMES:
        files = list((collection.COLLECTION / name).iterdir())
        size = sum(file.stat().st_size for file in files)
        assert size < 8e6
        total += size
        for file in files:
            path = f"data/{name}/{file.name}"
            assert any(fnmatch.fnmatch(path, pattern) for pattern in patterns)
    assert 0 < total < 40e6


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_its_recipe_s_and_says_so(name):
    preset = read_preset(collection.COLLECTION / name)
    recipe = dict(preset.recipe)
    result = recipe.pop("result")
    assert recipe == load_recipe(name)
    files = {*directory.FILES, directory.SUMS}
    if "MSE" in result["measures"]:  # a model of clips, which no evaluation in training measures
        files.remove(directory.EVALUATIONS)
    assert {path.name for path in preset.path.iterdir()} == files
    card = (preset.path / directory.CARD).read_text()
    for text in (*recipe["card"].values(), f"--recipe {name}", result["machine"]):
        assert text in card
    for row in result["measures"].values():
        assert f"{row['value']:.4g}" in card and row["protocol"]


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_model_is_the_preset(name):
    model = kerasgen.from_preset(name)
    served = tf.saved_model.load(ROOT / "saved_models" / name / "1").signatures["generate_png"]
    own = model.serving_signatures()["generate_png"]
    request = {key: tf.constant(values) for key, values in own.example(2).items()}
    answers = served(**request), own(*request.values())
    for pair in zip(*(answer["image_bytes"].numpy() for answer in answers), strict=True):
        pictures = [tf.io.decode_png(png).numpy().astype(int) for png in pair]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert f'"{name}"' in (ROOT / "saved_models" / "models.config").read_text()


def test_readme_s_tables_are_those_of_the_presets(program):
    assert program.table() in (ROOT / "README.md").read_text()
