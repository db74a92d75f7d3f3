"""`kerasgen train`: pictures or clips in, a trained model out, and all about the run beside it."""

import ast
import contextlib
import inspect
import math
import os
import pathlib
import shutil
import sys
import time
import warnings

from kerasgen.cli import UserError, devices, frames
from kerasgen.cli.export import export
from kerasgen.cli.report import PAGE
from kerasgen.cli.runs import (
    BACKUP,
    MODEL_FILE,
    beside,
    interrupted_run,
    new_run_directory,
    write_config,
    write_recipe,
)
from kerasgen.cli.start import start_tensorflow
from kerasgen.cli.watching import (
    interruptible,
    last_report,
    picture_watchers,
    report_writer,
    tensorboard,
)
from kerasgen.files import DirectoryInUse, hold
from kerasgen.models.registry import model_entries
from kerasgen.names import nearest

FRAMES = 50
MEASURED_CLIPS = 100  # at the end; `kerasgen evaluate` takes more
PICTURES_A_BATCH, CLIPS_A_BATCH = 32, 4
# What goes with one kind of data only, and the default of each.
PICTURE_OPTIONS = {"labels": False, "crop": "auto", "flip": False, "strict": False}
CLIP_OPTIONS = dict.fromkeys((*frames.SETTINGS, "stride"))
# What other options already say.
RESERVED = {"name", "dtype", "seed", "num_classes", "kwargs"}


def run(arguments):
    for name in ("model", "data"):
        if getattr(arguments, name) is None:
            raise UserError(
                "Say what to train and on which data: `kerasgen train MODEL --data SOURCE`, "
                f"`--recipe NAME_OR_FILE`, or `--from PRESET --data SOURCE`. Received: {name}=None"
            )
    if arguments.epochs is not None and arguments.epochs < 1:
        raise UserError(f"`--epochs` must be at least 1. Received: {arguments.epochs}")
    if arguments.sample_every is not None and arguments.sample_every < 1:
        raise UserError(f"`--sample-every` must be at least 1. Received: {arguments.sample_every}")
    if arguments.minutes is not None and not 0 < arguments.minutes < math.inf:
        raise UserError(f"`--minutes` must be positive. Received: {arguments.minutes}")
    of_clips = _of_clips(arguments)
    _check_kind(arguments, of_clips)
    if arguments.batch_size is None:
        arguments.batch_size = CLIPS_A_BATCH if of_clips else PICTURES_A_BATCH
    if arguments.data_service is not None and devices.cluster():
        raise UserError("`--data-service` is for one machine, and TF_CONFIG names several.")
    if arguments.new and arguments.out is not None:
        arguments.out = beside(arguments.out)
    if devices.cluster():
        return _run_on_machines(arguments)
    with contextlib.ExitStack() as stack:
        directory = _interrupted(arguments, stack)
        strategy = devices.make_strategy(arguments.devices, arguments.batch_size)
        return _train(arguments, strategy, *_prepare_run(arguments, strategy, directory, stack))


def _run_on_machines(arguments):
    """As `run`, on one of several machines: the chief says what all do, and writes the files."""
    if arguments.out is None:
        raise UserError("Several machines need `--out`, a run directory that they share.")
    strategy = devices.make_strategy(arguments.devices, arguments.batch_size)
    from kerasgen import distribution

    chief = distribution.is_chief(strategy)
    directory, refused = pathlib.Path(arguments.out).expanduser(), None
    with contextlib.ExitStack() as stack:
        if chief:
            try:
                directory = _interrupted(arguments, stack)
            except UserError as error:
                refused = error
        else:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        (count,) = distribution.sum_of_workers(strategy, [float(refused is not None)])
        if count:
            raise refused or UserError("The chief refused to begin: its message says why.")
        code = _train(arguments, strategy, *_prepare_run(arguments, strategy, directory, stack))
        distribution.sum_of_workers(strategy, [0.0])  # all wait for the chief's files
        return code


def _interrupted(arguments, stack):
    """The directory of the run to resume, kept for this process until the stack ends, or None."""
    directory = interrupted_run(arguments.out, _facts(arguments))
    if directory is not None:
        _hold(directory, stack)
    return directory


