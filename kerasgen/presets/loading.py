"""A preset's directory to a model, and a model to a preset's directory."""

import collections
import json
import pathlib

import h5py
import numpy as np

from kerasgen._version import __version__
from kerasgen.backend import require_tensorflow
from kerasgen.files import write_beside
from kerasgen.models.registry import model_entries
from kerasgen.names import nearest
from kerasgen.presets import directory as files
from kerasgen.presets.card import card
from kerasgen.presets.collection import find_preset
from kerasgen.presets.recipes import check_recipe, load_recipe

DTYPES = ("float32", "float16")
SMALL = 1024  # values; biases and statistics stay as exact as they are, and weigh nothing


def load_preset(name_or_dir, wanted, changes):
    """As `from_preset`, of which `wanted` or a subclass of it is to come, if it isn't None."""
    require_tensorflow()
    preset = files.read_preset(find_preset(name_or_dir))
    classes = {entry.class_name: entry for entry in model_entries().values()}
    name = preset.config["class"]
    if name not in classes:
        raise ValueError(
            f"The preset is of no model of this zoo, which has {', '.join(classes)}."
            f"{nearest(name, classes)} Received: class={name!r}"
        )
    model_class = classes[name].load_class()
    if wanted is not None and not issubclass(model_class, wanted):
        raise ValueError(
            f"The preset is a {name}, not a {wanted.__name__}: load it by "
            f"`kerasgen.{name}.from_preset` or `kerasgen.from_preset`. "
            f"Received: name_or_dir={str(name_or_dir)!r}"
        )
    config = preset.config["config"]
    for key in changes:
        if key not in config:
            raise TypeError(
                f"{name} has no argument {key!r}.{nearest(key, config)} There are: "
                f"{', '.join(config)}."
            )
    model = _build(model_class, {**config, **changes}, preset, changes)
    _check_weights(model, preset, changes)
    try:
        model.load_weights(preset.path / files.WEIGHTS)
    except Exception as error:  # however Keras or HDF5 take a broken file
        raise _not_loadable(preset, str(error)[:300]) from None
    return model


def save_preset(
    model, directory, recipe=None, dtype="float32", batch=None, evaluations=None, crop=None
):
    """As `GenerativeModel.save_to_preset`."""
    directory = pathlib.Path(directory).expanduser()
    names = [entry.class_name for entry in model_entries().values()]
    if type(model).__name__ not in names or not type(model).__module__.startswith("kerasgen."):
        raise TypeError(
            f"Presets are of the zoo's own models, {', '.join(names)}; save another one by "
            f"`model.save`. Received: model of class {type(model).__name__}"
        )
    if dtype not in DTYPES:
        raise ValueError(
            f"`dtype` must be one of {DTYPES}.{nearest(dtype, DTYPES)} Received: dtype={dtype!r}"
        )
    if recipe is not None:
        given = isinstance(recipe, dict)
        recipe = check_recipe(recipe, "recipe") if given else load_recipe(recipe)
    crop = _crop(crop, recipe)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(
            "That place holds something already, and nothing is overwritten: give another one. "
            f"Received: directory={str(directory)!r}"
        )
    _check_values(model, dtype)
    pictures = model.preview(batch)
    with write_beside(directory) as part:
        part.mkdir()
        _write_weights(model, part / files.WEIGHTS, dtype)
        _write_texts(model, part, recipe, dtype, directory.resolve().name, bool(pictures), crop)
        if evaluations is not None:
            (part / files.EVALUATIONS).write_bytes(pathlib.Path(evaluations).read_bytes())
        if pictures:
            from kerasgen.plots import write_grid

            write_grid(part / files.PICTURE, pictures.get("samples", next(iter(pictures.values()))))
        files.write_sums(part)


