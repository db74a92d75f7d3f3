"""kerasgen: image generators for Keras 3 on TensorFlow.

Public names are imported when first used, so that `import kerasgen` and the command line's
`--help` don't wait for TensorFlow.
"""

import importlib

import wrapt

from kerasgen._version import __version__
from kerasgen.models.registry import model_entries
from kerasgen.presets import from_preset, list_presets

_SUBMODULES = (
    "callbacks",
    "data",
    "distribution",
    "export",
    "files",
    "layers",
    "losses",
    "metrics",
    "plots",
    "presets",
    "report",
    "samplers",
    "serving",
)
_NAMES = {entry.class_name: entry.module for entry in model_entries().values()} | {
    "GenerativeModel": "kerasgen.generative_model",
    "export_for_serving": "kerasgen.export",
}
__all__ = ["__version__", "from_preset", "list_presets", *_SUBMODULES, *_NAMES]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module 'kerasgen' has no attribute {name!r}")
    from kerasgen.backend import require_tensorflow

    require_tensorflow()
    if name in _SUBMODULES:
        return importlib.import_module(f"kerasgen.{name}")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__():
    return __all__


def _register_models(keras):
    """Lets `keras.saving.load_model` know the models, however late Keras is imported.

    Their classes are imported when one is loaded: one of our own modules may be importing Keras
    just now, and is but half there.
    """
    if keras.backend.backend() == "tensorflow":
        for entry in model_entries().values():
            keras.saving.get_custom_objects().setdefault(
                f"kerasgen>{entry.class_name}", wrapt.LazyObjectProxy(entry.load_class)
            )


wrapt.register_post_import_hook(_register_models, "keras")
