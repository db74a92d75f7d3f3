"""`kerasgen reconstruct`: pictures above what a trained model makes of them."""

import pathlib

import numpy as np

from kerasgen.cli import UserError
from kerasgen.cli.runs import load_run

COLUMNS = 8
_SPLITS = ("test", "validation", "train")


def run(arguments):
    out = pathlib.Path(arguments.out).expanduser()
    if out.suffix.lower() != ".png":
        raise UserError(f"`--out` must be a .png file. Received: {arguments.out!r}")
    if arguments.num < 1:
        raise UserError(f"`--num` must be at least 1. Received: {arguments.num}")
    if arguments.refinement < 0:
        raise UserError(f"`--refinement` must be at least 0. Received: {arguments.refinement}")
    paths = [pathlib.Path(image).expanduser() for image in arguments.images]
    files = all(path.is_file() for path in paths)
    if not files and len(paths) > 1:
        missing = next(str(path) for path in paths if not path.is_file())
        raise UserError(f"Expected picture files, or a single source. Received: {missing!r}")
    model, _ = load_run(arguments.run)
    if not hasattr(model, "reconstruct"):
        raise UserError(
            f"A {type(model).__name__} doesn't reconstruct pictures; an autoencoder does: "
            f"`kerasgen train autoencoder`. Received: {arguments.run!r}"
        )
    try:
        images = _read(paths, model) if files else _load(arguments, model)
    except (ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(error) from None
    reconstructions = model.reconstruct(images, arguments.refinement)
    _write(out, images, reconstructions)
    psnr = _psnr(images, reconstructions)
    if files:
        for path, value in zip(arguments.images, psnr, strict=True):
            print(f"PSNR {value:5.1f} dB  {path}")
    print(f"{len(images)} pictures above their reconstructions, PSNR {psnr.mean():.1f} dB: {out}")
    return 0


def _read(paths, model):
    """Picture files, cropped at the centre and resized to what the model takes."""
    from kerasgen.data.pictures import read_picture

    height, width, channels = model.image_shape
    images = []
    for path in paths:
        try:
            images.append(read_picture(path, (height, width), channels))
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"{str(path)!r} can't be read as a picture: {error}") from None
    return np.stack(images)


def _load(arguments, model):
    """The first pictures of a source; held-out ones where it has any."""
    import kerasgen

    height, width, channels = model.image_shape
    splits = [arguments.split] if arguments.split else _SPLITS
    for split in splits:
        try:
            dataset = kerasgen.data.load_images(
                arguments.images[0],
                split=split,
                image_size=(height, width),
                channels=channels,
                shuffle=False,
                data_dir=arguments.data_dir,
            )
            break
        except ValueError:  # the source has no such split
            if split == splits[-1]:
                raise
    print(f"Data: {arguments.images[0]}, split {split!r}, {dataset.num_images} pictures.")
    return kerasgen.data.collect_images(dataset, max_images=arguments.num)[0]


def _write(out, images, reconstructions):
    from kerasgen.plots import write_grid

    columns = min(COLUMNS, len(images))
    rows = []
    for start in range(0, len(images), columns):
        for pictures in (images, reconstructions):
            row = pictures[start : start + columns]
            blank = np.full((columns - len(row), *row.shape[1:]), 255, np.uint8)
            rows.append(np.concatenate([row, blank]))
    try:
        write_grid(out, np.stack(rows))
    except OSError as error:
        raise UserError(f"Can't write {str(out)!r}: {error}") from None


def _psnr(images, reconstructions):
    """Peak signal-to-noise ratio of each picture, in decibels."""
    errors = (images.astype(np.float64) - reconstructions) ** 2
    return 10 * np.log10(255**2 / np.maximum(errors.mean((1, 2, 3)), 1e-12))
