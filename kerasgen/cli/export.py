"""`kerasgen export`."""

import pathlib

from kerasgen.cli import UserError
from kerasgen.cli.runs import load_run


def run(arguments):
    name = arguments.name
    if name is not None and (not name or pathlib.Path(name).name != name or name == ".."):
        raise UserError(f"`--name` must be a plain name. Received: {name!r}")
    model, run_name = load_run(arguments.run)
    import kerasgen

    base = pathlib.Path(arguments.out).expanduser() / (name or run_name)
    try:
        path = kerasgen.export_for_serving(model, base)
    except OSError as error:
        raise UserError(f"Can't write to {str(base)!r}: {error}") from None
    print(f"SavedModel: {path} ({', '.join(model.serving_signatures())})")
    return 0
