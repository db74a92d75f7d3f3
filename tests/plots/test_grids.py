"""Grids, figures and films, pixel by pixel."""

import os

import matplotlib
import numpy as np
import pytest
from PIL import Image

from kerasgen.plots import grid_figure, grid_image, write_film, write_grid


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_every_picture_is_where_it_belongs(channels, mode):
    grid = noise(2, 3, 70, 80, channels)
    image = grid_image(grid, gap=3)
    assert image.mode == mode
    canvas = np.asarray(image).reshape(2 * 73 + 3, 3 * 83 + 3, channels).astype(int)
    for row in range(2):
        for column in range(3):
            top, left = 3 + 73 * row, 3 + 83 * column
            part = canvas[top : top + 70, left : left + 80]
            np.testing.assert_array_equal(part, grid[row, column])
            canvas[top : top + 70, left : left + 80] = 255
    assert (canvas == 255).all()  # nothing but white between


def test_small_pictures_are_enlarged_without_blur():
    grid = noise(1, 1, 8, 16, 3)
    canvas = np.asarray(grid_image(grid, gap=0))
    assert canvas.shape == (32, 64, 3)
    np.testing.assert_array_equal(canvas[::4, ::4], grid[0, 0])
    np.testing.assert_array_equal(canvas[3::4, 3::4], grid[0, 0])


@pytest.mark.parametrize(
    "grid", [noise(3, 8, 8, 1), noise(1, 1, 8, 8, 5), np.zeros((1, 1, 8, 8, 3), np.float32)]
)
def test_grid_of_another_kind_is_refused(grid):
    with pytest.raises(ValueError, match="must be uint8 of shape .* Received: dtype="):
        grid_image(grid)


def test_write_grid(tmp_path):
    grid = noise(2, 2, 64, 64, 3)
    write_grid(tmp_path / "made" / "grid.png", grid)
    with Image.open(tmp_path / "made" / "grid.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(grid_image(grid)))
    with pytest.raises(ValueError):
        write_grid(tmp_path / "bad.png", grid[0])
    assert os.listdir(tmp_path) == ["made"]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_film_shows_each_frame_in_order_for_its_time(tmp_path, suffix):
    levels = [0, 90, 180]
    for level in levels:
        Image.new("L", (64, 64), level).save(tmp_path / f"{level}.png")
    path = tmp_path / f"film.{suffix}"
    frames = [tmp_path / f"{level}.png" for level in levels]
    write_film(path, frames, milliseconds=120, hold=500)
    with Image.open(path) as film:
        assert film.n_frames == 3 and film.info["loop"] == 0
        for index, level in enumerate(levels):
            film.seek(index)
            film.load()
            assert film.info["duration"] == (500 if index == 2 else 120)
            np.testing.assert_allclose(np.asarray(film.convert("L")), level, atol=3)


def test_films_of_pictures_in_memory_are_those_of_files(tmp_path):
    pictures = [grid_image(noise(1, 1, 64, 64, 4)), grid_image(noise(2, 1, 64, 64, 4)[1:])]
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    write_film(tmp_path / "a.webp", pictures)
    write_film(tmp_path / "b.webp", paths)
    assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()


def test_film_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_film(tmp_path / "film.gif", [])
    assert os.listdir(tmp_path) == []


def test_figure_shows_pictures_with_their_titles():
    backend = matplotlib.get_backend()
    images = noise(5, 8, 8, 1)
    figure = grid_figure(images, rows=4, columns=3, titles=list("abcde"))
    assert len(figure.axes) == 6  # no more rows than pictures fill
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in shown] == list("abcde")
    for axis, image in zip(shown, images, strict=True):
        array = np.asarray(axis.images[0].get_array())
        np.testing.assert_array_equal(array[..., :3], np.repeat(image, 3, -1))
    assert matplotlib.get_backend() == backend
    from matplotlib import pyplot

    assert not pyplot.get_fignums()


def test_figure_holds_at_most_what_was_asked():
    figure = grid_figure(noise(9, 8, 8, 3), rows=2, columns=2)
    assert len([axis for axis in figure.axes if axis.images]) == 4
