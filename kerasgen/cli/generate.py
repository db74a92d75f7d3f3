"""`kerasgen generate`."""

import math
import pathlib

import numpy as np

from kerasgen.cli import UserError
from kerasgen.cli.runs import load_run
from kerasgen.files import write_beside


def run(arguments):
    out = pathlib.Path(arguments.out).expanduser()
    folder = out.suffix == ""
    if not folder and out.suffix.lower() != ".png":
        raise UserError(
            "`--out` must be a .png file, or a folder for one file a picture. "
            f"Received: {arguments.out!r}"
        )
    if folder and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{str(out)!r} holds something already; give another folder.")
    if arguments.num < 1:
        raise UserError(f"`--num` must be at least 1. Received: {arguments.num}")
    model, _ = load_run(arguments.run)
    from kerasgen.data.pictures import encode_png
    from kerasgen.plots import write_grid

    try:
        images = model.generate(arguments.num, seed=arguments.seed)
    except ValueError as error:
        raise UserError(error) from None
    if folder:
        out.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(images):
            with write_beside(out / f"{index:05d}.png") as part:
                part.write_bytes(encode_png(image))
    else:
        columns = math.ceil(math.sqrt(len(images)))
        blank = np.full((-len(images) % columns, *images.shape[1:]), 255, np.uint8)
        grid = np.concatenate([images, blank]).reshape(-1, columns, *images.shape[1:])
        write_grid(out, grid)
    print(f"{len(images)} pictures: {out}")
    return 0
