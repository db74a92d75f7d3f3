"""A preset's directory: which files it holds, and the checks before anything of it is loaded."""

import hashlib
import json
import pathlib
import re
import typing

from kerasgen.files import LARGEST_TEXT

FORMAT = 1
CONFIG, WEIGHTS, PREPROCESSING = "config.json", "model.weights.h5", "preprocessing.json"
RECIPE, EVALUATIONS = "recipe.json", "evaluations.jsonl"
CARD, PICTURE = "README.md", "samples.png"
SUMS = "SHA256SUMS"
REQUIRED = (CONFIG, WEIGHTS, PREPROCESSING, CARD)
FILES = (*REQUIRED, RECIPE, EVALUATIONS, PICTURE)

RANGE = [-1, 1]  # of a pixel as every model of the zoo sees it
CROPS = ("center", "random")

_SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_.]+)")


class PresetDirectory(typing.NamedTuple):
    """What a preset's directory says, read and checked.

    Attributes:
        path: `pathlib.Path`.
        config: dict. `format`, `kerasgen` (version), `class`, `config` (the model's, of an
            autoencoder its sampler included), `parameters`, `weights` (bytes and dtype), `summary`.
        preprocessing: dict. `height`, `width` (pixels), `channels`, `range` of a pixel as the
            model is trained on it, and the `crop` of its training pictures: "center", "random",
            or None where that isn't known.
        recipe: dict, as `load_recipe` returns it, with the results in `result`; or None.
    """

    path: pathlib.Path
    config: dict
    preprocessing: dict
    recipe: dict | None


def read_preset(path):
    """Reads a preset's directory and checks all its files against their hashes.

    Args:
        path: str or path.

    Returns:
        `PresetDirectory`.

    Raises:
        FileNotFoundError: no such directory, one that isn't a preset, or one that lacks a file.
        ValueError: a file that isn't what its hash says or can't be read, a newer format, or
            preprocessing that isn't the model's.
    """
    path = pathlib.Path(path)
    sums = _read_sums(path)
    config = _read_json(path, CONFIG, sums)
    _check_config(path, config)
    lacking = [name for name in REQUIRED if name not in sums]
    unknown = [name for name in sums if name not in FILES]
    if lacking or unknown:
        raise ValueError(
            f"{str(path / SUMS)!r} must name {', '.join(REQUIRED)}, and besides them only files "
            f"that presets have. Received: missing={lacking}, unknown={unknown}"
        )
    _check_length(path / WEIGHTS, config["weights"]["bytes"])
    preprocessing = _read_json(path, PREPROCESSING, sums)
    _check_preprocessing(path, config, preprocessing)
    recipe = None
    if RECIPE in sums:
        from kerasgen.presets.recipes import check_recipe

        recipe = check_recipe(_read_json(path, RECIPE, sums), path / RECIPE)
    for name in sums:
        _check_hash(path, name, sums)
    return PresetDirectory(path, config, preprocessing, recipe)


def write_sums(path):
    """Writes `SHA256SUMS`, which `sha256sum --check` reads too, for all files of a preset."""
    names = [name for name in FILES if (path / name).is_file()]
    lines = [f"{_hash(path / name)}  {name}\n" for name in names]
    (path / SUMS).write_text("".join(lines))


def is_preset(path):
    """Whether a directory looks like a preset's."""
    return (path / SUMS).is_file() and (path / CONFIG).is_file()


def preprocessing_of(shape, crop=None):
    """What `preprocessing.json` says of a model's pictures.

    Args:
        shape: sequence of 3 ints. Height, width and channels.
        crop: str or None. Defaults to None: it isn't known.

    Returns:
        dict.
    """
    height, width, channels = shape
    return {"height": height, "width": width, "channels": channels, "range": RANGE, "crop": crop}


def picture_shape(config):
    """Height, width and channels of a preset's pictures or frames, as its `config.json` says.

    Args:
        config: dict, what `config.json` holds.

    Returns:
        Tuple of 3 ints.

    Raises:
        ValueError: it says nothing of the kind.
    """
    settings = config["config"]
    shape = settings.get("image_shape") or settings.get("frame_shape")
    if not isinstance(shape, (list, tuple)) or [type(side) for side in shape] != [int] * 3:
        raise ValueError(
            "Expected height, width and channels of the model's pictures, as `image_shape` or "
            f"`frame_shape`. Copy the preset again. Received: {shape!r}"
        )
    return tuple(shape)


