"""`benchmarks/presets.py`: bands that don't come from what they judge, and presets of clips."""

import hashlib
import json
import pathlib
import tomllib

import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.presets import load_recipe, read_preset

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
CLIPS = """
format = 1
[source]
data = "{data}"
validation_split = 0.5
image_size = 16
num_frames = 6
[model]
name = "convlstm"
filters = [4]
kernel_size = 3
[fit]
epochs = 2
batch_size = 4
[evaluation]
num = 10
[card]
use = "tests"
"""


def test_one_more_run_lies_in_the_interval_as_often_as_it_says(program):
    rng = np.random.default_rng(0)
    runs = np.exp(0.3 * rng.normal(size=(4000, 6)) + 1)
    inside = [low <= run[5] <= high for run in runs for low, high in [program.interval(run[:5])]]
    assert 0.985 < np.mean(inside) < 0.995
    scaled = np.array(program.interval(3 * runs[0, :5]))
    np.testing.assert_allclose(scaled, 3 * np.array(program.interval(runs[0, :5])))


def write_recipe(path, tenth):
    lines = "\n".join(f"{name} = {values}" for name, values in tenth.items())
    path.write_text(
        'format = 1\n[source]\ndata = "digits"\n[model]\nname = "dcgan"\n[fit]\nepochs = 30\n'
        f"[evaluation.tenth]\n{lines}\n"
    )
    return path


def test_a_check_trains_a_tenth_and_judges_by_the_other_seeds(program, tmp_path, monkeypatch):
    calls, values = [], [1.0, 1.2, 1.1, 0.9]
    recipe = write_recipe(tmp_path / "a.toml", {"seeds": [1, 2, 3, 4], "FD": values})
    low, high = program.interval(values)
    for value, code in ((1.1, 0), (0.99 * high, 0), (1.01 * high, 1), (0.99 * low, 1)):

        def train(*arguments, value=value):
            calls.append(arguments)
            run = pathlib.Path(arguments[-1])
            run.mkdir(exist_ok=True)
            lines = [json.dumps({"fd": 2 * value}), json.dumps({"fd": value})]
            (run / "evaluations.jsonl").write_text("\n".join(lines) + "\n")

        monkeypatch.setattr(program, "_succeed", train)
        assert program.check(str(recipe), tmp_path) == code
    assert calls[0][:7] == ("train", "--recipe", str(recipe), "--epochs", 3, "--seed", 0)
    own = write_recipe(tmp_path / "b.toml", {"seeds": [0, 1, 2], "FD": [1, 2, 3]})
    with pytest.raises(SystemExit, match="holds the run that it is to judge"):
        program.check(str(own), tmp_path)


@pytest.mark.parametrize(
    "tenth",
    [
        {"seeds": [1, 2], "FD": [1, 2]},
        {"seeds": [1, 2, 3], "FD": [1, 2]},
        {"seeds": [1, 2, 3], "FD": [1, 2, 0]},
        {"seeds": [1, 2, 3]},
        {"FD": [1, 2, 3]},
    ],
)
def test_a_spread_that_says_nothing_is_refused(tmp_path, tenth):
    with pytest.raises(ValueError, match="`tenth` has a value of the wrong kind. Received"):
        load_recipe(write_recipe(tmp_path / "bad.toml", tenth))


