"""Makes the presets of the zoo, checks their recipes, exports them, and writes README's table.

python benchmarks/presets.py make NAME      # trains by the recipe, measures, replaces the preset
python benchmarks/presets.py band NAME      # a tenth of it with other seeds, into the recipe
python benchmarks/presets.py check NAME     # a tenth with the recipe's own seed ends in that band
python benchmarks/presets.py finetune NAME --data DIR --minutes 5 --seeds 1 2   # and from nothing
python benchmarks/presets.py export [NAME]  # saved_models/NAME/1, of each without a name
python benchmarks/presets.py table          # README's table of all

A recipe that names a folder finds it in the working directory.

What a band is. Training is repeatable to the bit on one machine and no further: another processor
rounds otherwise, and after a few hundred steps its run is but another draw from all the runs that
the recipe could give, as another seed's is. So the band comes from other seeds, never from the run
that it is to judge, which would be inside by construction: `evaluation.tenth` of the recipe holds
what a tenth of the training came to with each of several seeds, and between which values one more
run lies follows from these alone, as the prediction interval of a normal distribution of the
measure's logarithm (distances and errors are positive, and vary by factors). At 99 % one right
recipe in a hundred fails. What it tells apart is as coarse as the runs are different: a recipe that
is broken, not one that is a little worse.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import tempfile
import time

import numpy as np
from reporting import _cpu_model, print_table

import kerasgen
from kerasgen.cli import main as command
from kerasgen.presets import load_recipe, read_preset
from kerasgen.presets.collection import COLLECTION
from kerasgen.presets.directory import RECIPE, is_preset, write_sums
from kerasgen.presets.recipes import RECIPES

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- presets -->", "<!-- end of presets -->"
TIMED = 512  # pictures
TIMED_CLIPS = 16
CONFIDENCE = 0.99


def make(name, run, scratch):
    """Trains by the recipe (or takes a run of it), measures what will ship, and writes that."""
    recipe = load_recipe(name)
    run, target = run or scratch / "run", COLLECTION / pathlib.Path(name).stem
    if not (run / "model.keras").exists():
        _succeed("train", "--recipe", name, "--out", run)
    import keras

    trained = keras.saving.load_model(run / "model.keras")
    config = json.loads((run / "config.json").read_text())
    facts = {"batch": _batch(recipe, trained), "crop": config["data"]["crop"]}
    trained.save_to_preset(scratch / target.name, recipe, "float16", **facts)
    _succeed("evaluate", scratch / target.name, "--out", scratch / "evaluation")
    model = kerasgen.from_preset(scratch / target.name)  # in half precision, as it ships
    result = {
        **_training(run, trained),
        "pictures": config["data"]["num_images"],
        "pictures_per_second": round(_speed(model, facts["batch"]), 1),
        "machine": f"{len(os.sched_getaffinity(0))} core(s) of {_cpu_model()}",
        "date": time.strftime("%Y-%m-%d"),
        "versions": config["versions"],
        "measures": _measures(scratch / "evaluation"),
    }
    evaluations = run / "evaluations.jsonl"
    shutil.rmtree(target, ignore_errors=True)
    model.save_to_preset(
        target,
        {**recipe, "result": result},
        "float16",
        evaluations=evaluations if evaluations.exists() else None,
        **facts,
    )
    print(f"Preset: {target}, {sum(f.stat().st_size for f in target.iterdir()) / 1e6:.1f} MB")


def band(name, seeds, scratch):
    """Trains a tenth with several seeds, and writes what came of it into recipe and preset."""
    recipe = load_recipe(name)
    own = recipe.get("fit", {}).get("seed", 0)
    if own in seeds:
        raise SystemExit(f"A band comes of other seeds than the recipe's own, {own}.")
    if len(set(seeds)) < 3:
        raise SystemExit(f"A band comes of three seeds or more. Received: --seeds {seeds}")
    runs = [tenth(name, seed, scratch / str(seed)) for seed in seeds]
    (judged,) = {measure for measure, _ in runs}
    spread = {"seeds": list(seeds), judged: [float(f"{value:.4g}") for _, value in runs]}
    low, high = interval(spread[judged])
    print(f"{name}: {judged} of seeds {seeds}: {spread[judged]}, so within [{low:.4g}, {high:.4g}]")
    path = RECIPES / f"{name}.toml"
    path.write_text(with_spread(path.read_text("utf-8"), spread), "utf-8")
    preset = COLLECTION / name
    if is_preset(preset):
        recipe = json.loads((preset / RECIPE).read_text("utf-8"))
        recipe["evaluation"]["tenth"] = spread
        (preset / RECIPE).write_text(json.dumps(recipe, indent=2) + "\n", "utf-8")
        write_sums(preset)


def check(name, scratch):
    """Trains a tenth, measures, and compares with what other seeds came to."""
    spread = dict(load_recipe(name)["evaluation"]["tenth"])
    seed = load_recipe(name).get("fit", {}).get("seed", 0)
    if seed in spread.pop("seeds"):
        raise SystemExit(f"The band holds the run that it is to judge, of seed {seed}.")
    measure, value = tenth(name, seed, scratch / "run")
    low, high = interval(spread[measure])
    within = low <= value <= high
    place = f"{'in' if within else 'OUT OF'} [{low:.4g}, {high:.4g}]"
    print(f"{name}: {measure} {value:.4g}, {place}")
    return 0 if within else 1


def tenth(name, seed, run):
    """What a tenth of a recipe's training comes to with a seed, by its own evaluation.

    Returns:
        Tuple of the measure's name and its value: the Fréchet distance of the weights that were
        kept, or of clips the squared error.
    """
    fit = load_recipe(name)["fit"]
    unit = "minutes" if "minutes" in fit else "epochs"
    amount = fit[unit] / 10 if unit == "minutes" else max(1, round(fit[unit] / 10))
    short = [f"--{unit}", amount, "--seed", seed, "--no-report"]
    _succeed("train", "--recipe", name, *short, "--out", run)
    lines = _lines(run / "evaluations.jsonl")
    if lines:
        return "FD", min(line["fd"] for line in lines)
    return "MSE", _measures(run)["MSE"]["value"]


def finetune(name, data, minutes, seeds, scratch):
    """Trains on other pictures from a preset and from nothing: how the kernel distance falls."""
    rows = []
    for seed in seeds:
        courses = {}
        for start in ("from", "recipe"):
            run = scratch / f"{start}-{seed}"
            source = [f"--{start}", name, "--data", data, "--crop", "random", "--flip"]
            _succeed("train", *source, "--minutes", minutes, "--seed", seed, "--out", run)
            lines = _lines(run / "evaluations.jsonl")
            courses[start] = [(line["minutes"], line["kd"]) for line in lines]
        ended, wanted = min(courses["recipe"], key=lambda point: point[1])
        reached = [at for at, distance in courses["from"] if distance <= wanted]
        least = min(distance for _, distance in courses["from"])
        rows.append([str(seed), f"{wanted:.4f}", f"{ended:.1f}"])
        rows[-1] += [f"{reached[0]:.1f}" if reached else "not reached", f"{least:.4f}"]
    print_table(
        ["seed", "least KD from nothing", "at min", "from the preset at min", "least"], rows
    )


def interval(values):
    """Between which values one more run lies, at `CONFIDENCE`, given those of others.

    Args:
        values: sequence of positive floats, two or more.

    Returns:
        Tuple of 2 floats: mean of the logarithms, less and more `t * s * sqrt(1 + 1 / n)`, raised.
    """
    from scipy import stats

    logs, count = np.log(values), len(values)
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * logs.std(ddof=1)
    reach *= math.sqrt(1 + 1 / count)
    return math.exp(logs.mean() - reach), math.exp(logs.mean() + reach)


def with_spread(text, spread):
    """A recipe's TOML text with another `[evaluation.tenth]`."""
    lines = ["[evaluation.tenth]  # benchmarks/presets.py band"]
    lines += [f"{name} = {values}" for name, values in spread.items()]
    text = re.sub(r"\[evaluation\.tenth\].*\n(.+\n)*\n?", "", text)
    head, card, tail = text.partition("[card]")
    return head.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n" + (card and f"\n{card}") + tail


