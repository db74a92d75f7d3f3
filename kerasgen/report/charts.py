"""Charts of a report: SVG within the page, in colours that the page's style sets."""

import io
import re

import numpy as np

WIDTH, HEIGHT = 4.6, 2.7  # inches, of which only the proportions matter
MOST_POINTS = 1000  # of a line
LINES = 6  # colours there are
# Colours that no chart has otherwise, and what stands in their place in the page.
_INK, _GRID = "#010203", "#010204"
_VARIABLES = {_INK: "var(--muted)", _GRID: "var(--grid)"}
_COLOURS = [f"#01030{i}" for i in range(LINES)]
_VARIABLES |= {colour: f"var(--line-{i + 1})" for i, colour in enumerate(_COLOURS)}


def line_chart(lines, key, logarithmic=False):
    """Draws lines against epochs or steps.

    Args:
        lines: list of dicts of `points`, a list of `(x, y)`; `colour`, an int from 0; `style`,
            "solid", "dotted" or "dashed"; and `label`, a short str at the line's end, or "".
        key: str of letters and digits. Tells this chart's ids from those of others in the page.
        logarithmic: bool. Whether the y axis is, where all values are positive. Defaults to
            False.

    Returns:
        str, an `<svg>` element without text that comes from users or files.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axis = figure.subplots()
    for line in lines:
        points = np.array(_thinned(line["points"]), np.float64)
        colour = _COLOURS[line["colour"] % LINES]
        width = 1.8 if line["style"] == "solid" else 1.2
        marker = "o" if len(points) == 1 else None
        style = {"linestyle": line["style"], "linewidth": width, "marker": marker, "markersize": 4}
        axis.plot(*points.T, color=colour, **style)
        if line["label"]:
            place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
            axis.annotate(line["label"], points[-1], color=colour, fontsize=9, **place)
    if logarithmic and all(y > 0 for line in lines for _, y in line["points"]):
        axis.set_yscale("log")
    _style(axis)
    text = io.StringIO()
    # Text stays text; the same chart gets the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(text.getvalue(), key)


def _thinned(points):
    """So many points that more would not be seen, the last one among them."""
    if len(points) <= MOST_POINTS:
        return points
    chosen = np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)
    return [points[i] for i in chosen]


def _style(axis):
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    shown = FuncFormatter(lambda value, _: f"{value:,.4g}")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.yaxis.set_major_formatter(shown)
    axis.yaxis.set_minor_formatter(NullFormatter())
    if axis.get_yscale() == "log":
        low, high = axis.get_ylim()
        if high > 100 * low:
            locator = LogLocator(numticks=6)
        elif high > 5 * low:  # of powers of ten alone there may be one
            locator = LogLocator(subs=(1, 2, 5))
        else:
            locator = MaxNLocator(5)
        axis.yaxis.set_major_locator(locator)
    axis.tick_params(labelsize=9, colors=_INK, length=0)
    axis.grid(color=_GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.margins(x=0.02)
    for name, spine in axis.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(_GRID)


def _for_page(svg, key):
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    opening = re.search(r'viewBox="[^"]*"', svg)[0]
    svg = f'<svg {opening} aria-hidden="true" focusable="false">' + svg[svg.index(">") + 1 :]
    svg = re.sub(
        r'id="(?:figure|axes|patch|line2d|text|matplotlib\.axis|xtick|ytick)_\d+"', "", svg
    )
    svg = re.sub(r'\bid="', f'id="{key}-', svg)
    svg = re.sub(r'(xlink:href="|url\()#', rf"\1#{key}-", svg).replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()
