"""Figures and pictures of results."""

from kerasgen.plots.evaluation import evaluation_figure
from kerasgen.plots.grids import grid_figure, grid_image, write_film, write_grid
from kerasgen.plots.horizons import horizon_figure

__all__ = [
    "evaluation_figure",
    "grid_figure",
    "grid_image",
    "horizon_figure",
    "write_film",
    "write_grid",
]
