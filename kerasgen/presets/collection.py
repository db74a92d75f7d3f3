"""Where presets are: the collection that comes with kerasgen, directories, and the hub."""

import functools
import os
import pathlib
import re
import typing

from kerasgen.names import nearest
from kerasgen.presets.directory import (
    CONFIG,
    FILES,
    SUMS,
    is_preset,
    picture_shape,
    read_json,
)

COLLECTION = pathlib.Path(__file__).parent / "data"
HUB = "hf://"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


class PresetEntry(typing.NamedTuple):
    """A preset of the collection, as `list_presets` tells of it.

    Attributes:
        name: str.
        class_name: str. Public name of its class, `kerasgen.<class_name>`.
        image_shape: tuple of 3 ints. Height, width and channels of a picture it makes.
        parameters: int. Numbers in all its networks.
        megabytes: float. Size of its weights' file, in millions of bytes.
        summary: str. What it makes, in a few words.
    """

    name: str
    class_name: str
    image_shape: tuple
    parameters: int
    megabytes: float
    summary: str


def list_presets():
    """The presets that come with kerasgen.

    Returns:
        Dict of name -> `PresetEntry`, by name. It reads a few small files and no TensorFlow.

    Example:

    ```python
    for name, preset in kerasgen.list_presets().items():
        print(name, preset.class_name, preset.summary)
    ```
    """
    return {path.name: _entry(path) for path in sorted(COLLECTION.glob("*")) if is_preset(path)}


def find_preset(name_or_dir):
    """Finds a preset's directory; one on the hub is downloaded.

    A name of the collection is that preset, whatever there is in the working directory; "./name"
    is a directory.

    Args:
        name_or_dir: as in `kerasgen.from_preset`.

    Returns:
        `pathlib.Path` of a directory, which isn't checked.

    Raises:
        ValueError: an unknown name, with the nearest known ones.
        TypeError: neither str nor path.
        FileNotFoundError: no such directory, or no such place on the hub.
        ImportError: "hf://" without `huggingface_hub`.
    """
    if not isinstance(name_or_dir, (str, os.PathLike)):
        raise TypeError(
            "Expected the name of a preset, or the path of its directory. "
            f"Received: name_or_dir={name_or_dir!r}"
        )
    text = os.fspath(name_or_dir)
    if text.startswith(HUB):
        return _download(text.removeprefix(HUB))
    if text in names():
        return COLLECTION / text
    path = pathlib.Path(text).expanduser()
    if path.is_dir():
        return path
    if isinstance(name_or_dir, pathlib.PurePath) or re.search(r"[/\\~]|^\.", text):
        raise FileNotFoundError(
            "Expected the directory of a preset, as `model.save_to_preset` writes it. There is "
            f"none. Received: name_or_dir={text!r}"
        )
    raise ValueError(
        f"There is no preset of that name.{nearest(text, names())} There are: "
        f"{', '.join(names())}. Received: name_or_dir={text!r}"
    )


def names():
    """Names of the collection's presets, a sorted list."""
    return sorted(path.name for path in COLLECTION.glob("*") if is_preset(path))


def _entry(path):
    config = read_json(path / CONFIG)
    return PresetEntry(
        path.name,
        config["class"],
        picture_shape(config),
        config["parameters"],
        config["weights"]["bytes"] / 1e6,
        config["summary"],
    )


@functools.cache
def _download(repository):
    """The directory of a repository on the hub, downloaded once a process."""
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(
            "Expected hf://user/name, or hf://user/name@revision. "
            f"Received: name_or_dir={HUB + repository!r}"
        )
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            'Presets of the hub need huggingface_hub: `pip install "kerasgen[hub]"`. '
            f"Received: name_or_dir={HUB + repository!r}"
        ) from None
    name, _, revision = repository.partition("@")
    try:
        path = huggingface_hub.snapshot_download(
            repo_id=name, revision=revision or None, allow_patterns=[*FILES, SUMS]
        )
    except (OSError, ValueError) as error:  # what the hub's own errors derive from
        raise FileNotFoundError(
            "The preset can't be had from the hub: its name, the network, or the right to read it "
            f"({str(error)[:300]}). Received: name_or_dir={HUB + repository!r}"
        ) from None
    return pathlib.Path(path)
