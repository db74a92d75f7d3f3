"""`kerasgen export`."""

import pathlib
import warnings

from kerasgen.cli import UserError
from kerasgen.cli.runs import load_run


def run(arguments):
    name = arguments.name
    if name is not None and (not name or pathlib.Path(name).name != name or name == ".."):
        raise UserError(f"`--name` must be a plain name. Received: {name!r}")
    model, run_name = load_run(arguments.run)
    import kerasgen

    out = pathlib.Path(arguments.out).expanduser()
    base = out / (name or run_name)
    try:
        path = export(
            model,
            base,
            version=arguments.model_version,
            warmup=arguments.warmup,
            untrained=arguments.untrained,
        )
        written = kerasgen.export.write_server_config(out)
    except (OSError, ValueError, kerasgen.export.ExportError) as error:
        reason = str(error).replace("`untrained=True`", "--untrained")
        raise UserError(f"Can't export to {str(base)!r}: {reason}") from None
    print(f"SavedModel: {path} ({', '.join(model.serving_signatures())})")
    for label, paths in (("Card", [base / "SERVING.md"]), ("Server", written)):
        if paths:
            print(f"{label + ':':11} {', '.join(map(str, paths))}")
    return 0


def export(model, base, **kwargs):
    """`kerasgen.export_for_serving`, which says what it leaves out in lines for people."""
    import kerasgen

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = kerasgen.export_for_serving(model, base, **kwargs)
    for warning in caught:
        if warning.category is UserWarning:
            print(f"Note: {warning.message}")
    return path