def _hold(directory, stack):
    try:
        stack.callback(hold(directory).release)
    except (DirectoryInUse, OSError) as error:
        raise UserError(error) from None


def _prepare_run(arguments, strategy, directory, stack):
    """What `_train` needs besides the strategy; a directory of None is a new one."""
    try:
        with strategy.scope():
            model, dataset, validation = _prepare(arguments)
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(error) from None
    from kerasgen import distribution

    epochs, every = _duration(arguments, model, len(dataset))
    new = directory is None
    if distribution.is_chief(strategy):
        place = pathlib.Path(arguments.out or ".").expanduser() if new else directory
        pictures = epochs // every if arguments.minutes is None else FRAMES
        _check_room(place, model, pictures * 64 * 4 * math.prod(dataset.image_shape))
    if new:
        directory = new_run_directory(arguments.out, arguments.model, arguments.data)
        _hold(directory, stack)
        if interrupted_run(directory, _facts(arguments)) is not None:
            raise UserError(f"Another run has meanwhile begun in {str(directory)!r}.")
        _write_config(directory, arguments, model, dataset)
    return model, dataset, validation, directory, epochs, every


def _facts(arguments):
    """All settings of a run, as its `config.json` has them."""
    return {name: value for name, value in vars(arguments).items() if name != "command"}


def _write_config(directory, arguments, model, dataset):
    try:
        write_config(directory, _facts(arguments), model, dataset)
        if arguments.recipe is not None:
            write_recipe(directory, arguments.recipe)
    except OSError as error:
        raise UserError(f"Can't write to {str(directory)!r}: {error}") from None


def _of_clips(arguments):
    return model_entries()[arguments.model].data == "frames"


def _check_kind(arguments, of_clips):
    """Refuses options that mean nothing for the data that the model is trained on."""
    options, theirs, ours = CLIP_OPTIONS, "clips", "pictures"
    if of_clips:
        options, theirs, ours = PICTURE_OPTIONS, ours, theirs
    for name, default in options.items():
        if getattr(arguments, name) != default:
            raise UserError(
                f"`--{name.replace('_', '-')}` goes with models that are trained on {theirs}, and "
                f"{arguments.model} is trained on {ours}: leave it out."
            )


def _prepare(arguments):
    """Everything that can fail on bad input: the data, the model and its settings."""
    model_class = _model_class(arguments.model)
    settings = _parse_settings(arguments.settings, model_class)

    def check_shape(shape):
        names = inspect.signature(model_class.check_shape).parameters
        asked = {name: value for name, value in settings["model"].items() if name in names}
        return model_class.check_shape(shape, **asked)

    load = frames.load if _of_clips(arguments) else _load_pictures
    dataset, validation = load(arguments, check_shape)
    shape = dataset.image_shape
    classes = {"num_classes": len(dataset.class_names)} if arguments.labels else {}
    if classes and "num_classes" not in inspect.signature(model_class.__init__).parameters:
        raise ValueError(f"{model_class.__name__} learns no classes: leave out `--labels`.")
    asked = {"seed": arguments.seed, "dtype": arguments.precision, **classes, **settings["model"]}
    if arguments.preset is None:
        model = model_class(shape, **asked)
    else:
        model = model_class.from_preset(arguments.preset, **asked)
        print(f"Going on from the weights of {arguments.preset}.")
        if model.image_shape != tuple(shape):
            raise ValueError(
                f"The preset was made for pictures of shape {model.image_shape}: leave out what "
                f"asks for others. Received: {tuple(shape)}"
            )
    model.compile(**settings["compile"])
    for line in model.explain():
        print(line)
    if dataset.pictures_per_epoch < model.fewest_pictures:
        raise ValueError(
            f"This {model_class.__name__} needs at least {model.fewest_pictures} pictures to "
            "generate later: give more, or smaller settings (`--set`). "
            f"Received: {dataset.pictures_per_epoch} an epoch"
        )
    if arguments.data_service is not None:
        import kerasgen

        dataset.served = kerasgen.data.from_service(dataset, arguments.data_service)
    return model, dataset, validation


