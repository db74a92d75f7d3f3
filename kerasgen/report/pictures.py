"""Pictures within the page: as data, small enough to be sent and opened on a phone."""

import base64
import io

import numpy as np
from PIL import Image

FILM_BYTES = 5 * 2**20  # of all films of a page
MOST_FRAMES = 60  # of all films of a run
FEWEST_FRAMES = 8  # of one film
SIDE = 720  # most pixels of a film's frame
QUALITY = 82
AS_THEY_ARE = 3 * 2**20  # most bytes of a single picture that is taken as it is
_TYPES = {".png": "image/png", ".gif": "image/gif", ".webp": "image/webp"}
_BROKEN = (OSError, ValueError, Image.DecompressionBombError, SyntaxError)


def data_url(content, suffix):
    """Bytes of a picture file as what an `<img>` shows without a request."""
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode()}"


def picture(path, notes):
    """A picture file for the page.

    Args:
        path: `pathlib.Path`.
        notes: list of str, which gets a line where a file is there and can't be shown.

    Returns:
        Dict of `src`, `width` and `height`, or None.
    """
    if not path.is_file():
        return None
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            image.load()
            if len(content) <= AS_THEY_ARE:
                return {"src": data_url(content, path.suffix), "width": width, "height": height}
            if path.suffix == ".gif":
                notes.append(f"{path.name} has {len(content):,} bytes and was left out.")
                return None
            smaller = _webp(image, 2 * SIDE)
        return {"src": data_url(smaller, ".webp"), "width": width, "height": height}
    except _BROKEN as error:
        notes.append(f"{path.name} can't be shown: {error}.")
        return None


def film(frames, most, budget, cache, notes):
    """Frames of a film, as many as fit.

    Args:
        frames: list of `(epoch, path)`.
        most: int. Most frames.
        budget: int. Most bytes.
        cache: dict, which keeps encoded frames for the next report of the run.
        notes: as in `picture`.

    Returns:
        List of `(epoch, bytes of a WebP file)`, spread evenly, the first and last among them.
    """
    count = min(len(frames), most)
    while True:
        chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
        encoded = []
        for epoch, path in (frames[i] for i in np.unique(chosen)):
            content = _encoded(path, cache, notes)
            if content is not None:
                encoded.append((epoch, content))
        if sum(len(content) for _, content in encoded) <= budget or count <= 1:
            return encoded
        count = max(1, count * 2 // 3)


def _encoded(path, cache, notes):
    try:
        key = (str(path), path.stat().st_mtime_ns)
        if key not in cache:
            with Image.open(path) as image:
                cache[key] = _webp(image, SIDE)
        return cache[key]
    except _BROKEN as error:
        notes.append(f"{path.name} can't be shown: {error}.")
        return None


def _webp(image, side):
    image = image.convert("RGBA" if image.mode in ("LA", "RGBA", "PA") else "RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=QUALITY, method=2)
    return content.getvalue()