def test_a_band_is_written_into_recipe_and_preset(program, tmp_path, monkeypatch):
    collection, recipes = tmp_path / "data", tmp_path / "recipes"
    recipes.mkdir()
    text = (program.RECIPES / "dcgan_digits_32.toml").read_text()
    (recipes / "dcgan_digits_32.toml").write_text(text)
    for module, name, value in (
        (program, "COLLECTION", collection),
        (program, "RECIPES", recipes),
        (program, "tenth", lambda name, seed, run: ("FD", 1 + seed / 10)),
    ):
        monkeypatch.setattr(module, name, value)
    model = kerasgen.DCGAN((8, 8, 1), generator_filters=4, discriminator_filters=4)
    model.save_to_preset(collection / "dcgan_digits_32", load_recipe("dcgan_digits_32"))
    for _ in range(2):  # the second time in the place of the first
        program.band("dcgan_digits_32", [1, 2, 3, 4, 5], tmp_path)
    for seeds in ([1, 2], [1, 2, 2], [0, 1, 2]):  # before anything is trained
        with pytest.raises(SystemExit, match="A band comes of"):
            program.band("dcgan_digits_32", seeds, tmp_path)
    expected = {"seeds": [1, 2, 3, 4, 5], "FD": [1.1, 1.2, 1.3, 1.4, 1.5]}
    written = tomllib.loads((recipes / "dcgan_digits_32.toml").read_text())
    before = tomllib.loads(text)
    before["evaluation"].pop("tenth", None)
    assert written["evaluation"].pop("tenth") == expected and written == before
    recipe = read_preset(collection / "dcgan_digits_32").recipe  # hashes and all
    assert recipe["evaluation"]["tenth"] == expected


def test_finetuning_tells_when_the_preset_was_as_good(program, tmp_path, monkeypatch, capsys):
    courses = {"--from": [(1, 0.3), (2, 0.1)], "--recipe": [(1, 0.5), (2, 0.2), (3, 0.4)]}

    def train(*arguments):
        run = pathlib.Path(arguments[-1])
        run.mkdir()
        lines = [json.dumps({"minutes": at, "kd": kd}) for at, kd in courses[arguments[1]]]
        (run / "evaluations.jsonl").write_text("\n".join(lines))

    monkeypatch.setattr(program, "_succeed", train)
    program.finetune("dcgan_landscapes_64", "photos", 5, [7], tmp_path)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.split() == ["7", "0.2000", "2.0", "2.0", "0.1000"]


def test_a_preset_of_clips_is_made_from_its_horizons(program, tmp_path, monkeypatch, capsys):
    for index in range(30):
        frame = np.full((20, 24), 30, np.uint8)
        frame[index % 12 :, 2 * index % 16 : 2 * index % 16 + 8] = 220
        path = tmp_path / "frames" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(frame).save(path)
    recipe = tmp_path / "small_clips.toml"
    recipe.write_text(CLIPS.format(data=tmp_path / "frames"))
    monkeypatch.setattr(program, "COLLECTION", tmp_path / "data")
    program.make(str(recipe), tmp_path / "run", tmp_path)
    preset = read_preset(tmp_path / "data" / "small_clips")
    result = preset.recipe["result"]
    found = json.loads((tmp_path / "evaluation" / "horizons.json").read_text())
    row = result["measures"]["MSE"]
    assert row["value"] == pytest.approx(np.mean(found["model"]["mse"]))
    assert row["floor"] == pytest.approx(np.mean(found["copy_last_frame"]["mse"]))
    assert "3 known frames, mean of horizons 1 to 3" in row["protocol"]
    assert 0 < result["best_step"] <= result["steps"] and result["minutes"] > 0
    assert "copies of the last known frame" in (preset.path / "README.md").read_text()
    assert preset.preprocessing["crop"] == "center"
    monkeypatch.setattr(program.kerasgen, "list_presets", lambda: {"small_clips": None})
    head, _, line = program.table().splitlines()
    assert "MSE (copies)" in head and f"{row['value']:.4g} ({row['floor']:.4g})" in line


def test_photographs_are_collected_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import landscapes

    files = {"usr/Path/contents/images/2560x1600.jpg": b"path", "usr/Dune.jpg": b"dune"}
    photographs = {}
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
        photographs[path] = hashlib.sha256(content).hexdigest()[:16]
    landscapes.collect(tmp_path, photographs, tmp_path / "out")
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {"Path.jpg": b"path", "Dune.jpg": b"dune"}
    (tmp_path / "usr" / "Dune.jpg").write_bytes(b"another")
    with pytest.raises(ValueError, match="another picture.*Received"):
        landscapes.collect(tmp_path, photographs, tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="Received"):
        landscapes.collect(tmp_path, {"usr/Storm.jpg": ""}, tmp_path / "other")
    assert not list(tmp_path.glob("*other*"))
