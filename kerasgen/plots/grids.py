"""Grids of pictures: as one picture, as a figure, and as the film of a training."""

import numpy as np
from PIL import Image

from kerasgen.files import write_beside

_GAP = 2
_BACKGROUND = 255
_SMALLEST_SHOWN = 64  # pictures below this many pixels are enlarged by a whole factor


def grid_image(grid, gap=_GAP):
    """Lays a grid of pictures out as one.

    Small pictures are enlarged by repeating pixels, so that a viewer doesn't blur them.

    Args:
        grid: uint8 array `(rows, columns, H, W, C)`, 1 to 4 channels.
        gap: int. White pixels between pictures. Defaults to 2.

    Returns:
        `PIL.Image.Image`.

    Raises:
        ValueError: an array of another rank, dtype or number of channels.
    """
    grid = np.asarray(grid)
    if grid.ndim != 5 or grid.dtype != np.uint8 or grid.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(
            "A grid of pictures must be uint8 of shape (rows, columns, height, width, channels), "
            f"with 1 to 4 channels. Received: dtype={grid.dtype}, shape={grid.shape}"
        )
    factor = max(1, _SMALLEST_SHOWN // max(grid.shape[2:4]))
    grid = grid.repeat(factor, axis=2).repeat(factor, axis=3)
    rows, columns, height, width, channels = grid.shape
    canvas = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, channels),
        _BACKGROUND,
        np.uint8,
    )
    for row in range(rows):
        for column in range(columns):
            top, left = gap + row * (height + gap), gap + column * (width + gap)
            canvas[top : top + height, left : left + width] = grid[row, column]
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)


def write_grid(path, grid):
    """Writes a grid of pictures as a PNG file, whole or not at all.

    Args:
        path: str or path, ending in ".png".
        grid: as in `grid_image`.
    """
    with write_beside(path) as part:
        grid_image(grid).save(part, "PNG")


def write_film(path, frames, milliseconds=150, hold=2000):
    """Writes pictures one after another as an animation that repeats.

    Args:
        path: str or path, ending in ".gif" or ".webp".
        frames: list of pictures of equal size, in order: paths, or `PIL.Image.Image`.
        milliseconds: int. How long a frame is shown. Defaults to 150.
        hold: int. How long the last one is shown, in milliseconds. Defaults to 2000.

    Raises:
        ValueError: no frames.
    """
    if not frames:
        raise ValueError(f"A film needs at least one frame. Received: frames={frames!r}")
    pictures = [_in_colour(frame) for frame in frames]
    durations = [milliseconds] * (len(pictures) - 1) + [hold]
    with write_beside(path) as part:
        pictures[0].save(
            part,
            save_all=True,
            append_images=pictures[1:],
            duration=durations,
            loop=0,
            **({"lossless": True} if part.suffix == ".webp" else {}),
        )


def _in_colour(frame):
    if not isinstance(frame, Image.Image):
        with Image.open(frame) as picture:
            return _in_colour(picture)
    return frame.convert("RGBA" if frame.mode in ("LA", "RGBA") else "RGB")


def grid_figure(images, rows, columns, titles=None):
    """Shows pictures in a `matplotlib` figure, at most `rows * columns` of them.

    Args:
        images: uint8 array `(N, H, W, C)`.
        rows, columns: int.
        titles: list of str or None. What stands above each. Defaults to None.

    Returns:
        `matplotlib.figure.Figure`, free of any global state.
    """
    from matplotlib.figure import Figure

    rows = min(rows, -(-len(images) // columns))
    height, width = images.shape[1:3]
    room = 0.25 if titles else 0.05
    figure = Figure(
        figsize=(columns * 1.1, rows * (1.05 * height / width + room)), layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for index, axis in enumerate(axes):
        axis.set_axis_off()
        if index < len(images):
            mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[images.shape[-1]]
            pixels = images[index, ..., 0] if mode == "L" else images[index]
            axis.imshow(Image.fromarray(pixels).convert("RGBA"), interpolation="nearest")
            if titles:
                axis.set_title(titles[index], fontsize=8)
    return figure
