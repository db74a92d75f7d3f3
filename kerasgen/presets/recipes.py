"""Recipes: how a model is trained, as data. TOML or JSON."""

import functools
import math
import os
import pathlib
import tomllib

from kerasgen.files import LARGEST_TEXT
from kerasgen.models.registry import model_entries
from kerasgen.names import nearest
from kerasgen.presets.directory import read_json

FORMAT = 1
RECIPES = pathlib.Path(__file__).parent / "recipes"
_SUFFIXES = (".toml", ".json")
FEWEST_SEEDS = 3  # of fewer, a spread says nothing


def _of(*kinds):
    return lambda value: (
        isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)
    )


def _sides(value):
    return _of(int)(value) or (
        isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_of(int), value))
    )


def _choice(*choices):
    return lambda value: isinstance(value, str) and value in choices


def _spread(value):
    """What several seeds came to: their list, and of each measure as long a list of positives."""
    if not isinstance(value, dict) or "seeds" not in value or len(value) < 2:
        return False
    if not all(isinstance(values, (list, tuple)) for values in value.values()):
        return False
    count = len(value["seeds"])
    return (
        count >= FEWEST_SEEDS
        and all(map(_of(int), value["seeds"]))
        and all(len(values) == count for values in value.values())
        and all(
            _of(int, float)(number) and 0 < number < math.inf
            for name, values in value.items()
            if name != "seeds"
            for number in values
        )
    )


_TEXT, _WHOLE, _NUMBER, _SWITCH = _of(str), _of(int), _of(int, float), _of(bool)
# What each section takes, and how a value of it is told. Options of `kerasgen train` by name.
SECTIONS = {
    "source": {
        "data": _TEXT,
        "split": _TEXT,
        "validation_split": _NUMBER,
        "image_size": _sides,
        "channels": _WHOLE,
        "labels": _SWITCH,
        "crop": _choice("auto", "center", "random"),
        "flip": _SWITCH,
        "strict": _SWITCH,
        "num_frames": _WHOLE,
        "stride": _WHOLE,
        "frame_step": _WHOLE,
    },
    "model": None,  # its name, and any of its arguments
    "compile": None,
    "fit": {
        "epochs": _WHOLE,
        "minutes": _NUMBER,
        "batch_size": _WHOLE,
        "seed": _WHOLE,
        "precision": _choice("float32", "mixed_bfloat16", "mixed_float16"),
    },
    "evaluation": {"num": _WHOLE, "held_out": _TEXT, "extractor": _TEXT, "tenth": _spread},
    "card": {"data": _TEXT, "licence": _TEXT, "use": _TEXT, "limits": _TEXT},
    "result": None,  # of a preset: what came of it
}


def recipe_names():
    """Names of the recipes that come with kerasgen, a sorted list."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name_or_file):
    """Reads a recipe.

    It has the sections `source` (the data, and how it is read), `model` (its `name` and its
    arguments), `compile` (arguments of it), `fit`, `evaluation` (how `kerasgen evaluate` measures,
    and in `tenth` what a tenth of the training came to with each of several `seeds`) and `card`
    (texts for the preset's card), besides `format` and a `summary`. All but `source` and `model`
    may be left out.

    Args:
        name_or_file: str or path. A name of `recipe_names()`, or a .toml or .json file.

    Returns:
        dict.

    Raises:
        ValueError: an unknown name, with the nearest known ones; a file that can't be read, or
            says what no recipe says.
        FileNotFoundError: no such file.

    Example:

    ```python
    recipe = kerasgen.presets.load_recipe("dcgan_digits_32")
    recipe["source"]["data"]  # "digits"
    ```
    """
    text = os.fspath(name_or_file)
    if text in recipe_names():
        path = RECIPES / f"{text}.toml"
    else:
        path = pathlib.Path(text).expanduser()
        if path.suffix.lower() not in _SUFFIXES:
            raise ValueError(
                "Expected a .toml or .json file, or the name of a recipe."
                f"{nearest(text, recipe_names())} There are: {', '.join(recipe_names())}. "
                f"Received: recipe={text!r}"
            )
        if not path.is_file():
            raise FileNotFoundError(f"There is no such recipe. Received: recipe={text!r}")
    read = read_json if path.suffix.lower() == ".json" else _read_toml
    return check_recipe(read(path), path)


def check_recipe(recipe, where):
    """Checks what a recipe says, and returns it.

    Args:
        recipe: dict.
        where: str or path. What it was read from, for the messages.

    Raises:
        ValueError: anything that a recipe can't say.
    """
    fail = functools.partial(_fail, where)
    if not isinstance(recipe, dict):
        fail("must be a dict of sections", "", recipe)
    if recipe.get("format") != FORMAT:
        fail(f"must have the format {FORMAT}; a newer one needs a newer kerasgen", "format", recipe)
    if not _TEXT(recipe.get("summary", "")):
        fail("must be a text", "summary", recipe)
    for name, section in recipe.items():
        if name in ("format", "summary"):
            continue
        if name not in SECTIONS:
            fail(f"is unknown.{nearest(name, SECTIONS)} There are: {', '.join(SECTIONS)}", name)
        if not isinstance(section, dict) or not all(isinstance(key, str) for key in section):
            fail("must be a section of names and values", name, recipe)
        known = SECTIONS[name]
        for key, value in section.items() if known is not None else ():
            if key not in known:
                fail(f"is unknown.{nearest(key, known)} There are: {', '.join(known)}", key)
            if not known[key](value):
                fail("has a value of the wrong kind", key, section)
    _check_sense(recipe, fail)
    return recipe


def _check_sense(recipe, fail):
    source, model, fit = (recipe.get(name, {}) for name in ("source", "model", "fit"))
    if "data" not in source:
        fail("must name the data", "source", recipe)
    if not isinstance(model.get("name"), str) or model["name"] not in model_entries():
        entries = model_entries()
        known = f"one of {', '.join(entries)}.{nearest(model.get('name'), entries)}"
        fail(f"must have as its name {known}", "model", recipe)
    if "epochs" in fit and "minutes" in fit:
        fail("takes either epochs or minutes", "fit", recipe)


def _fail(where, message, name, values=None):
    shown = "" if values is None else f"={values.get(name) if name else values!r}"
    raise ValueError(f"In the recipe {str(where)!r}, `{name}` {message}. Received: {name}{shown}")


def _read_toml(path):
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise ValueError(f"more than {LARGEST_TEXT} bytes")
        return tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} can't be read as TOML: {error}") from None
