"""The registry of the zoo: every folder under `models/` joins it with its `ENTRY`.

Nothing here imports TensorFlow, so that the command line can list models at once.
"""

import importlib
import pkgutil
import typing

import kerasgen.models


class ModelEntry(typing.NamedTuple):
    """How a model is called and where its class is.

    Attributes:
        name: str. Name on the command line.
        class_name: str. Public name, `kerasgen.<class_name>`.
        module: str. The module that defines the class.
        data: str. What it is trained on: "images" or "frames".
        summary: str. One line for `kerasgen train --help`.
    """

    name: str
    class_name: str
    module: str
    data: str
    summary: str

    def load_class(self):
        """Imports and returns the model's class."""
        return getattr(importlib.import_module(self.module), self.class_name)


def model_entries():
    """All models of the zoo, as a dict of name -> `ModelEntry`."""
    folders = [info for info in pkgutil.iter_modules(kerasgen.models.__path__) if info.ispkg]
    modules = [importlib.import_module(f"kerasgen.models.{folder.name}") for folder in folders]
    return {module.ENTRY.name: module.ENTRY for module in modules}
