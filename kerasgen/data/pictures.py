"""One picture, whatever it is stored as, to a uint8 or float32 array of the asked size."""

import io
import math
import os

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)
# JPEG files are decoded at the smallest of libjpeg's scales that still exceeds what is asked by
# this factor; what remains is left to the anti-aliased resize.
_JPEG_MARGIN = 1.5


def open_picture(raw):
    """Opens a path, encoded bytes or a uint8 array `(H, W)` or `(H, W, C)` as a Pillow image."""
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw[..., 0] if raw.ndim == 3 and raw.shape[-1] == 1 else raw)
    if isinstance(raw, bytes):
        raw = io.BytesIO(raw)
    return Image.open(raw)


def picture_shape(raw):
    """Size and channels of a picture as a viewer would show it, from its header alone.

    Args:
        raw: path, encoded bytes, or array `(H, W, C)`.

    Returns:
        Tuple of 3 ints: height and width in pixels, and the channels that hold information
        (1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha).
    """
    if isinstance(raw, np.ndarray):
        return raw.shape
    with open_picture(raw) as image:
        width, height = image.size
        # Pillow's PNG reader would decode the whole picture to look for EXIF data behind it.
        if Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1) in _TURNED:
            width, height = height, width
        grey = image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;")
        if image.mode == "P":
            palette = np.asarray(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
            grey = bool((palette == palette[:, :1]).all())
        return height, width, (1 if grey else 3) + int(image.has_transparency_data)


def read_picture(raw, image_size, channels, cover=1.0):
    """Decodes a picture, turns it upright, converts and resizes it.

    Animated files give their first frame, 16-bit grey is scaled to 8 bits, transparency is laid
    over white unless the channels asked for include alpha. Resizing is anti-aliased.

    Args:
        raw: path, encoded bytes, or array `(H, W, C)`: uint8 in [0, 255], or float32 in [-1, 1].
        image_size: tuple of 2 ints. Height and width asked for, in pixels.
        channels: int. 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha.
        cover: float. With 1 the picture is cropped at its centre to exactly `image_size`;
            above 1 it is left uncropped and shrunk until it just covers `cover * image_size`,
            and never enlarged. Defaults to 1.0.

    Returns:
        Array `(H, W, channels)` of the dtype and range that came in, uint8 for files.

    Raises:
        OSError, ValueError, SyntaxError: where Pillow can't decode the data.
    """
    if isinstance(raw, np.ndarray) and raw.dtype != np.uint8:
        return _read_floats(raw, image_size, channels, cover)
    if isinstance(raw, (str, os.PathLike)):
        with open(raw, "rb") as file:
            raw = file.read()
    with open_picture(raw) as image:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        stored = image.size[::-1] if orientation in _TURNED else image.size
        width, height = _target(stored, image_size, cover)
        if image.format == "JPEG":
            scale = max(width / stored[0], height / stored[1]) * _JPEG_MARGIN
            image = _read_jpeg(raw, image, [math.ceil(side * scale) for side in image.size])
        image.load()
        if orientation in _UPRIGHT:
            # `ImageOps.exif_transpose` rewrites the other tags too, and fails at damaged ones.
            image = image.transpose(_UPRIGHT[orientation])
        image = to_mode(image, channels)
        if image.size != (width, height):
            image = _resize(image, (width, height))
        return np.asarray(image).reshape(height, width, channels)


def encode_png(array):
    """Encodes a uint8 array `(H, W, C)`, 1 to 4 channels, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    open_picture(np.ascontiguousarray(array)).save(buffer, "PNG")
    return buffer.getvalue()


def is_picture(path):
    """Whether a path is named like a picture, and is not a file that an archiver left behind."""
    name = os.path.basename(path)
    return os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith(".")


def _target(stored, image_size, cover):
    """Width and height to resize to: the asked size, or the whole picture just covering it."""
    height, width = image_size
    if cover == 1:
        return width, height
    scale = min(1.0, cover * max(width / stored[0], height / stored[1]))
    return round(stored[0] * scale), round(stored[1] * scale)


def _read_jpeg(data, image, size):
    """Decodes a JPEG file at the smallest scale that covers `size`, a width and height.

    Straight from libjpeg-turbo, in about 0.8 of Pillow's time, with the same pixels. What that
    refuses, such as a file cut short, is left to Pillow, which is more lenient.
    """
    spaces = {"L": "GRAY", "RGB": "RGB"}
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            spaces[image.mode],
            min_width=size[0],
            min_height=size[1],
            min_factor=2,
        )
    except (KeyError, ValueError):
        image.draft(None, size)
        return image
    return open_picture(pixels)


def _resize(image, size):
    """Crops at the centre to the shape of `size`, a width and height, and resizes to it.

    Shrinking weighs the source pixels under each new one with a Hamming window, which comes
    closest to their exact average among Pillow's filters and neither blurs nor rings.
    """
    smaller = size[0] <= image.width and size[1] <= image.height
    method = Image.Resampling.HAMMING if smaller else Image.Resampling.BICUBIC
    return ImageOps.fit(image, size, method=method)


def to_mode(image, channels):
    """Converts a Pillow image to a number of channels, laying transparency over white."""
    if image.mode == MODES[channels] and not image.has_transparency_data:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("grey levels beyond 16 bits")
        image = Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels in a file; load them as an array")
    if image.has_transparency_data and channels in (1, 3):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert(MODES[channels])


def _read_floats(raw, image_size, channels, cover):
    if raw.shape[-1] != channels:
        raw = convert_channels(raw, channels)
    width, height = _target(raw.shape[1::-1], image_size, cover)
    if raw.shape[:2] == (height, width):
        return raw
    planes = [
        _resize(Image.fromarray(np.ascontiguousarray(plane)), (width, height))
        for plane in np.moveaxis(raw, -1, 0)
    ]
    # Enlarging overshoots at edges; the range is part of the contract.
    return np.clip(np.stack([np.asarray(plane) for plane in planes], -1), -1, 1)


def convert_channels(images, channels):
    """Converts float pictures `(..., C)` in [-1, 1] to another number of channels.

    Grey from colour is the luma of ITU-R 601-2, as in Pillow; added alpha is opaque, and
    transparency is laid over white where alpha is dropped.
    """
    alpha = images[..., -1:] if images.shape[-1] in (2, 4) else np.ones_like(images[..., :1])
    colour = images[..., :3] if images.shape[-1] >= 3 else images[..., :1]
    if channels in (1, 3):
        opacity = (alpha + 1) / 2
        colour = colour * opacity + (1 - opacity)
    if channels <= 2 and colour.shape[-1] == 3:
        colour = (colour @ np.float32([0.299, 0.587, 0.114]))[..., None]
    elif channels >= 3 and colour.shape[-1] == 1:
        colour = np.repeat(colour, 3, axis=-1)
    return np.concatenate([colour, alpha], -1) if channels in (2, 4) else colour