def _build(model_class, config, preset, changes):
    try:
        return model_class.from_config(config)
    except Exception as error:  # a config can be wrong in as many ways as arguments can
        if changes and isinstance(error, (ValueError, TypeError)):
            raise
        raise ValueError(
            f"{str(preset.path / files.CONFIG)!r} describes no {model_class.__name__} that this "
            f"kerasgen can build: {str(error)[:300]}"
        ) from None


def _check_weights(model, preset, changes):
    """Refuses weights that aren't the model's before memory is given to them."""
    found = collections.Counter()

    def look(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        if item.external or item.is_virtual or item.dtype.kind not in "fiu":
            raise ValueError(f"{name!r} isn't plain numbers of this file")
        found[item.shape] += 1

    try:
        with h5py.File(preset.path / files.WEIGHTS, "r") as file:
            file.visititems(look)  # follows no links to elsewhere
    except Exception as error:
        raise _not_loadable(preset, str(error)[:300]) from None
    expected = collections.Counter(tuple(variable.shape) for variable in model.weights)
    if found != expected:
        more, fewer = list((expected - found).elements()), list((found - expected).elements())
        reason = f"the model wants shapes {more[:4]} where the file has {fewer[:4]}"
        raise _not_loadable(preset, reason, changes)


def _not_loadable(preset, reason, changes=None):
    remedy = "Copy the preset again"
    if changes:
        remedy = f"Leave out what changes the networks; given was {sorted(changes)}"
    return ValueError(
        f"The weights don't fit the preset's model: {reason}. {remedy}. "
        f"Received: {str(preset.path / files.WEIGHTS)!r}"
    )


def _check_values(model, dtype):
    limit = np.finfo(dtype).max
    for variable in model.weights:
        values = variable.numpy()
        if values.dtype.kind == "f" and not (np.abs(values) <= limit).all():
            raise ValueError(
                f"All weights must be finite and within {dtype}, or nothing could be generated. "
                f"Received: {variable.path}"
            )


def _write_weights(model, path, dtype):
    # Of a twin, which has no optimizers: their moments would triple the file.
    twin = type(model).from_config(model.get_config())
    twin.set_weights(model.get_weights())
    if dtype == "float32":
        return twin.save_weights(path)
    whole = path.with_name(f".{path.name}")
    twin.save_weights(whole)
    with h5py.File(whole, "r") as source, h5py.File(path, "w") as target:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                values = item[()]
                halved = values.dtype == np.float32 and values.size >= SMALL
                target[name] = values.astype(np.float16) if halved else values
            else:
                target.require_group(name)
            target[name].attrs.update(item.attrs)

        source.visititems(copy)
    whole.unlink()


def _crop(crop, recipe):
    """How the training pictures were cropped: as given, or as the recipe says, or None."""
    if crop is None and recipe is not None:
        crop = recipe["source"].get("crop")
        crop = None if crop == "auto" else crop  # what came of it, only the training knows
    if crop not in (None, *files.CROPS):
        raise ValueError(
            f"`crop` must be one of {files.CROPS}, or None where it isn't known: "
            f"`load_images(...).crop` says which it was. Received: crop={crop!r}"
        )
    return crop


def _write_texts(model, part, recipe, dtype, name, pictures, crop):
    config = {
        "format": files.FORMAT,
        "kerasgen": __version__,
        "class": type(model).__name__,
        "config": model.get_config(),
        "parameters": sum(int(np.prod(variable.shape)) for variable in model.weights),
        "weights": {"bytes": (part / files.WEIGHTS).stat().st_size, "dtype": dtype},
        "summary": "" if recipe is None else recipe.get("summary", ""),
    }
    preprocessing = files.preprocessing_of(model.image_shape, crop)
    texts = {files.CONFIG: config, files.PREPROCESSING: preprocessing}
    if recipe is not None:
        texts[files.RECIPE] = recipe
    for file, value in texts.items():
        (part / file).write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    (part / files.CARD).write_text(card(name, config, recipe, preprocessing, pictures), "utf-8")
