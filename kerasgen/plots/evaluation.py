"""The figure of an evaluation: samples beside their nearest training pictures, and distances."""

import numpy as np
from PIL import Image

from kerasgen.plots.grids import grid_image

_SHOWN = 12
_WIDTH = 9.5  # of the pictures, in inches
_LABELLED = 25  # most classes whose names can be read


def evaluation_figure(panel, generated, train):
    """Draws what numbers can't say.

    Args:
        panel: `kerasgen.metrics.Panel`.
        generated: uint8 array `(N, H, W, C)`, the pictures it is about.
        train: uint8 array, the training pictures.

    Returns:
        `matplotlib.figure.Figure`: samples above their nearest training pictures in pixels and in
        features, nearest to farthest over all samples; histograms of these distances, beside
        those of held-out pictures; and the shares of the classes, where there are any.
    """
    from matplotlib.figure import Figure

    height, width = generated.shape[1:3]
    heights = (_WIDTH * 3 / _SHOWN * height / width + 0.5, 3.4)  # so that no room is left over
    figure = Figure(figsize=(_WIDTH + 1.8, sum(heights)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)
    _draw_neighbours(top, panel.generated, generated, train)
    plots = bottom.subplots(1, 3 if panel.classes else 2)
    for axis, kind in zip(plots, ("pixel", "feature"), strict=False):
        _draw_distances(axis, panel, kind)
    if panel.classes:
        _draw_classes(plots[2], panel.classes)
    return figure


def _draw_neighbours(figure, near, generated, train):
    count = min(_SHOWN, len(near.feature_distances))
    ranked = np.argsort(near.feature_distances, kind="stable")
    chosen = ranked[np.linspace(0, len(ranked) - 1, count).round().astype(int)]
    rows = (
        generated[chosen],
        train[near.pixel_indices[chosen]],
        train[near.feature_indices[chosen]],
    )
    axis = figure.subplots()
    picture = grid_image(np.stack(rows)).convert("RGBA")
    axis.imshow(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture))
    height = picture.size[1] / 3
    axis.set_yticks([height * (row + 0.5) for row in range(3)])
    axis.set_yticklabels(
        ["sample", "nearest training\npicture in pixels", "nearest training\npicture in features"],
        fontsize=9,
    )
    axis.set_xticks([])
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.set_title(
        "From the sample nearest to a training picture in features (left) to the farthest",
        fontsize=10,
    )


def _draw_distances(axis, panel, kind):
    sets = [("samples", getattr(panel.generated, f"{kind}_distances"), "C1")]
    if panel.held_out is not None:
        sets.append(("held-out pictures", getattr(panel.held_out, f"{kind}_distances"), "C0"))
    everything = np.concatenate([distances for _, distances, _ in sets])
    edges = np.linspace(0, np.quantile(everything, 0.995) or 1, 41)
    for name, distances, colour in sets:
        axis.hist(
            np.clip(distances, edges[0], edges[-1]),
            edges,
            weights=np.full(len(distances), 1 / len(distances)),
            histtype="stepfilled",
            alpha=0.45,
            color=colour,
            edgecolor=colour,
            label=name,
        )
    axis.set_title(f"Distance to the nearest\ntraining picture, in {kind}s", fontsize=9)
    axis.set_ylabel("share of the pictures", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.legend(fontsize=8)


def _draw_classes(axis, classes):
    names = list(classes)
    places = np.arange(len(names))
    for offset, (label, part, colour) in enumerate((("data", 0, "C0"), ("samples", 1, "C1"))):
        shares = [classes[name][part] for name in names]
        axis.barh(places + 0.4 * offset, shares, 0.4, label=label, color=colour)
    axis.set_xlim(0, 1.4 * max(max(pair) for pair in classes.values()))  # room for the legend
    step = -(-len(names) // _LABELLED)
    axis.set_yticks(places[::step] + 0.2)
    axis.set_yticklabels(names[::step])
    axis.invert_yaxis()
    axis.set_title("Shares of the classes", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.legend(fontsize=8)
