"""The figure of predicted frames: their quality, horizon by horizon."""

import numpy as np

_COPY = {"color": "0.45", "linestyle": "--", "linewidth": 1.4, "label": "copy of the last frame"}


def horizon_figure(qualities, futures=None):
    """Draws quality against horizon: squared error, SSIM and skill.

    Args:
        qualities: `kerasgen.metrics.HorizonQuality`, or a dict of a name to one for each of
            several models on the same clips.
        futures: `kerasgen.metrics.FuturesQuality` or None. Adds the best of several futures.
            Defaults to None.

    Returns:
        `matplotlib.figure.Figure`, free of any global state. SSIM is left out where it isn't
        known.

    Example:

    ```python
    kerasgen.plots.horizon_figure(quality).savefig("horizons.png", dpi=120)
    ```
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not isinstance(qualities, dict):
        qualities = {"model": qualities}
    first = next(iter(qualities.values()))
    names = [name for name in ("mse", "ssim") if name in first.model]
    figure = Figure(figsize=(3.5 * (len(names) + 1), 3.4), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    *plots, skill = figure.subplots(1, len(names) + 1)
    steps = np.arange(1, len(first.skill) + 1)
    few = {"marker": "o", "markersize": 3.5} if len(steps) <= 20 else {}
    for axis, name in zip(plots, names, strict=True):
        axis.plot(steps, first.copy_last_frame[name], **_COPY, **few)
        for label, quality in qualities.items():
            axis.plot(steps, quality.model[name], label=label, **few)
        best = None if futures is None else getattr(futures, f"best_{name}")
        if best is not None:
            axis.plot(steps, best, ":", color="C0", label="best of its futures", **few)
        axis.set_ylim(bottom=0, top=None if name == "mse" else 1)
    skill.axhline(0, **_COPY)
    for label, quality in qualities.items():
        skill.plot(steps, quality.skill, label=label, **few)
    lowest = min(np.nanmin(q.skill[np.isfinite(q.skill)], initial=0) for q in qualities.values())
    skill.set_ylim(max(1.15 * lowest, -1) - 0.03, 1)  # far below 0, how far is of no interest
    titles = {"mse": "Mean squared error (lower is better)", "ssim": "SSIM (higher is better)"}
    for axis, title in zip(
        (*plots, skill), [*(titles[n] for n in names), "Skill (1 is perfect)"], strict=True
    ):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("frames after the last known one", fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlim(steps[0] - 0.4, steps[-1] + 0.4)
        axis.tick_params(labelsize=8)
        axis.grid(color="0.9", linewidth=0.8)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    handles, labels = plots[0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": len(labels)}
    figure.legend(handles, labels, fontsize=8, frameon=False, **place)
    return figure
