"""`kerasgen presets`: the trained models that come with kerasgen."""

from kerasgen.presets import list_presets


def run(arguments):
    rows = [("preset", "model", "pictures", "parameters", "MB", "what it makes")]
    for preset in list_presets().values():
        size = "x".join(map(str, preset.image_shape))
        numbers = f"{preset.parameters:,}", f"{preset.megabytes:.1f}"
        rows.append((preset.name, preset.class_name, size, *numbers, preset.summary))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print("\nkerasgen generate PRESET --num 64 --out samples.png")
    return 0
