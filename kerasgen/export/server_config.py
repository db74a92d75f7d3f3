"""What a TensorFlow Serving of several models is told: `models.config` and `batching.config`."""

import pathlib
import re

from kerasgen.files import write_beside
from kerasgen.serving.client import ROWS

MARK = "# Written by kerasgen at each export; remove this line to keep your own changes.\n"
MODELS, BATCHING = "models.config", "batching.config"
# Batches are filled up to the next of these sizes, so that few graphs are prepared.
SIZES = tuple(2**power for power in range(ROWS.bit_length()))

MODEL = """  config {{
    name: "{name}"
    base_path: "{base}/{name}"
    model_platform: "tensorflow"
  }}
"""

BATCH = """max_batch_size {{ value: {most} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
{sizes}
"""


def write_server_config(directory, base="/models"):
    """Writes `models.config` and `batching.config` for all models below a directory.

    A file that isn't kerasgen's own any more is left as it is.

    Args:
        directory: str or path. Its subdirectories with numbered versions are the models.
        base: str. Where the server sees the directory. Defaults to "/models", as in the image
            `tensorflow/serving`.

    Returns:
        List of `pathlib.Path`, the files that were written.

    Raises:
        ValueError: no model there.
        OSError: they can't be written.

    Example:

    ```python
    kerasgen.export_for_serving(model, "saved_models/digits")
    kerasgen.export.write_server_config("saved_models")
    ```
    """
    directory = pathlib.Path(directory)
    names = sorted(
        {file.parent.parent.name for file in directory.glob("*/*/saved_model.pb")
         if re.fullmatch(r"[0-9]+", file.parent.name)}
    )  # fmt: skip
    if not names:
        raise ValueError(
            f"Expected subdirectories with exported models, NAME/VERSION/saved_model.pb. "
            f"Received: directory={str(directory)!r}"
        )
    models = "".join(MODEL.format(name=_escaped(name), base=base.rstrip("/")) for name in names)
    sizes = "\n".join(f"allowed_batch_sizes: {size}" for size in SIZES)
    texts = {
        MODELS: f"model_config_list {{\n{models}}}\n",
        BATCHING: BATCH.format(most=SIZES[-1], sizes=sizes),
    }
    written = []
    for name, text in texts.items():
        path = directory / name
        if path.exists() and not path.read_text().startswith(MARK):
            continue
        with write_beside(path) as part:
            part.write_text(MARK + text)
        written.append(path)
    return written


def _escaped(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')