def _load_pictures(arguments, check_shape):
    """Pictures to train on, and held-out ones or None."""
    import kerasgen

    where = {
        "source": arguments.data,
        "validation_split": arguments.validation_split,
        "data_dir": arguments.data_dir,
        "download": arguments.download,
    }
    found = kerasgen.data.inspect_images(
        split=arguments.split,
        image_size=arguments.image_size,
        channels=arguments.channels,
        **where,
    )
    shape = check_shape((*found.image_size, found.channels))
    crop = found.crop if arguments.crop == "auto" else arguments.crop
    print(f"Data: {found.kind}, {found.num_images} {found.reason}.")
    print(f"Training on {shape[0]}x{shape[1]} pixels, {shape[2]} channel(s), {crop} crop.")
    where |= {
        "image_size": found.image_size,
        "channels": found.channels,
        "batch_size": arguments.batch_size,
        "seed": arguments.seed,
        "labels": arguments.labels,
        "crop": crop,
        "strict": arguments.strict,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        start = time.monotonic()
        dataset = kerasgen.data.load_images(
            split=arguments.split, augment="flip" if arguments.flip else None, **where
        )
        validation = None
        if arguments.validation_split is not None:
            validation = kerasgen.data.load_images(split="validation", shuffle=False, **where)
    for warning in caught:
        print(f"Warning: {warning.message}", file=sys.stderr)
    print(f"Read {dataset.num_images} pictures in {time.monotonic() - start:.1f} s.")
    return dataset, validation


def _model_class(name):
    start_tensorflow()
    import tensorflow as tf

    # On CPUs the same seed gives the same bits as it is, and this would undo the prefetching.
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    return model_entries()[name].load_class()


def _parse_settings(settings, model_class):
    """Sorts `name=value` pairs into arguments of the model and of its `compile`."""
    _, _shape, *model_names = inspect.signature(model_class.__init__).parameters
    _, *compile_names = inspect.signature(model_class.compile).parameters
    known = {"model": set(model_names) - RESERVED, "compile": set(compile_names) - RESERVED}
    names = sorted(known["model"] | known["compile"])
    sorted_settings = {"model": {}, "compile": {}}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"`--set` takes NAME=VALUE. Received: {setting!r}")
        if name not in names:
            raise ValueError(
                f"{model_class.__name__} has no setting {name!r}.{nearest(name, names)} "
                f"There are: {', '.join(names)}."
            )
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        sorted_settings["model" if name in known["model"] else "compile"][name] = value
    return sorted_settings


def _duration(arguments, model, steps_per_epoch):
    """Epochs to train, and epochs between samples."""
    epochs = arguments.epochs
    if arguments.minutes is not None:
        epochs = 10**6
        print(f"Training for {arguments.minutes:g} minutes, {steps_per_epoch} steps an epoch.")
    elif epochs is None:
        epochs = math.ceil(model.default_steps / steps_per_epoch)
        print(
            f"Training for {epochs} epochs of {steps_per_epoch} steps, which makes about "
            f"{model.default_steps} steps; --epochs or --minutes asks for another length."
        )
    else:
        print(f"Training for {epochs} epochs of {steps_per_epoch} steps.")
    if arguments.sample_every is not None:
        return epochs, arguments.sample_every
    return epochs, 1 if arguments.minutes is not None else max(1, round(epochs / FRAMES))


def _check_room(directory, model, samples):
    """Stops before hours of work that could not be saved."""
    weights = sum(4 * math.prod(variable.shape) for variable in model.variables)
    # model.keras holds two moments beside the weights, twice while it is replaced; the
    # SavedModel; the samples, in bytes, twice for the film.
    needed = 8 * weights + 2 * samples + 16 * 2**20
    place = directory.absolute()
    existing = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"The disk of {str(directory)!r} has {free / 2**20:.0f} MB free, and this run may "
            f"need {needed / 2**20:.0f} MB: free some, or give --out another place."
        )


