"""What a report says in words and tables: headings, measures, settings."""

import json

from kerasgen.models.registry import model_entries
from kerasgen.report.curves import MEASURES
from kerasgen.report.run import number, section

# Settings that a reader looks for first.
_FIRST = ("model", "data", "epochs", "minutes", "image_size", "batch_size", "seed", "precision")


def heading(run):
    """A line of what was trained on what, and one of how far, as strs."""
    data, arguments = section(run.config, "data"), section(run.config, "arguments")
    model = str(section(run.config, "model").get("class") or arguments.get("model") or "A model")
    what = f"{model} on {arguments.get('data') or 'unknown data'}"
    images, shape = data.get("num_images"), data.get("image_shape")
    if number(images) is not None:
        entry = model_entries().get(str(arguments.get("model")))
        of_clips = entry is not None and entry.data == "frames"
        what += f": {images:,} {'clips' if of_clips else 'pictures'}"
    if isinstance(shape, list) and len(shape) == 3:
        what += f" of {shape[0]}×{shape[1]} pixels, {shape[2]} channel{'s' * (shape[2] != 1)}"
    epoch = max((points[-1][0] for points in run.history.values()), default=0)
    state = "Training has ended" if run.ended else "Training hasn't ended"
    far = f"{state}: {epoch:,} epoch{'s' * (epoch != 1)}"
    if run.evaluations:
        last = run.evaluations[-1]
        far += f", {int(last['step']):,} steps at the last evaluation"
        if number(last.get("minutes")) is not None:
            far += f" ({last['minutes']:.1f} minutes)"
    return {"what": what + ".", "far": far + "."}


def measures(run):
    """The tables of a run's evaluations.

    Returns:
        Dict of `rows` (measure, kept, last, floor, better), `best` and `last` (the evaluations'
        steps), `protocols`, `all` (a row of each evaluation), and `panel`, what `kerasgen
        evaluate` found: `rows` and `verdicts`.
    """
    best, rows = run.best(), []
    last = run.evaluations[-1] if run.evaluations else None
    for name, (title, about) in MEASURES.items():
        if last is not None and number(last.get(name)) is not None:
            rows.append(
                {
                    "title": title,
                    "about": about,
                    "kept": None if best is None else number(best.get(name)),
                    "last": number(last[name]),
                    "floor": number(last["floor"].get(name)),
                }
            )
    return {
        "rows": rows,
        "best": None if best is None else int(best["step"]),
        "last": None if last is None else int(last["step"]),
        "protocols": {str(r["protocol"]) for r in run.evaluations if r.get("protocol")},
        "all": [
            [record["step"], record.get("epoch"), *(number(record.get(n)) for n in MEASURES)]
            for record in run.evaluations
        ],
        "names": [title for title, _ in MEASURES.values()],
        "panel": _panel(run.panel),
    }


def _panel(panel):
    rows = []
    for name, facts in section(panel or {}, "measures").items():
        if isinstance(facts, dict) and number(facts.get("value")) is not None:
            texts = {key: str(facts.get(key) or "") for key in ("better", "meaning")}
            values = {"value": number(facts["value"]), "floor": number(facts.get("floor"))}
            rows.append({"name": name, **texts, **values})
    verdicts = (panel or {}).get("verdicts")
    verdicts = [str(words) for words in verdicts] if isinstance(verdicts, list) else []
    return {"rows": rows, "verdicts": verdicts}


def settings(runs):
    """Tables of settings, each a dict of `title`, `open` and `rows` of (name, values, differs)."""
    configs = [run.config for run in runs]
    arguments = [section(config, "arguments") for config in configs]
    asked = [name for name in _FIRST if any(a.get(name) is not None for a in arguments)]
    rest = [name for each in arguments for name in each if name not in asked]
    sections = (
        ("What was asked for", True, arguments, asked),
        ("Data", True, [section(c, "data") for c in configs], None),
        ("Versions", True, [section(c, "versions") for c in configs], None),
        ("Machine", False, [section(c, "machine") for c in configs], None),
        ("All other options", False, arguments, list(dict.fromkeys(rest))),
        ("Model", False, [section(c, "model", "config") for c in configs], None),
        ("Compiled with", False, [section(c, "model", "compile") for c in configs], None),
    )
    tables = []
    for title, opened, dicts, names in sections:
        if names is None:
            names = list(dict.fromkeys(name for each in dicts for name in each))
        rows = [_row(name, [each.get(name) for each in dicts]) for name in names]
        if rows:
            tables.append({"title": title, "open": opened, "rows": rows})
    return tables


def _row(name, values):
    texts = [_text(value) for value in values]
    return name.replace("_", " "), texts, len(set(texts)) > 1


def _text(value):
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        config = value.get("config")
        inner = ", ".join(
            f"{key}={_text(v)}"
            for key, v in (config.items() if isinstance(config, dict) else ())
            if v is not None and v is not False and key != "name"
        )
        return f"{value['class_name']}({inner})"
    if isinstance(value, list):
        return ", ".join(_text(v) for v in value)
    return json.dumps(value)
