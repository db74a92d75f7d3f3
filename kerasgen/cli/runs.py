"""Run directories: made, described and read here."""

import json
import os
import pathlib
import platform
import re

from kerasgen._version import __version__
from kerasgen.cli import UserError
from kerasgen.cli.start import start_tensorflow
from kerasgen.files import LOCK, check_archive, write_beside
from kerasgen.names import nearest
from kerasgen.presets import list_presets, load_recipe, read_preset
from kerasgen.presets.collection import HUB, find_preset
from kerasgen.presets.directory import RECIPE, is_preset

MODEL_FILE = "model.keras"
# Settings that say nothing of what is trained, and may differ when a run is resumed.
PRESENTATION = ("out", "new", "verbose", "report")
# Of settings that earlier runs' files don't know.
DEFAULTS = {"tensorboard": False}
BACKUP = "backup"  # of an interrupted run; gone when it has ended


def interrupted_run(out, arguments):
    """The run that was interrupted where the user wants one, to be resumed.

    Args:
        out: str or None. Where the user wants it.
        arguments: dict of the command's arguments.

    Returns:
        `pathlib.Path` of its directory, or None where a new one may be made.

    Raises:
        UserError: the path holds something else, or a run that ended, or one of other settings.
    """
    path = None if out is None else pathlib.Path(out).expanduser()
    if path is None or not path.exists() or _is_empty(path):
        return None
    remedy = "give --out another directory, or add --new for one beside it."
    config = read_config(out) if path.is_dir() else None
    if config is None:
        raise UserError(
            f"{str(path)!r} holds something already, and nothing is overwritten: {remedy}"
        )
    if (path / MODEL_FILE).exists() and not (path / BACKUP).exists():
        raise UserError(
            f"{str(path)!r} holds a run that has ended, which is never overwritten: {remedy}"
        )
    theirs, ours = config["arguments"], json.loads(json.dumps(arguments, default=str))
    changed = [
        f"--{name.replace('_', '-')} {ours[name]!r}, there {theirs.get(name)!r}"
        for name in ours
        if name not in PRESENTATION and ours[name] != theirs.get(name, DEFAULTS.get(name))
    ]
    if changed:
        raise UserError(
            f"{str(path)!r} holds a run of other settings: {'; '.join(changed)}. Repeat its "
            f"settings to resume it; {remedy}"
        )
    return path


def _is_empty(path):
    """Whether a directory holds nothing but what a run leaves that ended before it began."""
    return path.is_dir() and all(found.name == LOCK for found in path.iterdir())


