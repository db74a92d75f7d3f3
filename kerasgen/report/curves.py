"""Which curves a report draws, and what they say in words."""

from kerasgen.report.charts import line_chart
from kerasgen.report.run import number

# Name, title, and what it says, of what is measured with the samples.
MEASURES = {
    "fd": ("Fréchet distance", "quality and diversity; lower is better"),
    "kd": ("Kernel distance", "quality and diversity; lower is better"),
    "precision": ("Precision", "samples among real pictures: quality; higher is better"),
    "recall": ("Recall", "real pictures among samples: diversity; higher is better"),
    "coverage": ("Coverage", "real pictures with a sample near: diversity; higher is better"),
    "density": ("Density", "how deep samples lie among real pictures; near its floor is best"),
}
_LOGARITHMIC = ("fd", "kd")
_WORDS = {
    "diversity": "of the samples, as a share of the data's; near 1 is best",
    "real_score": "what the discriminator gives real pictures; 1 is surely real",
    "fake_score": "what the discriminator gives samples; 1 is taken for real",
    "generator_loss": "says little of quality; that it doesn't run away is all",
    "discriminator_loss": "says little of quality; near 0 it has won",
}
_VALIDATION = "val_"


def curves(runs):
    """The charts of a report, what tells most first.

    Args:
        runs: list of `kerasgen.report.Run`.

    Returns:
        List of dicts of `title`, `about`, `x` ("step" or "epoch"), `svg`, `words` (what the chart
        shows, for those who don't see it) and `styles` (what other lines than solid ones mean).
    """
    found = [_measure(runs, name) for name in MEASURES] + [
        _logged(runs, name) for name in _logged_names(runs)
    ]
    charts = [chart for chart in found if chart["lines"]]
    for index, chart in enumerate(charts):
        lines = chart.pop("lines")
        chart["svg"] = line_chart(lines, f"c{index}", chart.pop("logarithmic"))
        styles = {line["style"] for line in lines}
        chart["styles"] = [
            word
            for style, word in (("dashed", "dashed: its floor"), ("dotted", "dotted: validation"))
            if style in styles
        ]
    return charts


def _measure(runs, name):
    title, about = MEASURES[name]
    lines, words = [], []
    for index, run in enumerate(runs):
        points = [
            (record["step"], value)
            for record in run.evaluations
            if (value := number(record.get(name))) is not None
        ]
        if not points:
            continue
        floor = number(run.evaluations[-1]["floor"].get(name))
        lines.append(_line(points, index, "solid", str(index + 1) if len(runs) > 1 else ""))
        text = _in_words(run, points, "step")
        if floor is not None:
            ends = [(points[0][0], floor), (points[-1][0], floor)]
            if len(points) > 1 and (floor > 0 or name not in _LOGARITHMIC):
                lines.append(_line(ends, index, "dashed", ""))
            text += f", floor {floor:.4g}"
        words.append(text)
    return {
        "title": title,
        "about": about,
        "x": "step",
        "lines": lines,
        "words": "; ".join(words),
        "logarithmic": name in _LOGARITHMIC,
    }


def _logged_names(runs):
    """Logged values that no evaluation is about, losses first."""
    names = dict.fromkeys(name for run in runs for name in run.history)
    known = {*MEASURES, "kd_standard_error"} if any(run.evaluations for run in runs) else set()
    bare = dict.fromkeys(name.removeprefix(_VALIDATION) for name in names)
    return sorted((name for name in bare if name not in known), key=lambda n: "loss" not in n)


def _logged(runs, name):
    lines, words = [], []
    for index, run in enumerate(runs):
        for key, style in ((name, "solid"), (_VALIDATION + name, "dotted")):
            points = run.history.get(key)
            if points:
                label = str(index + 1) if len(runs) > 1 and style == "solid" else ""
                lines.append(_line(points, index, style, label))
                held_out = " (validation)" if style == "dotted" else ""
                words.append(_in_words(run, points, "epoch") + held_out)
    title = name.replace("_", " ")
    return {
        "title": title[:1].upper() + title[1:],
        "about": _WORDS.get(name, ""),
        "x": "epoch",
        "lines": lines,
        "words": "; ".join(words),
        "logarithmic": False,
    }


def _line(points, index, style, label):
    return {"points": points, "colour": index, "style": style, "label": label}


def _in_words(run, points, unit):
    (first, start), (last, end) = points[0], points[-1]
    values = [value for _, value in points]
    return (
        f"{run.name}: from {start:.4g} at {unit} {first:,.0f} to {end:.4g} at {unit} {last:,.0f}, "
        f"between {min(values):.4g} and {max(values):.4g}"
    )
