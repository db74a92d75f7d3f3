"""The page: what a report says, laid out by a template that escapes everything."""

import base64
import hashlib
import pathlib

from kerasgen._version import __version__
from kerasgen.files import write_beside
from kerasgen.report import pictures
from kerasgen.report.curves import curves
from kerasgen.report.facts import heading, measures, settings
from kerasgen.report.run import EXTRAS, read_run, section

GENERATOR = "kerasgen report"  # what a page says it was made by
_TEMPLATES = pathlib.Path(__file__).parent / "templates"


def write_report(directories, path, cache=None):
    """Writes one page about a run, or about several side by side, whole or not at all.

    It needs no network and no TensorFlow, and may be written while the runs are trained.

    Args:
        directories: list of str or path, run directories; or one of them.
        path: str or path of the page, ending in ".html". A page that is no report isn't replaced.
        cache: dict that later calls are given again, so that they encode only what is new.
            Defaults to None.

    Returns:
        `pathlib.Path` of the page.

    Raises:
        FileNotFoundError: no run directory.
        FileExistsError: `path` holds something else than a report.
        OSError: it can't be written; what was there stays.

    Example:

    ```python
    kerasgen.report.write_report("runs/0001-dcgan-digits", "report.html")
    ```
    """
    if isinstance(directories, (str, pathlib.Path)):
        directories = [directories]
    path = pathlib.Path(path).expanduser()
    check_place(path)
    page = render([read_run(directory) for directory in directories], cache)
    with write_beside(path) as part:
        part.write_text(page, encoding="utf-8")
    return path


def check_place(path):
    """Refuses to replace what is no report.

    Raises:
        FileExistsError: such a path.
    """
    if not path.exists():
        return
    own = False
    if path.is_file():
        with open(path, encoding="utf-8", errors="replace") as file:
            own = f'name="generator" content="{GENERATOR}' in file.read(4096)
    if not own:
        raise FileExistsError(
            f"{str(path)!r} holds something that is no report, and nothing is overwritten: give "
            "another place."
        )


def render(runs, cache=None):
    """The page as a str of HTML.

    Args:
        runs: list of `Run`.
        cache: as in `write_report`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["value"] = _value
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    cache = {} if cache is None else cache
    seen = {}
    for run in runs:  # equal names are told apart
        seen[run.name] = seen.get(run.name, 0) + 1
        if seen[run.name] > 1:
            run.name = f"{run.name} ({seen[run.name]})"
    parts = [_of_run(run, len(runs), cache) for run in runs]
    return environment.get_template("report.html").render(
        generator=f"{GENERATOR} {__version__}",
        title=" and ".join(run.name for run in runs),
        style=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=f"sha256-{digest}",
        runs=parts,
        curves=curves(runs),
        films=[film for part in parts for film in part["films"]],
        epochs=sorted({e for part in parts for film in part["films"] for e in film["epochs"]}),
        has_pictures={
            name: any(part[name] for part in parts)
            for name in ("walk", "neighbours", "horizons", "card")
        },
        settings=settings(runs),
        protocols=sorted({p for part in parts for p in part["measures"]["protocols"]}),
    )


def _of_run(run, count, cache):
    """What the template shows of one run."""
    notes = list(run.notes)
    samples = run.path / "samples"
    latest = {
        path.name.removesuffix("-latest.png"): found
        for path in sorted(samples.glob("*-latest.png"))
        if (found := pictures.picture(path, notes))
    }
    moving = [
        (path.name.removesuffix("-latest.gif"), found)
        for path in sorted(samples.glob("*-latest.gif"))
        if (found := pictures.picture(path, notes))
    ]
    return {
        "name": run.name,
        "ended": run.ended,
        "heading": heading(run),
        "latest": latest,
        "moving": moving,
        "films": _films(run, count, cache, notes),
        "measures": measures(run),
        "verdicts": run.verdicts,
        "guarded": section(run.config, "arguments").get("evaluate") is not False,
        "evaluation": pictures.picture(run.path / "evaluation" / "evaluation.png", notes),
        "horizons": pictures.picture(run.path / "horizons.png", notes),
        "skill": _skill(run.horizons),
        "walk": pictures.picture(run.path / EXTRAS / "walk.png", notes),
        "neighbours": _neighbours(run, notes),
        "card": None if run.card is None else _card(run.card),
        "notes": notes,
    }


def _films(run, count, cache, notes):
    """Films as the page's script takes them; `count` runs share the room there is."""
    frames = run.frames()
    if not frames:
        return []
    most = max(pictures.FEWEST_FRAMES, pictures.MOST_FRAMES // len(frames))
    budget = pictures.FILM_BYTES // count // len(frames)
    films = []
    for name, found in frames.items():
        encoded = pictures.film(found, most, budget, cache, notes)
        if encoded:
            urls = [pictures.data_url(content, ".webp") for _, content in encoded]
            epochs = [epoch for epoch, _ in encoded]
            films.append({"name": name, "run": run.name, "epochs": epochs, "frames": urls})
    return films


def _neighbours(run, notes):
    """The pictures of nearest neighbours, with their distances."""
    facts = run.neighbours
    if facts is None or not isinstance(facts.get("columns"), list):
        return None
    columns = []
    for index, distances in enumerate(facts["columns"][:24]):
        found = pictures.picture(run.path / EXTRAS / f"neighbours-{index:02d}.png", notes)
        if found is not None and isinstance(distances, dict):
            columns.append(found | {"pixel": distances.get("pixel")})
            columns[-1]["feature"] = distances.get("feature")
    if not columns:
        return None
    return {"columns": columns, "compared": facts.get("compared"), "of": facts.get("of")}


def _skill(horizons):
    skill = (horizons or {}).get("skill")
    if not isinstance(skill, list) or not skill:
        return ""
    return f"Skill {_value(skill[0])} at the first frame, {_value(skill[-1])} at the last."


def _card(text):
    """`SERVING.md` as HTML of our own making: nothing else of the file's gets through."""
    import jinja2
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.disable(["image", "link", "autolink", "html_block", "html_inline"], True)
    tokens = markdown.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):  # below the page's own
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return jinja2.utils.markupsafe.Markup(markdown.renderer.render(tokens, markdown.options, {}))


def _value(value):
    """A number for people; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