def beside(out):
    """A path that is free: `out`, or else it with the first number that is, from 2."""
    path, number = pathlib.Path(out).expanduser(), 1
    while (free := path if number == 1 else path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return str(free)


def new_run_directory(out, model, source):
    """Makes the directory of a new run.

    Args:
        out: str or None. Where the user wants it, free; None numbers one below `runs/`.
        model: str. The model's name.
        source: str. What it is trained on, for the name.

    Returns:
        `pathlib.Path` of an empty directory.

    Raises:
        UserError: a path that can't be written.
    """
    try:
        if out is not None:
            path = pathlib.Path(out).expanduser()
            path.mkdir(parents=True, exist_ok=True)
            return path
        word = re.sub(r"[^A-Za-z0-9]+", "-", pathlib.Path(source).name or source).strip("-").lower()
        runs = pathlib.Path("runs")
        runs.mkdir(exist_ok=True)
        taken = [int(p.name[:4]) for p in runs.iterdir() if re.match(r"\d{4}-", p.name)]
        number = max(taken, default=0) + 1
        while True:
            path = runs / f"{number:04d}-{model}-{word or 'data'}"
            try:
                path.mkdir()
                return path
            except FileExistsError:  # another run took the number meanwhile
                number += 1
    except OSError as error:
        raise UserError(f"Can't make the run directory: {error}") from None


def write_config(path, arguments, model, dataset):
    """Writes `config.json`: all settings, versions, and what the data was.

    Args:
        path: `pathlib.Path` of the run directory.
        arguments: dict of the command's arguments.
        model: the compiled `GenerativeModel`.
        dataset: what `load_images` returned.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    config = {
        "arguments": arguments,
        "model": {
            "class": type(model).__name__,
            "config": model.get_config(),
            "compile": model.get_compile_config(),
        },
        "data": {
            "num_images": dataset.num_images,
            "image_shape": dataset.image_shape,
            "class_names": dataset.class_names,
            "crop": dataset.crop,
            "fingerprint": dataset.fingerprint,
        },
        "versions": {
            "kerasgen": __version__,
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }
    with write_beside(path / "config.json") as part:
        part.write_text(json.dumps(config, indent=2, default=str) + "\n")


def write_recipe(path, recipe):
    """Writes the recipe of a run into its directory."""
    with write_beside(path / RECIPE) as part:
        part.write_text(json.dumps(load_recipe(recipe), indent=2) + "\n")


def read_evaluation(run):
    """How the recipe of a run or a preset wants it evaluated: a dict of options, perhaps empty."""
    preset = preset_directory(run)
    path = (pathlib.Path(run).expanduser() if preset is None else preset) / RECIPE
    if not path.is_file():
        return {}
    try:
        return load_recipe(path).get("evaluation", {})
    except ValueError as error:
        raise UserError(error) from None


def preset_directory(run):
    """The directory of the preset that is meant, or None where it is a run or a .keras file.

    Raises:
        UserError: one of the hub that can't be had.
    """
    path = pathlib.Path(run).expanduser()
    own = path.is_dir() and is_preset(path) and not (path / MODEL_FILE).exists()
    if not own and run not in list_presets() and not run.startswith(HUB):
        return None
    try:
        return find_preset(run)
    except (ValueError, ImportError, OSError) as error:
        raise UserError(error) from None


def read_config(run):
    """Reads the `config.json` of a run directory, or beside a `.keras` file, or of a preset.

    Args:
        run: str.

    Returns:
        dict, or None where nothing says how it was trained.

    Raises:
        UserError: one that can't be read.
    """
    directory = preset_directory(run)
    if directory is not None:
        return _preset_config(directory)
    path = pathlib.Path(run).expanduser()
    config = (path if path.is_dir() else path.parent) / "config.json"
    if not config.is_file():
        return None
    try:
        facts = json.loads(config.read_text())
        return {"arguments": dict(facts["arguments"]), "data": dict(facts["data"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{str(config)!r} can't be read: {error!r}") from None


def _preset_config(directory):
    from kerasgen.cli.settings import recipe_options

    try:
        preset = read_preset(directory)
    except (ValueError, OSError) as error:
        raise UserError(error) from None
    if preset.recipe is None:
        return None
    crop = preset.preprocessing["crop"]
    return {"arguments": recipe_options(preset.recipe), "data": {"crop": crop}}


def find_model(run):
    """Finds the model file of a run directory, a `.keras` file itself, or a preset's directory.

    Args:
        run: str.

    Returns:
        `pathlib.Path`.

    Raises:
        UserError: nothing there.
    """
    directory = preset_directory(run)
    if directory is not None:
        return directory
    path = pathlib.Path(run).expanduser()
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file() or file.suffix != ".keras":
        raise UserError(
            f"Expected a run directory with a {MODEL_FILE}, a .keras file, or a preset "
            f"(`kerasgen presets` lists them).{nearest(run, list_presets())} "
            + (f"{str(path)!r} has none; did its training end?" if path.is_dir() else "")
            + f" Received: {run!r}"
        )
    return file


def load_run(run):
    """Loads the model of a run directory, a `.keras` file, or a preset.

    Args:
        run: str.

    Returns:
        Tuple of the model and its name, a str.

    Raises:
        UserError: nothing there, or not a model of the zoo.
    """
    path, file = pathlib.Path(run).expanduser(), find_model(run)
    start_tensorflow()
    import keras

    import kerasgen

    if file.is_dir():
        try:
            name = pathlib.PurePosixPath(run).name.partition("@")[0] or file.resolve().name
            return kerasgen.from_preset(file), name
        except (ValueError, OSError) as error:
            raise UserError(error) from None
    try:
        check_archive(file)
        model = keras.saving.load_model(file, safe_mode=True)
    except Exception as error:  # any broken file, however Keras takes it
        raise UserError(f"{str(file)!r} can't be loaded: {str(error)[:500]}") from None
    if not isinstance(model, kerasgen.GenerativeModel):
        raise UserError(f"{str(file)!r} holds a {type(model).__name__}, not a model of the zoo.")
    return model, path.resolve().name if path.is_dir() else path.stem
