"""What commands do with models that are trained on clips."""

import json
import time

from kerasgen.files import write_beside

SETTINGS = ("num_frames", "frame_step")  # that evaluation and generation share with training
FUTURES = 10
CLIPS_OF_FUTURES = 100  # all of their futures are in memory at once


def load(arguments, check_shape):
    """Clips to train on, and held-out ones or None, as the arguments of `kerasgen train` say.

    Args:
        arguments: `argparse.Namespace`.
        check_shape: function of the shape of a frame that raises a ValueError for one that the
            model can't take.

    Returns:
        Tuple of two `tf.data.Dataset`, or one and None.
    """
    import kerasgen

    where = {
        "source": arguments.data,
        "validation_split": arguments.validation_split,
        "data_dir": arguments.data_dir,
        "download": arguments.download,
    }
    found = kerasgen.data.inspect_frames(
        split=arguments.split,
        image_size=arguments.image_size,
        channels=arguments.channels,
        **where,
    )
    shape = check_shape((*found.image_size, found.channels))
    print(f"Data: {found.kind}, {found.num_clips} clip(s): {found.reason}.")
    where |= {
        "image_size": shape[:2],
        "channels": shape[2],
        "batch_size": arguments.batch_size,
        "seed": arguments.seed,
        **_given(vars(arguments), SETTINGS),
    }
    start = time.monotonic()
    dataset = kerasgen.data.load_frames(
        split=arguments.split, **where, **_given(vars(arguments), ("stride",))
    )
    validation = None
    if arguments.validation_split is not None or arguments.data == "moving_digits":
        validation = kerasgen.data.load_frames(split="validation", shuffle=False, **where)
    held_out = "" if validation is None else f", and {validation.num_clips} held out"
    print(
        f"Training on {dataset.num_clips} sequences of {dataset.frame_shape[0]} frames of "
        f"{shape[0]}x{shape[1]} pixels, {shape[2]} channel(s){held_out}; read in "
        f"{time.monotonic() - start:.1f} s."
    )
    return dataset, validation


def watchers(validation):
    """The callbacks that keep the best weights and end a training that can't go on.

    Args:
        validation: `tf.data.Dataset` of held-out clips, or None: the last weights are kept.

    Returns:
        List of `keras.callbacks.Callback`.
    """
    import keras

    callbacks = [keras.callbacks.TerminateOnNaN()]
    if validation is not None:
        print(
            "The weights that continue held-out clips best (val_psnr) are kept "
            "(--no-evaluate keeps the last)."
        )
        callbacks.append(
            keras.callbacks.EarlyStopping(
                "val_psnr", mode="max", patience=10**9, restore_best_weights=True, verbose=1
            )
        )
    return callbacks


def load_split(model, settings, split):
    """Clips of a split as the model saw them.

    Args:
        model: frame generator.
        settings: dict of the run's settings, as `kerasgen evaluate` reads them.
        split: str.

    Returns:
        `tf.data.Dataset`.
    """
    import kerasgen

    height, width, channels = model.image_shape
    return kerasgen.data.load_frames(
        settings["data"],
        split=split,
        validation_split=settings["validation_split"],
        data_dir=settings["data_dir"],
        image_size=(height, width),
        channels=channels,
        shuffle=split == settings["split"],  # its sequences overlap: some from everywhere
        drop_remainder=False,
        **_given(settings, SETTINGS),
    )


def write_horizons(directory, model, clips, max_clips, facts, seed=0):
    """Measures predictions at each horizon, prints the table, and writes JSON and figure.

    Args:
        directory: `pathlib.Path`. Gets `horizons.json` and `horizons.png`.
        model: frame generator.
        clips: `tf.data.Dataset`.
        max_clips: int. Most clips to measure with.
        facts: dict. What else the JSON file is to say.
        seed: int. What futures are drawn from. Defaults to 0.
    """
    import kerasgen

    measure = {"num_futures": FUTURES, "seed": seed} if model.latent_dim else {}
    if measure:
        max_clips = min(max_clips, CLIPS_OF_FUTURES)
    quality, futures = kerasgen.metrics.evaluate_frames(
        model, clips, max_clips=max_clips, **measure
    )
    facts = {**facts, "context_frames": model.context_length(clips.frame_shape[0])}
    facts |= quality.to_dict()
    print(f"\n{quality}\n\n{quality.num_clips} clips, {facts['context_frames']} known frames each.")
    if futures is not None:
        facts |= {"num_futures": FUTURES, "futures": futures.to_dict()}
        print(
            f"Best of {FUTURES} futures: mse {futures.best_mse.mean():.4g}, of all "
            f"{futures.mean_mse.mean():.4g}; diversity {futures.diversity.mean():.4g}."
        )
    figure = kerasgen.plots.horizon_figure(quality, futures)
    with write_beside(directory / "horizons.json") as part:
        part.write_text(json.dumps(facts, indent=2) + "\n")
    with write_beside(directory / "horizons.png") as part:
        figure.savefig(part, dpi=120)
    print(f"{'Horizons:':12}{directory / 'horizons.json'}, {directory / 'horizons.png'}")


def _given(settings, names):
    """Those settings that were asked for."""
    return {name: settings[name] for name in names if settings[name] is not None}
