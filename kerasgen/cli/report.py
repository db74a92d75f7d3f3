"""`kerasgen report`: one page about a run, or about several side by side."""

import pathlib

from kerasgen.cli import UserError
from kerasgen.cli.runs import MODEL_FILE, load_run
from kerasgen.report import read_run, write_report
from kerasgen.report.page import check_place
from kerasgen.report.run import EXTRAS

PAGE = "report.html"


def run(arguments):
    runs = [pathlib.Path(path).expanduser() for path in arguments.runs]
    try:
        for path in runs:
            read_run(path)
        out = arguments.out or (runs[0] / PAGE if len(runs) == 1 else PAGE)
        out = pathlib.Path(out).expanduser()
        if out.suffix != ".html":
            raise UserError(f"`--out` must end in .html. Received: {str(out)!r}")
        check_place(out)
        for path in runs:
            if not arguments.quick and (path / MODEL_FILE).exists() and not _has_extras(path):
                make_extras(path)
        page = write_report(runs, out)
    except (OSError, ValueError) as error:
        raise UserError(error) from None
    print(f"Report:     {page}")
    return 0


def _has_extras(path):
    return (path / EXTRAS).exists()


def make_extras(path):
    """Makes the pictures that take model and data, and says what can't be made.

    Args:
        path: `pathlib.Path` of a run directory that has ended.
    """
    model, _ = load_run(str(path))
    data, reason = None, None
    if not hasattr(model, "predict_frames"):
        try:
            data = _training_pictures(read_run(path).config, model)
        except (KeyError, TypeError, ValueError, ImportError, OSError) as error:
            reason = error
    write_extras(model, data, path)
    if reason is not None:
        print(f"Note: no nearest neighbours of {path.name}: {reason}")


def write_extras(model, data, directory):
    """Writes what a report of a run shows besides its files.

    Args:
        model: `GenerativeModel` that can generate.
        data: the pictures that it was trained on, or None.
        directory: `pathlib.Path` of the run directory.
    """
    from kerasgen.report import extras

    extras.write_walk(model, directory)
    if data is not None:
        extras.write_neighbours(model, data, directory)


def _training_pictures(config, model):
    import kerasgen

    settings = config["arguments"]
    height, width, channels = model.image_shape
    return kerasgen.data.load_images(
        settings["data"],
        split=settings.get("split", "train"),
        validation_split=settings.get("validation_split"),
        data_dir=settings.get("data_dir"),
        image_size=(height, width),
        channels=channels,
        crop=config["data"].get("crop", "center"),
        shuffle=False,
        drop_remainder=False,
    )
