"""What a run directory holds, read from its files as they are: a training may be writing them."""

import csv
import dataclasses
import json
import math
import pathlib

EPOCH = "-epoch-"
EXTRAS = "report"  # directory of a run: pictures that are made for its report
LARGEST = 16 * 2**20  # bytes of a text file that is read
_STATES = ("model.keras", "backup")


@dataclasses.dataclass
class Run:
    """One run.

    Attributes:
        path: `pathlib.Path` of its directory.
        name: str.
        config: dict, what `config.json` says.
        history: dict of name -> list of `(epoch, value)`, epochs from 1, finite values only.
        evaluations: list of dicts of `step`, `epoch`, the measures and their `floor`.
        verdicts: list of dicts, what the collapse guard said.
        panel: dict of what `kerasgen evaluate` wrote, or None.
        horizons: dict of a frame generator's quality at each horizon, or None.
        neighbours: dict of what the pictures of nearest neighbours are about, or None.
        card: str, the text of `SERVING.md`, or None.
        ended: bool. Whether the training has ended.
        notes: list of str. What couldn't be read.
    """

    path: pathlib.Path
    name: str
    config: dict
    history: dict
    evaluations: list
    verdicts: list
    panel: dict | None
    horizons: dict | None
    neighbours: dict | None
    card: str | None
    ended: bool
    notes: list

    def frames(self):
        """Sample pictures by epoch: dict of name -> list of `(epoch, path)`, in order."""
        found = {}
        for path in sorted((self.path / "samples").glob(f"*{EPOCH}*.png")):
            name, _, number = path.stem.rpartition(EPOCH)
            if name and number.isascii() and number.isdecimal():
                found.setdefault(name, []).append((int(number), path))
        return {name: sorted(frames) for name, frames in found.items()}

    def best(self):
        """The evaluation with the least Fréchet distance, whose weights are kept, or None."""
        measured = [record for record in self.evaluations if number(record.get("fd")) is not None]
        return min(measured, key=lambda record: record["fd"], default=None)


def read_run(directory):
    """Reads what a run directory holds.

    Lines and files that a training is just writing, or that are damaged, are left out.

    Args:
        directory: str or path.

    Returns:
        A `Run`.

    Raises:
        FileNotFoundError: no run directory: it has no `config.json` that can be read.

    Example:

    ```python
    run = kerasgen.report.read_run("runs/0001-dcgan-digits")
    print(run.best()["fd"])
    ```
    """
    path, notes = pathlib.Path(directory).expanduser(), []
    config = _json(path / "config.json", notes)
    if config is None:
        reason = f" {notes[0]}" if notes else ""
        raise FileNotFoundError(
            "Expected a run directory, which `kerasgen train` makes and which has a config.json."
            f"{reason} Received: {str(directory)!r}"
        )
    return Run(
        path=path,
        name=path.resolve().name,
        config=config,
        history=_history(path / "history.csv", notes),
        evaluations=_evaluations(path / "evaluations.jsonl", notes),
        verdicts=_lines(path / "verdicts.jsonl", notes),
        panel=_json(path / "evaluation" / "evaluation.json", notes),
        horizons=_json(path / "horizons.json", notes),
        neighbours=_json(path / EXTRAS / "neighbours.json", notes),
        card=_text(path / "saved_model" / "SERVING.md", notes),
        ended=(path / _STATES[0]).exists() and not (path / _STATES[1]).exists(),
        notes=notes,
    )


def number(value):
    """A value as a finite float, or None where it is anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def section(config, *names):
    """A dict within dicts, empty where there is none."""
    for name in names:
        config = config.get(name) if isinstance(config, dict) else None
    return config if isinstance(config, dict) else {}


def _text(path, notes):
    try:
        if path.stat().st_size > LARGEST:
            notes.append(f"{path.name} has {path.stat().st_size:,} bytes and was left out.")
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        notes.append(f"{path.name} can't be read: {error.strerror or error}.")
        return None


def _json(path, notes):
    text = _text(path, notes)
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        notes.append(f"{path.name} isn't a JSON object and was left out.")
        return None
    return value


def _lines(path, notes):
    """The JSON objects of a file, one a line; a last line without its end is still written."""
    records, damaged = [], 0
    *lines, _ = (_text(path, notes) or "").split("\n")
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            damaged += 1
    if damaged:
        notes.append(f"{path.name}: {damaged} damaged line(s) were left out.")
    return records


def _evaluations(path, notes):
    records = _lines(path, notes)
    whole = [
        record
        for record in records
        if number(record.get("step")) is not None and isinstance(record.get("floor"), dict)
    ]
    if len(whole) < len(records):
        notes.append(f"{path.name}: {len(records) - len(whole)} evaluation(s) lack step or floor.")
    return whole


def _history(path, notes):
    columns = {}
    for row in csv.DictReader((_text(path, notes) or "").splitlines()):
        epoch = _parsed(row.pop("epoch", None))
        for name, text in row.items():
            value = _parsed(text)
            if name and epoch is not None and value is not None:
                columns.setdefault(name, []).append((int(epoch) + 1, value))
    return columns


def _parsed(text):
    try:
        return number(float(text))
    except (TypeError, ValueError):
        return None
