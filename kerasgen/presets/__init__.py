"""Presets: trained models, each a directory of plain files with hashes, a recipe and a card.

Looking through them needs no TensorFlow; loading one imports it.
"""

from kerasgen.presets.collection import PresetEntry, list_presets
from kerasgen.presets.directory import PresetDirectory, read_preset
from kerasgen.presets.recipes import load_recipe, recipe_names

__all__ = [
    "PresetDirectory",
    "PresetEntry",
    "from_preset",
    "list_presets",
    "load_recipe",
    "read_preset",
    "recipe_names",
]


def from_preset(name_or_dir, **kwargs):
    """Loads a trained model.

    Nothing in a preset is run as code. Its files are checked against their hashes before anything
    of them is loaded. Presets of the zoo come with kerasgen, and need no network.

    Args:
        name_or_dir: str or path. A name of `kerasgen.list_presets()`; a directory that
            `save_to_preset` wrote, such as "./digits"; or "hf://user/name", also with
            "@revision", which `huggingface_hub` downloads (`pip install "kerasgen[hub]"`).
        **kwargs: arguments of the model's class in place of the preset's, such as `seed`, `dtype`
            or `instance_noise`; those that change the shape of weights can't be replaced.

    Returns:
        A model of the preset's class, a `kerasgen.GenerativeModel` with its weights. It generates
        as it is; to train it further, call its `compile` first.

    Raises:
        ValueError: an unknown name, with the nearest known ones; a file that isn't what its hash
            says, or is cut short; a preset of a newer format, or of no model of the zoo; an
            argument that the weights don't fit.
        TypeError: an argument that the model doesn't have.
        FileNotFoundError: no such directory, one that isn't a preset, or no such place on the hub.
        ImportError: "hf://" without `huggingface_hub`.

    Example:

    ```python
    model = kerasgen.from_preset("dcgan_digits_32")
    images = model.generate(16, seed=0)  # uint8, (16, 32, 32, 1)
    ```
    """
    from kerasgen.presets.loading import load_preset

    return load_preset(name_or_dir, None, kwargs)