def export(names, scratch):
    """Version 1 of presets, in the place of what there was of them, and `models.config` of all."""
    out = ROOT / "saved_models"
    for name in names:
        _succeed("export", name, "--out", scratch, "--model-version", 1)
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.move(scratch / name, out / name)
    kerasgen.export.write_server_config(out)


def table():
    """README's tables: what `recipe.json` and `evaluations.jsonl` of each preset say."""
    pictures, clips = [], []
    for name in kerasgen.list_presets():
        preset = read_preset(COLLECTION / name)
        result = preset.recipe["result"]
        measures = result["measures"]
        of_clips = "MSE" in measures
        shown = ("MSE", "PSNR", "SSIM")
        if not of_clips:
            shown = ("FID" if "FID" in measures else "FD", "KD", "coverage")
        cells = [_cell(measures.get(measure)) for measure in shown]
        strip = f"![{name}](kerasgen/presets/data/{name}/samples.png)"
        protocol = next(iter(measures.values()))["protocol"]
        (clips if of_clips else pictures).append(
            f"| `{name}` | {strip} | {result['pictures']:,} | {preset.config['parameters']:,} "
            f"| {result['minutes']:.1f} | {_best_step(preset)} | {' | '.join(cells)} "
            f"| {protocol} | {result['pictures_per_second']:,.0f} |"
        )
    heads = (
        "| preset | | pictures | parameters | minutes | best step | distance (floor) | KD (floor) "
        "| coverage (floor) | protocol | pictures/s |",
        "| preset | | clips | parameters | minutes | best step | MSE (copies) | PSNR (copies) "
        "| SSIM (copies) | protocol | frames/s |",
    )
    rule = "|---" * 11 + "|"
    tables = [
        [head, rule, *rows] for head, rows in zip(heads, (pictures, clips), strict=True) if rows
    ]
    return "\n\n".join("\n".join(lines) for lines in tables) + "\n"


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


