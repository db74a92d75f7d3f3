"""Makes the presets of the zoo, checks their recipes, exports them, and writes README's table.

python benchmarks/presets.py make NAME      # trains by the recipe, measures, replaces the preset
python benchmarks/presets.py check NAME     # a tenth of the training ends inside the recipe's band
python benchmarks/presets.py export         # saved_models/NAME/1 of each, and models.config
python benchmarks/presets.py table          # README's table of all
"""

import argparse
import json
import os
import pathlib
import shutil
import tempfile
import time

from reporting import _cpu_model

import kerasgen
from kerasgen.cli import main as command
from kerasgen.presets import load_recipe, read_preset
from kerasgen.presets.collection import COLLECTION

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- presets -->", "<!-- end of presets -->"
TIMED = 512  # pictures


def make(name, run, scratch):
    """Trains by the recipe (or takes a run of it), measures what will ship, and writes that."""
    recipe = load_recipe(name)
    run = run or scratch / "run"
    if not (run / "model.keras").exists():
        _succeed("train", "--recipe", name, "--out", run)
    import keras

    trained = keras.saving.load_model(run / "model.keras")
    batch = _batch(recipe, trained)
    trained.save_to_preset(scratch / name, recipe, "float16", batch)
    _succeed("evaluate", scratch / name, "--out", scratch / "evaluation")
    model = kerasgen.from_preset(scratch / name)  # in half precision, as it ships
    recipe = {**recipe, "result": _result(model, run, scratch / "evaluation")}
    target = COLLECTION / name
    shutil.rmtree(target, ignore_errors=True)
    evaluations = run / "evaluations.jsonl"
    model.save_to_preset(
        target, recipe, "float16", batch, evaluations if evaluations.exists() else None
    )
    print(f"Preset: {target}, {sum(f.stat().st_size for f in target.iterdir()) / 1e6:.1f} MB")


def check(name, scratch):
    """Trains a tenth, measures, and compares with the band that the recipe states for it."""
    recipe = load_recipe(name)
    bands = recipe["evaluation"]["tenth"]
    fit = recipe["fit"]
    unit = "minutes" if "minutes" in fit else "epochs"
    amount = fit[unit] / 10 if unit == "minutes" else max(1, round(fit[unit] / 10))
    _succeed("train", "--recipe", name, f"--{unit}", amount, "--out", scratch / "run")
    _succeed("evaluate", scratch / "run", "--out", scratch / "evaluation")
    measures = _measures(scratch / "evaluation")
    inside = True
    for measure, (low, high) in bands.items():
        value = measures[measure]["value"]
        within = low <= value <= high
        inside &= within
        print(f"{name}: {measure} {value:.4g}, {'in' if within else 'OUT OF'} [{low}, {high}]")
    return 0 if inside else 1


def export(scratch):
    """Version 1 of each preset, in the place of what there was of it."""
    out = ROOT / "saved_models"
    for name in kerasgen.list_presets():
        _succeed("export", name, "--out", scratch, "--model-version", 1)
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.move(scratch / name, out / name)
    kerasgen.export.write_server_config(out)


def table():
    """README's table: what `recipe.json` and `evaluations.jsonl` of each preset say."""
    lines = [
        "| preset | | pictures | parameters | minutes | best step | distance (floor) | KD (floor) "
        "| coverage (floor) | protocol | pictures/s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in kerasgen.list_presets():
        preset = read_preset(COLLECTION / name)
        result = preset.recipe["result"]
        measures = result["measures"]
        distance = next((row for row in ("FD", "FID") if row in measures), None)
        cells = [_cell(measures.get(row)) for row in (distance, "KD", "coverage")]
        strip = f"![{name}](kerasgen/presets/data/{name}/samples.png)"
        protocol = next(iter(measures.values()))["protocol"]
        lines.append(
            f"| `{name}` | {strip} | {result['pictures']:,} | {preset.config['parameters']:,} "
            f"| {result['minutes']:.1f} | {_best_step(preset.path)} | {' | '.join(cells)} "
            f"| {protocol} | {result['pictures_per_second']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def write_table():
    path = ROOT / "README.md"
    head, _, rest = path.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{table()}{END}{tail}")


def _succeed(*arguments):
    code = command([str(argument) for argument in arguments])
    if code:
        raise SystemExit(code)


def _cell(row):
    return "" if row is None else f"{row['value']:.4g} ({row['floor']:.4g})"


def _best_step(path):
    file = path / "evaluations.jsonl"
    if not file.exists():
        return ""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return f"{min(lines, key=lambda line: line['fd'])['step']:,}"


def _batch(recipe, model):
    """A batch for the sample picture of models that show what they do with one."""
    if not hasattr(model, "predict_frames"):
        return None
    from kerasgen.data.collect import first_batch

    split = recipe.get("evaluation", {}).get("held_out", "test")
    return first_batch(kerasgen.data.load_frames(recipe["source"]["data"], split, shuffle=False))


def _measures(directory):
    return json.loads((directory / "evaluation.json").read_text())["measures"]


def _result(model, run, evaluation):
    config = json.loads((run / "config.json").read_text())
    lines = (run / "evaluations.jsonl").read_text().splitlines()
    model.generate(TIMED, seed=0)
    start = time.perf_counter()
    model.generate(TIMED, seed=0)
    rate = TIMED / (time.perf_counter() - start)
    return {
        "minutes": json.loads(lines[-1])["minutes"],
        "steps": json.loads(lines[-1])["step"],
        "pictures": config["data"]["num_images"],
        "pictures_per_second": round(rate, 1),
        "machine": f"{len(os.sched_getaffinity(0))} core(s) of {_cpu_model()}",
        "date": time.strftime("%Y-%m-%d"),
        "versions": config["versions"],
        "measures": _measures(evaluation),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "check", "export", "table"))
    parser.add_argument("name", nargs="?", help="of the recipe, for make and check")
    parser.add_argument("--run", type=pathlib.Path, help="a run of the recipe, or where to put one")
    arguments = parser.parse_args()
    if arguments.what in ("make", "check") and arguments.name is None:
        parser.error(f"{arguments.what} needs a name")
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        if arguments.what == "make":
            return make(arguments.name, arguments.run, scratch)
        if arguments.what == "check":
            return check(arguments.name, scratch)
        return export(scratch) if arguments.what == "export" else write_table()


if __name__ == "__main__":
    raise SystemExit(main())