def read_json(path):
    """Reads a JSON file that holds an object.

    Raises:
        ValueError: one that can't be read, or is far too large to be settings.
    """
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise ValueError(f"more than {LARGEST_TEXT} bytes")
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} can't be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{str(path)!r} must hold a JSON object. Received: {str(value)[:80]}")
    return value


def _read_sums(path):
    if not path.is_dir():
        raise FileNotFoundError(
            "Expected a preset's directory, as `model.save_to_preset` writes it. There is none. "
            f"Received: {str(path)!r}"
        )
    if not is_preset(path):
        remedy = "`model.save_to_preset(directory)` writes one"
        if (path / "model.keras").is_file():
            remedy = (
                'this is a run directory, whose model `keras.saving.load_model(".../model.keras")` '
                f"loads; of that, {remedy}"
            )
        raise FileNotFoundError(
            f"Expected a preset's directory, with {SUMS}, {', '.join(REQUIRED)}: {remedy}. "
            f"Received: {str(path)!r}"
        )
    file, sums = path / SUMS, {}
    try:
        if file.stat().st_size > LARGEST_TEXT:
            raise ValueError("it is too large")
        text = file.read_text("ascii")
        for line in text.removesuffix("\n").split("\n"):
            found = _SUM.fullmatch(line)
            if not found or found[2] in sums:
                raise ValueError(f"line {line[:100]!r}")
            sums[found[2]] = found[1]
        if CONFIG not in sums or not text.endswith("\n"):
            raise ValueError("it is cut short")
    except ValueError as error:
        raise ValueError(
            f"{str(file)!r} is damaged: expected lines of a hash, two spaces and a file's name, "
            f"each file once. Copy the preset again. Received: {error}"
        ) from None
    return sums


def _read_json(path, name, sums):
    _check_hash(path, name, sums)
    return read_json(path / name)


def _check_hash(path, name, sums):
    file = path / name
    if not file.is_file():
        raise FileNotFoundError(f"The preset lacks a file: copy it again. Received: {str(file)!r}")
    received = _hash(file)
    if received != sums[name]:
        raise ValueError(
            f"{str(file)!r} was damaged or changed: it isn't the file that {SUMS} names. Copy the "
            f"preset again; or, if the change is meant, put its new hash there (`sha256sum`). "
            f"Expected sha256={sums[name]}. Received: sha256={received}"
        )


def _hash(file):
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check_length(file, expected):
    if not file.is_file():
        raise FileNotFoundError(f"The preset lacks a file: copy it again. Received: {str(file)!r}")
    received = file.stat().st_size
    if received != expected:
        how = "is cut short" if received < expected else "is too long"
        raise ValueError(
            f"{str(file)!r} {how}: copy the preset again. Expected {expected} bytes. "
            f"Received: {received} bytes"
        )


def _check_config(path, config):
    found = config.get("format")
    if isinstance(found, int) and not isinstance(found, bool) and found > FORMAT:
        raise ValueError(
            f"{str(path)!r} is a preset of a newer format, and this kerasgen reads those up to "
            f"{FORMAT}: upgrade it (`pip install --upgrade kerasgen`). Received: format={found}"
        )
    expected = {"class": str, "config": dict, "parameters": int, "weights": dict, "summary": str}
    wrong = [name for name, kind in expected.items() if not isinstance(config.get(name), kind)]
    if found != FORMAT or wrong or not isinstance(config["weights"].get("bytes"), int):
        raise ValueError(
            f"{str(path / CONFIG)!r} describes no preset: it needs format={FORMAT} and "
            f"{', '.join(f'{name} ({kind.__name__})' for name, kind in expected.items())}, with "
            f"the bytes of the weights. Received: format={found!r}, wrong={wrong}"
        )


def _check_preprocessing(path, config, received):
    """Refuses a preset that tells of other pictures than its model takes."""
    expected = preprocessing_of(picture_shape(config), received.get("crop"))
    wrong = [name for name in expected if received.get(name, "missing") != expected[name]]
    if wrong:
        raise ValueError(
            f"{str(path / PREPROCESSING)!r} tells of other pictures than the model in {CONFIG} "
            "takes: copy the preset again, or save it anew with `model.save_to_preset`. Expected "
            f"{', '.join(f'{name}={expected[name]}' for name in wrong)}. "
            f"Received: {', '.join(f'{name}={received.get(name)!r}' for name in wrong)}"
        )
    if received.get("crop") not in (None, *CROPS):
        raise ValueError(
            f"`crop` in {str(path / PREPROCESSING)!r} must be one of {CROPS}, or null where it "
            f"isn't known. Received: crop={received['crop']!r}"
        )
