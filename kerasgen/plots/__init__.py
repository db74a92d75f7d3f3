"""Figures and pictures of results."""

from kerasgen.plots.grids import grid_figure, grid_image, write_film, write_grid

__all__ = ["grid_figure", "grid_image", "write_film", "write_grid"]
