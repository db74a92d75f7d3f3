"""What a report shows that takes the model or the data: a latent walk, and nearest neighbours."""

import json
import pathlib

import numpy as np

from kerasgen.data.collect import sample_images
from kerasgen.files import write_beside
from kerasgen.metrics.extractors import get_extractor
from kerasgen.metrics.panel import find_neighbours
from kerasgen.plots import write_grid
from kerasgen.report.run import EXTRAS

WAYS, STEPS = 5, 8
SAMPLES = 100  # of which the nearest and the farthest are shown, and some in between
SHOWN = 12
COMPARED = 5000  # training pictures, at most
MOST_BYTES = 2**28  # of them


def write_walk(model, directory):
    """Writes `report/walk.png` of a run directory, if the model has a `latent_walk`.

    Args:
        model: `kerasgen.GenerativeModel`.
        directory: str or path of the run directory.
    """
    grid = model.latent_walk(WAYS, STEPS, seed=0)
    if grid is not None:
        write_grid(pathlib.Path(directory) / EXTRAS / "walk.png", grid)


def write_neighbours(model, data, directory):
    """Writes samples above their nearest training pictures into a run directory.

    The files are `report/neighbours-00.png` and so on, from the sample that is nearest to a
    training picture in features to the farthest, and `report/neighbours.json`, their distances.

    Args:
        model: `kerasgen.GenerativeModel` of pictures.
        data: the pipeline of `kerasgen.data.load_images` that it was trained on, or a uint8
            array. Of more than 5,000 pictures, or 256 MB, some are compared with.
        directory: str or path of the run directory.
    """
    directory = pathlib.Path(directory) / EXTRAS
    total = getattr(data, "num_images", None) or len(data)
    most = min(COMPARED, max(1, MOST_BYTES // int(np.prod(model.image_shape))))
    train = sample_images(data, most)
    samples = model.evaluation_samples(SAMPLES, seed=0)
    extractor = get_extractor("fashion-cnn")
    near = find_neighbours(samples, extractor(samples), train, extractor(train))
    ranked = np.argsort(near.feature_distances, kind="stable")
    chosen = ranked[np.linspace(0, len(ranked) - 1, SHOWN).round().astype(int)]
    columns = []
    for place, index in enumerate(chosen):
        pixel, feature = near.pixel_indices[index], near.feature_indices[index]
        column = np.stack([samples[index], train[pixel], train[feature]])[:, None]
        write_grid(directory / f"neighbours-{place:02d}.png", column)
        distances = {
            "pixel": float(near.pixel_distances[index]),
            "feature": float(near.feature_distances[index]),
        }
        columns.append(distances)
    facts = {"compared": len(train), "of": total, "columns": columns}
    with write_beside(directory / "neighbours.json") as part:
        part.write_text(json.dumps(facts, indent=2) + "\n")