def _best_step(preset):
    if "best_step" in preset.recipe["result"]:
        return f"{preset.recipe['result']['best_step']:,}"
    lines = _lines(preset.path / "evaluations.jsonl")
    return f"{min(lines, key=lambda line: line['fd'])['step']:,}" if lines else ""


def _batch(recipe, model):
    """Held-out clips, of models that continue them; None of others."""
    if not hasattr(model, "predict_frames"):
        return None
    from kerasgen.data.collect import first_batch

    source, (height, width, channels) = recipe["source"], model.image_shape
    pace = {name: source[name] for name in ("num_frames", "frame_step") if name in source}
    held_out = "validation" if "validation_split" in source else "test"
    clips = kerasgen.data.load_frames(
        source["data"],
        recipe.get("evaluation", {}).get("held_out", held_out),
        image_size=(height, width),
        channels=channels,
        validation_split=source.get("validation_split"),
        batch_size=TIMED_CLIPS,
        shuffle=False,
        drop_remainder=False,
        **pace,
    )
    return first_batch(clips)


def _measures(directory):
    """What `kerasgen evaluate` wrote, as the panel tells it: dict of measure -> dict."""
    file = directory / "evaluation.json"
    if file.exists():
        return json.loads(file.read_text())["measures"]
    found = json.loads((directory / "horizons.json").read_text())
    horizons = len(found["model"]["mse"])
    facts = {
        "protocol": f"{found['num_clips']} clips of split {found['held_out'] or found['split']}, "
        f"{found['context_frames']} known frames, mean of horizons 1 to {horizons}",
        "beside": "copies of the last known frame",
    }
    meanings = {
        "mse": ("lower", "squared error of pixels in [0, 1]"),
        "psnr": ("higher", "peak signal to noise, dB"),
        "ssim": ("higher", "structural similarity"),
    }
    return {
        name.upper(): {
            "value": float(np.mean(found["model"][name])),
            "floor": float(np.mean(found["copy_last_frame"][name])),
            "better": better,
            "meaning": meaning,
            **facts,
        }
        for name, (better, meaning) in meanings.items()
        if name in found["model"]
    }


def _training(run, model):
    """Minutes and steps of a run, and the step whose weights were kept."""
    lines = _lines(run / "evaluations.jsonl")
    if lines:
        best = min(lines, key=lambda line: line["fd"])["step"]
        return {"minutes": lines[-1]["minutes"], "steps": lines[-1]["step"], "best_step": best}
    minutes = json.loads((run / "horizons.json").read_text())["minutes"]
    steps = max(int(optimizer.iterations) for optimizer in model.optimizers)
    return {"minutes": minutes, "steps": steps, "best_step": int(model.step)}


def _lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _speed(model, batch):
    """Pictures, or frames, that a model draws in a second."""

    def draw():
        if batch is None:
            return model.generate(TIMED, seed=0)
        known = model.context_length(batch.shape[1])
        return model.generate(batch[:, :known], batch.shape[1] - known, seed=0)

    draw()
    start = time.perf_counter()
    drawn = draw()
    pictures = len(drawn) if batch is None else drawn.shape[0] * drawn.shape[1]
    return pictures / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "band", "check", "finetune", "export", "table"))
    parser.add_argument("name", nargs="?", help="of the recipe; not for table")
    parser.add_argument("--run", type=pathlib.Path, help="a run of the recipe, or where to put one")
    parser.add_argument("--data", help="what finetune trains on")
    parser.add_argument("--minutes", type=float, default=5, help="of each training of finetune")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="of band and of finetune"
    )
    arguments = parser.parse_args()
    if arguments.what not in ("export", "table") and arguments.name is None:
        parser.error(f"{arguments.what} needs a name")
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        if arguments.what == "make":
            return make(arguments.name, arguments.run, scratch)
        if arguments.what == "band":
            return band(arguments.name, arguments.seeds, scratch)
        if arguments.what == "check":
            return check(arguments.name, scratch)
        if arguments.what == "finetune":
            return finetune(
                arguments.name, arguments.data, arguments.minutes, arguments.seeds, scratch
            )
        if arguments.what == "export":
            names = [arguments.name] if arguments.name else kerasgen.list_presets()
            return export(names, scratch)
        return write_table()


if __name__ == "__main__":
    raise SystemExit(main())
