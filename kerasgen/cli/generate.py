"""`kerasgen generate`: pictures, or the next frames of a clip."""

import math
import pathlib

import numpy as np

from kerasgen.cli import UserError
from kerasgen.cli.runs import load_run, read_config
from kerasgen.files import write_beside

PICTURES = 64
FRAMES = 10
TRAINING_FRAMES = 20  # of a sequence, where nothing says how many they were


def run(arguments):
    for name in ("num", "num_frames", "context_frames"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"`--{name.replace('_', '-')}` must be at least 1. Received: {value}")
    if arguments.out is not None:
        _check_out(arguments.out, (".png", ".gif"))
    model, _ = load_run(arguments.run)
    if hasattr(model, "predict_frames"):
        return _continue_clip(arguments, model)
    for name in ("context", "num_frames", "context_frames"):
        if getattr(arguments, name) is not None:
            raise UserError(
                f"`--{name.replace('_', '-')}` goes with models that continue clips, and a "
                f"{type(model).__name__} makes pictures of nothing: leave it out."
            )
    return _draw_pictures(arguments, model)


def _draw_pictures(arguments, model):
    from kerasgen.plots import write_grid

    out = _check_out("samples.png" if arguments.out is None else arguments.out, (".png",))
    try:
        images = model.generate(arguments.num or PICTURES, seed=arguments.seed)
    except ValueError as error:
        raise UserError(error) from None
    if out.suffix == "":
        _write_files(out, images)
    else:
        columns = math.ceil(math.sqrt(len(images)))
        blank = np.full((-len(images) % columns, *images.shape[1:]), 255, np.uint8)
        grid = np.concatenate([images, blank]).reshape(-1, columns, *images.shape[1:])
        write_grid(out, grid)
    print(f"{len(images)} pictures: {out}")
    return 0


def _continue_clip(arguments, model):
    out = _check_out("frames.gif" if arguments.out is None else arguments.out, (".png", ".gif"))
    if arguments.context is None:
        raise UserError(
            f"A {type(model).__name__} continues a clip: name one with --context, a video, an "
            "animated GIF, a folder of numbered frames, or 'moving_digits'."
        )
    count = arguments.num or 1
    if count > 1 and not model.latent_dim:
        raise UserError(
            "This model knows one future of a clip; several need training with latents "
            f"(--set latent_dim=16). Received: --num {count}"
        )
    try:
        context = _read_context(arguments, model)
        past = np.repeat(context[None], count, axis=0)
        futures = model.generate(past, arguments.num_frames or FRAMES, seed=arguments.seed)
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(error) from None
    _write_futures(out, past, futures)
    print(f"{futures.shape[1]} frames after {len(context)} known ones, {count} future(s): {out}")
    return 0


def _read_context(arguments, model):
    """The last frames of the clip to continue, in size and pace as the model was trained."""
    import kerasgen

    facts = read_config(arguments.run)
    trained = {} if facts is None else facts["arguments"]
    height, width, channels = model.image_shape
    clip = kerasgen.data.load_clip(
        arguments.context, (height, width), channels, frame_step=trained.get("frame_step") or 1
    )
    known = arguments.context_frames
    if known is None:
        known = model.context_length(trained.get("num_frames") or TRAINING_FRAMES)
    if len(clip) < known:
        raise ValueError(
            f"The model is to read {known} frames and the clip has {len(clip)}: give a longer "
            f"one, or --context-frames {len(clip)}. Received: --context {arguments.context}"
        )
    return clip[-known:]


def _write_futures(out, past, futures):
    """One film or picture with a row a future, or folders of the generated frames."""
    from kerasgen.plots import grid_image, write_film, write_grid

    if out.suffix == "":
        for index, frames in enumerate(futures):
            _write_files(out if len(futures) == 1 else out / f"{index:02d}", frames)
    elif out.suffix.lower() == ".gif":
        clips = np.concatenate([past, futures], axis=1).swapaxes(0, 1)
        write_film(out, [grid_image(frames[None]) for frames in clips])
    else:
        gap = np.full_like(futures[:, :1], 255)  # between what is known and what is generated
        write_grid(out, np.concatenate([past, gap, futures], axis=1))


def _write_files(folder, images):
    from kerasgen.data.pictures import encode_png

    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        with write_beside(folder / f"{index:05d}.png") as part:
            part.write_bytes(encode_png(image))


def _check_out(out, suffixes):
    """The path to write to: a file of one of the suffixes, or a new or empty folder."""
    path = pathlib.Path(out).expanduser()
    if path.suffix and path.suffix.lower() not in suffixes:
        raise UserError(
            f"`--out` must be a {' or '.join(suffixes)} file, or a folder for one file a picture. "
            f"Received: {str(out)!r}"
        )
    if not path.suffix and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{str(path)!r} holds something already; give another folder.")
    return path
