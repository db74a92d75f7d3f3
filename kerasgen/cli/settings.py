"""What a recipe or a preset says in place of options of `kerasgen train`."""

from kerasgen.cli import UserError
from kerasgen.models.registry import model_entries
from kerasgen.presets import load_recipe, read_preset
from kerasgen.presets.collection import find_preset


def train_defaults(arguments):
    """Defaults of options by name; what the command line says goes before them.

    Args:
        arguments: `argparse.Namespace` of what the command line says.

    Returns:
        dict.

    Raises:
        UserError: a recipe or a preset that can't be used.
    """
    defaults = {"settings": []}
    try:
        if arguments.preset is not None:
            _update(defaults, _of_preset(read_preset(find_preset(arguments.preset))))
        if arguments.recipe is not None:
            _update(defaults, recipe_options(load_recipe(arguments.recipe)))
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(error) from None
    if arguments.epochs is not None or arguments.minutes is not None:
        defaults |= {"epochs": None, "minutes": None}
    return defaults


def recipe_options(recipe):
    """The options that a recipe stands for, by name."""
    model = dict(recipe["model"])
    options = {"model": model.pop("name"), **recipe["source"], **recipe.get("fit", {})}
    if isinstance(options.get("image_size"), list):
        options["image_size"] = tuple(options["image_size"])
    options["settings"] = _settings(model) + _settings(recipe.get("compile", {}))
    return options


def _of_preset(preset):
    """Architecture and picture size are the preset's; the losses go on as they were."""
    names = {entry.class_name: name for name, entry in model_entries().items()}
    config, size = preset.config["config"], preset.preprocessing
    recipe = preset.recipe or {}
    return {
        "model": names.get(preset.config["class"]),
        "image_size": (size["height"], size["width"]),
        "channels": size["channels"],
        "labels": bool(config.get("num_classes")),
        "settings": _settings(recipe.get("compile", {})),
    }


def _settings(section):
    return [f"{name}={value!r}" for name, value in section.items()]


def _update(defaults, more):
    more["settings"] = defaults["settings"] + more["settings"]
    defaults |= more
