"""`kerasgen evaluate`: how good a trained model's pictures or predictions are: table and figure."""

import functools
import json
import os
import pathlib
import warnings

from kerasgen.cli import UserError, frames
from kerasgen.cli.runs import find_model, load_run, preset_directory, read_config, read_evaluation
from kerasgen.files import write_beside

PICTURES = 2000
CLIPS = 500
EXTRACTOR = "fashion-cnn"
_HELD_OUT_SPLITS = ("test", "validation", "val")


def run(arguments):
    if arguments.num is not None and arguments.num < 10:
        raise UserError(f"`--num` must be at least 10. Received: {arguments.num}")
    if not 0 <= arguments.seed < 2**32:
        raise UserError(f"`--seed` must be from 0 to 2**32 - 1. Received: {arguments.seed}")
    find_model(arguments.run)
    settings = _run_settings(arguments)
    if arguments.data in (None, settings["trained_on"]):
        for name, value in read_evaluation(arguments.run).items():
            if getattr(arguments, name, value) is None:
                setattr(arguments, name, value)
    directory = _free_directory(arguments)
    model, _ = load_run(arguments.run)
    if hasattr(model, "predict_frames"):
        return _measure_horizons(directory, arguments, settings, model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            panel, generated, train, held_out_split = _measure(arguments, settings, model)
        except (ValueError, TypeError, ImportError, OSError) as error:
            raise UserError(error) from None
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"Note: {message}")
    print(f"\n{panel}\n")
    _write(directory, arguments, settings, panel, generated, train, held_out_split)
    return 0


def _measure_horizons(directory, arguments, settings, model):
    """The same for a model that continues clips."""
    if arguments.extractor is not None:
        raise UserError(
            "`--extractor` goes with pictures; predicted frames are compared with those that "
            "came, pixel by pixel: leave it out."
        )
    load = functools.partial(frames.load_split, model, settings)
    try:
        clips, held_out_split = _held_out(load, settings, arguments.held_out)
        if clips is None:
            print(f"No held-out split: measuring with split {settings['split']!r}.")
            clips = load(settings["split"])
        else:
            print(f"Held out: {clips.num_clips} clips, split {held_out_split!r}.")
        facts = _facts(arguments, settings, held_out_split)
        frames.write_horizons(
            directory, model, clips, arguments.num or CLIPS, facts, arguments.seed
        )
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(error) from None
    return 0


def _measure(arguments, settings, model):
    """The panel, the pictures it is about, the training pictures, and the held-out split."""
    import kerasgen
    from kerasgen.metrics.evaluator import FEWEST

    extractor = kerasgen.metrics.get_extractor(arguments.extractor or EXTRACTOR)
    if settings["crop"] is None:  # a preset that doesn't say: as a training would choose
        found = kerasgen.data.inspect_images(
            **_source(settings, settings["split"]), image_size=model.image_shape[:2]
        )
        settings["crop"] = found.crop
    train, labels, class_names = _load(model, settings, settings["split"])
    held_out, held_out_split = _held_out(
        lambda split: _load(model, settings, split)[0], settings, arguments.held_out
    )
    if held_out is not None and arguments.held_out is None and len(held_out) < FEWEST:
        print(f"Held out: {len(held_out)} pictures, too few to compare with.")
        held_out = held_out_split = None
    if held_out is None:
        print("No held-out pictures: comparing with the training pictures themselves.")
    else:
        print(f"Held out: {len(held_out)} pictures, split {held_out_split!r}.")
    if settings["crop"] == "random":
        print(f"The training pictures are {len(train)} random crops, new ones at each epoch.")
    generated = model.evaluation_samples(arguments.num or PICTURES, seed=arguments.seed)
    panel = kerasgen.metrics.evaluate_panel(
        generated,
        train,
        held_out,
        train_labels=labels,
        class_names=class_names,
        extractor=extractor,
        seed=arguments.seed,
    )
    return panel, generated, train, held_out_split