def _train(arguments, strategy, model, dataset, validation, directory, epochs, every):
    import keras

    import kerasgen
    from kerasgen import distribution
    from kerasgen.cli.progress import EpochLines, Progress
    from kerasgen.data.collect import first_batch

    chief = distribution.is_chief(strategy)
    samples = directory / "samples"
    batch = first_batch(dataset if validation is None else validation)
    of_clips = _of_clips(arguments)
    if of_clips:
        watchers = frames.watchers(validation) if arguments.evaluate else []
    else:
        watchers = picture_watchers(arguments, dataset, validation, directory, epochs)
    callbacks = [
        *watchers,
        *([keras.callbacks.CSVLogger(directory / "history.csv")] if chief else []),
        kerasgen.callbacks.SampleImages(samples, every=every, batch=batch),
    ]
    evaluate = next((w for w in watchers if hasattr(w, "evaluator")), None)
    if arguments.tensorboard and chief:
        callbacks += tensorboard(directory / "tensorboard", every, batch, evaluate)
    limit = None
    if arguments.minutes is not None:
        limit = kerasgen.callbacks.TimeLimit(arguments.minutes)
        callbacks.append(limit)
    progress = Progress(arguments.batch_size, "clips" if of_clips else "pictures", limit)
    callbacks = [progress, *callbacks, *([EpochLines(progress)] if arguments.verbose else [])]
    if arguments.report and chief:
        callbacks.append(report_writer(directory, evaluate))
    backup = directory / BACKUP
    callbacks.append(kerasgen.callbacks.FullStateBackup(backup, delete_when_done=False))
    print(f"Run directory: {directory}  (Ctrl-C ends the training and keeps what it has learnt)")
    page = f", {directory / PAGE}" if arguments.report else ""
    print(f"To watch it: {samples / '*-latest.png'}{page}")
    start, first_step = time.monotonic(), int(model.step.numpy())
    try:
        with interruptible(callbacks, strategy) as interruption:
            model.fit(
                getattr(dataset, "served", dataset),
                epochs=epochs,
                validation_data=validation,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
            seconds = time.monotonic() - start
            _check_finite(model, directory)
            model.prepare_to_generate(dataset)
            if not chief:
                return 130 if interruption["count"] else 0
            for name, grid in model.preview(batch).items():
                kerasgen.plots.write_grid(samples / f"{name}-latest.png", grid)
            model_file = directory / MODEL_FILE
            with kerasgen.files.write_beside(model_file) as part:
                model.save(part)
            saved_model = export(model, directory / "saved_model")
            shutil.rmtree(backup)
    except distribution.WorkerLost as error:
        raise UserError(f"{error} The same command goes on from the last backup.") from None
    except OSError as error:
        raise UserError(
            f"{error}. The run ended; whole files written before remain in {str(directory)!r}."
        ) from None
    print(f"Trained {model.step.numpy() - first_step} steps in {seconds / 60:.1f} minutes.")
    for label, paths in (
        ("Pictures", sorted(samples.glob("*-latest.png"))),
        ("Films", sorted(samples.glob("*.gif"))),
        ("Model", [model_file]),
        ("SavedModel", [saved_model]),
    ):
        print(f"{label + ':':12}{', '.join(map(str, paths))}")
    if of_clips and arguments.evaluate:
        _measure_horizons(arguments, model, dataset, validation, directory, seconds / 60)
    if arguments.report:
        last_report(directory, model, None if of_clips else dataset)
        print(f"{'Report:':12}{directory / PAGE}")
    return 130 if interruption["count"] else 0


def _check_finite(model, directory):
    import numpy as np

    if not all(np.isfinite(variable.numpy()).all() for variable in model.weights):
        raise UserError(
            "The training diverged: weights aren't finite any more, and there are no earlier ones "
            "to go back to. A lower rate helps, such as `--set learning_rate=1e-4`. No model was "
            f"saved; what was written on the way remains in {str(directory)!r}."
        )


def _measure_horizons(arguments, model, dataset, validation, directory, minutes):
    """What a model of clips is worth at the end, on held-out ones if there are some."""
    facts = {"data": arguments.data, "split": arguments.split, "held_out": None}
    facts["minutes"] = round(minutes, 4)
    if validation is None:
        print("No held-out clips (--validation-split): measuring with training clips.")
    else:
        facts["held_out"] = "validation"
    clips = dataset if validation is None else validation
    try:
        frames.write_horizons(directory, model, clips, MEASURED_CLIPS, facts)
    except OSError as error:
        raise UserError(f"Can't write to {str(directory)!r}: {error}") from None
