"""`export_for_serving`: a model's signatures as a SavedModel that a server picks up."""

import pathlib

import keras
import tensorflow as tf

from kerasgen.files import write_beside


def export_for_serving(model, base_dir, version=None):
    """Exports a model for TF Serving.

    The SavedModel appears under its number only when it is complete, so that a server which
    watches `base_dir` never sees half of one.

    Args:
        model: `kerasgen.GenerativeModel`. Its `serving_signatures()` become the endpoints, the
            first one also as `serving_default`.
        base_dir: str or path. The directory that TF Serving is given as the model's base path.
        version: int or None. Defaults to None: one above the highest there, from 1.

    Returns:
        `pathlib.Path` of `base_dir/<version>`.

    Raises:
        ValueError: a version that isn't a positive whole number.
        FileExistsError: a version that exists already; it is left as it is.
        OSError: the SavedModel can't be written; nothing of it stays.

    Example:

    ```python
    path = kerasgen.export_for_serving(model, "saved_models/dcgan")
    served = tf.saved_model.load(path).signatures["generate_png"]
    png = served(seed=tf.constant([7], tf.int64))["image_bytes"][0].numpy()
    ```
    """
    base_dir = pathlib.Path(base_dir)
    taken = [int(p.name) for p in base_dir.glob("*") if p.name.isascii() and p.name.isdecimal()]
    version = max(taken, default=0) + 1 if version is None else version
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"`version` must be a positive whole number. Received: {version!r}")
    if version in taken:
        raise FileExistsError(
            f"Version {version} exists in {str(base_dir)!r} and is never overwritten; leave "
            f"`version` out to get {max(taken) + 1}."
        )
    archive = keras.export.ExportArchive()
    for name, signature in model.serving_signatures().items():
        archive.add_endpoint(name, signature.function, signature.inputs)
    target = base_dir / str(version)
    with write_beside(target) as part:
        try:
            archive.write_out(part, verbose=False)
        except tf.errors.OpError as error:  # TensorFlow's word for a full disk, among others
            raise OSError(f"TensorFlow can't write {str(target)!r}: {error.message}") from error
    return target