def _run_settings(arguments):
    """What the run was trained on, with what the command line says instead."""
    settings = {
        "data": None,
        "split": "train",
        "validation_split": None,
        "crop": "center",
        "data_dir": None,
        **dict.fromkeys(frames.SETTINGS),
    }
    facts = read_config(arguments.run)
    if facts is not None:
        known = facts["arguments"] | {"crop": facts["data"].get("crop", "center")}
        settings |= {name: known.get(name, value) for name, value in settings.items()}
    settings["trained_on"] = settings["data"]
    if arguments.data is not None and arguments.data != settings["data"]:
        settings |= {"data": arguments.data, "split": "train", "validation_split": None}
    if arguments.data_dir is not None:
        settings["data_dir"] = arguments.data_dir
    if settings["data"] is None:
        raise UserError(
            "Say which pictures to compare with: --data SOURCE (only a run directory knows what "
            f"it was trained on). Received: {arguments.run!r}"
        )
    return settings


def _load(model, settings, split):
    """All pictures of a split as the model saw them, their labels, and the classes' names."""
    import kerasgen

    height, width, channels = model.image_shape
    where = _source(settings, split)
    class_names = kerasgen.data.inspect_images(**where).class_names
    random = settings["crop"] == "random"
    dataset = kerasgen.data.load_images(
        **where,
        image_size=(height, width),
        channels=channels,
        labels=class_names is not None,
        crop=settings["crop"],
        shuffle=random,
        drop_remainder=False,
    )
    images, labels = kerasgen.data.collect_images(dataset)
    return images, labels, class_names


def _source(settings, split):
    return {
        "source": settings["data"],
        "split": split,
        "validation_split": settings["validation_split"],
        "data_dir": settings["data_dir"],
    }


def _held_out(load, settings, asked):
    """What `load` gives of data that the model wasn't trained on, and its split, or twice None."""
    if asked is not None and asked == settings["split"]:
        raise ValueError(
            f"The model was trained on that split: give another one. Received: --held-out {asked}"
        )
    if asked is not None:
        return load(asked), asked
    if settings["validation_split"] is not None:
        return load("validation"), "validation"
    for split in _HELD_OUT_SPLITS:
        if split != settings["split"]:
            try:
                return load(split), split
            except (ValueError, OSError):  # the source has no such split
                continue
    return None, None


def _free_directory(arguments):
    """Where the results go; fails before any work where nothing can be written."""
    path = pathlib.Path(arguments.run).expanduser()
    own = path.is_dir() and preset_directory(arguments.run) is None
    default = path / "evaluation" if own else pathlib.Path("evaluation")
    directory = default if arguments.out is None else pathlib.Path(arguments.out).expanduser()
    above = next(path for path in (directory, *directory.parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(
            f"Can't write to {str(directory)!r}: {str(above)!r} is no directory that may be "
            "written. Give --out another place."
        )
    return directory


def _write(directory, arguments, settings, panel, generated, train, held_out_split):
    from kerasgen.plots import evaluation_figure

    facts = {**_facts(arguments, settings, held_out_split), **panel.to_dict()}
    figure = evaluation_figure(panel, generated, train)
    try:
        with write_beside(directory / "evaluation.json") as part:
            part.write_text(json.dumps(facts, indent=2) + "\n")
        with write_beside(directory / "evaluation.png") as part:
            figure.savefig(part, dpi=120)
    except OSError as error:
        raise UserError(f"Can't write to {str(directory)!r}: {error}") from None
    print(f"JSON:       {directory / 'evaluation.json'}")
    print(f"Figure:     {directory / 'evaluation.png'}")


def _facts(arguments, settings, held_out_split):
    return {
        "run": arguments.run,
        "data": settings["data"],
        "split": settings["split"],
        "held_out": held_out_split,
        "seed": arguments.seed,
    }
