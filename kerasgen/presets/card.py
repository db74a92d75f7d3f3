"""`README.md` of a preset: its model card."""

from kerasgen.presets.directory import PICTURE

UNKNOWN = "Not stated."
HEAD = """# {name}

A {kind} of kerasgen {version}{summary}. Pictures have \
{height}x{width} pixels and {channels} channel{plural}; the model has {parameters:,} parameters \
({dtype}, {megabytes:.1f} MB).
{picture}
```python
model = kerasgen.from_preset("{path}")
```

## Data and licence

{data} {licence}

## Intended use

{use}

## Limits

{limits}

## Training

{training}

## Measured

{measured}
"""


def card(name, config, recipe, preprocessing, pictures):
    """The card's text.

    Args:
        name: str. The preset's.
        config, recipe, preprocessing: as in `PresetDirectory`.
        pictures: bool. Whether there is a sample picture.
    """
    recipe = recipe or {}
    texts = recipe.get("card", {})
    summary = config["summary"]
    return HEAD.format(
        name=name,
        kind=config["class"],
        version=config["kerasgen"],
        summary=f": {summary}" if summary else "",
        **{key: preprocessing[key] for key in ("height", "width", "channels")},
        plural="" if preprocessing["channels"] == 1 else "s",
        parameters=config["parameters"],
        dtype=config["weights"]["dtype"],
        megabytes=config["weights"]["bytes"] / 1e6,
        picture=f"\n![What it makes]({PICTURE})\n" if pictures else "",
        path=name if recipe.get("result") else f"./{name}",
        data=texts.get("data", f"Data: {UNKNOWN.lower()}"),
        licence=texts.get("licence", f"Licence: {UNKNOWN.lower()}"),
        use=texts.get("use", UNKNOWN),
        limits=texts.get("limits", UNKNOWN),
        training=_training(name, recipe),
        measured=_measured(recipe.get("result", {})),
    )


def _training(name, recipe):
    if not recipe:
        return "No recipe was given (`save_to_preset(directory, recipe=...)`)."
    text = f"```bash\nkerasgen train --recipe {name if 'result' in recipe else 'recipe.json'}\n```"
    result = recipe.get("result", {})
    if "minutes" in result:
        text += (
            f"\n\n{result['minutes']:.1f} minutes, {result['steps']:,} steps on "
            f"{result['pictures']:,} {_kinds(result)[0]}; {result['machine']}, {result['date']}."
        )
    return text


def _measured(result):
    measures = result.get("measures")
    if not measures:
        return UNKNOWN
    beside = next(iter(measures.values())).get("beside", "real pictures in its place")
    lines = [f"| measure | value | {beside} | better |", "|---|---|---|---|"]
    for name, row in measures.items():
        floor = "" if row["floor"] is None else f"{row['floor']:.4g}"
        lines.append(f"| {name} | {row['value']:.4g} | {floor} | {row['better']} |")
    protocol = next(iter(measures.values()))["protocol"]
    speed = result.get("pictures_per_second")
    lines.append(f"\nProtocol: {protocol}. Values of another protocol can't be compared with them.")
    if speed:
        lines.append(f"It draws {speed:,.0f} {_kinds(result)[1]} a second on that machine.")
    return "\n".join(lines)


def _kinds(result):
    """What it was trained on, and what it draws."""
    return ("clips", "frames") if "MSE" in result["measures"] else ("pictures", "pictures")
