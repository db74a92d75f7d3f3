"""`export_for_serving`: a model's signatures as a SavedModel that a server picks up."""

import pathlib
import warnings

import keras
import tensorflow as tf

from kerasgen.export.card import write_card
from kerasgen.export.check import Exchange, check_export
from kerasgen.export.warmup import write_warmup
from kerasgen.files import write_beside

# Rows of the requests that an export is checked and a server is warmed up with.
BATCHES = (1, 8)
NO_WARMUP = (
    "tensorflow-serving-api isn't installed: the SavedModel has no warm-up requests. Install it "
    'with `pip install "kerasgen[serving]"`, or export with `warmup=False`.'
)


def export_for_serving(model, base_dir, version=None, warmup=True, untrained=False):
    """Exports a model for TF Serving.

    The SavedModel appears under its number only when it is complete and a process without Keras
    and kerasgen has run every endpoint of it with the model's own results, so that a server which
    watches `base_dir` never sees half of one. Beside the versions there are `SERVING.md`, which
    describes the endpoints, and `examples/`, a request and its answer for each of them.

    Args:
        model: `kerasgen.GenerativeModel`. Its `serving_signatures()` become the endpoints, the
            first one also as `serving_default`.
        base_dir: str or path. The directory that TF Serving is given as the model's base path.
        version: int or None. Defaults to None: one above the highest there, from 1.
        warmup: bool. Whether the SavedModel holds requests that a server answers while it loads,
            so that the first ones of users don't wait. That takes `tensorflow-serving-api`
            (`pip install "kerasgen[serving]"`); without it a warning says that they are left
            out. Defaults to True.
        untrained: bool. Whether a model that never took a step of training is exported all the
            same, since its weights come from elsewhere. Defaults to False.

    Returns:
        `pathlib.Path` of `base_dir/<version>`.

    Raises:
        TypeError: a model without `serving_signatures`.
        ValueError: a version that isn't a positive whole number, or an untrained model.
        FileExistsError: a version that exists already; it is left as it is.
        ExportError: the SavedModel doesn't load, or an endpoint doesn't answer as the model does;
            nothing of it stays.
        OSError: the SavedModel can't be written; nothing of it stays.

    Example:

    ```python
    path = kerasgen.export_for_serving(model, "saved_models/dcgan")
    served = tf.saved_model.load(path).signatures["generate_png"]
    png = served(seed=tf.constant([7], tf.int64))["image_bytes"][0].numpy()
    ```
    """
    _check_model(model, untrained)
    base_dir = pathlib.Path(base_dir)
    target = base_dir / str(_free_version(base_dir, version))
    signatures = model.serving_signatures()
    if model.serving_note:
        warnings.warn(model.serving_note, stacklevel=2)
    with write_beside(target) as part:
        try:
            graphs = {name: signature.as_graph() for name, signature in signatures.items()}
            _write(part, graphs)
            exchanges = [
                Exchange.of(name, graphs[name], signature.example(rows))
                for name, signature in signatures.items()
                for rows in BATCHES
            ]
            check_export(part, exchanges)
            if warmup and not write_warmup(part, base_dir.name, exchanges):
                warnings.warn(NO_WARMUP, stacklevel=2)
            write_card(base_dir, model, signatures, exchanges)
        except tf.errors.OpError as error:  # TensorFlow's word for a full disk, among others
            raise OSError(f"TensorFlow can't write {str(target)!r}: {error.message}") from error
    return target


def _check_model(model, untrained):
    if not hasattr(model, "serving_signatures"):
        raise TypeError(
            "Expected a model of the zoo, a `kerasgen.GenerativeModel`; any other Keras model is "
            f"exported by its own `export`. Received: model={model!r}"
        )
    if not untrained and int(model.step.numpy()) == 0:
        raise ValueError(
            f"This {type(model).__name__} never took a step of training: what it draws would be "
            "noise. Call its `fit` first; or, if its weights come from elsewhere, export it with "
            "`untrained=True`. Received: model.step=0"
        )


def _free_version(base_dir, version):
    taken = [int(p.name) for p in base_dir.glob("*") if p.name.isascii() and p.name.isdecimal()]
    if version is None:
        return max(taken, default=0) + 1
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"`version` must be a positive whole number. Received: {version!r}")
    if version in taken:
        raise FileExistsError(
            f"Version {version} exists in {str(base_dir)!r} and is never overwritten; leave "
            f"`version` out to get {max(taken) + 1}."
        )
    return version


def _write(part, graphs):
    archive = keras.export.ExportArchive()
    for name, graph in graphs.items():
        archive.add_endpoint(name, graph)
    archive.write_out(part, verbose=False)
