"""One picture of any kind, against NumPy's account of what it should look like."""

import io

import numpy as np
import pytest
from PIL import Image

from kerasgen.data.pictures import (
    convert_channels,
    encode_png,
    is_picture,
    picture_shape,
    read_picture,
)


def encoded(image, kind="PNG", **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def photograph(height, width):
    """Smooth structure and some texture, so that JPEG and resizing have something to get wrong."""
    y, x = np.mgrid[:height, :width] / 100
    planes = [np.sin(3 * x + y), np.cos(2 * y - x), np.sin(5 * x) * np.cos(4 * y)]
    texture = np.random.default_rng(0).normal(0, 6, (height, width, 1))
    return np.clip(np.stack(planes, -1) * 90 + 128 + texture, 0, 255).astype(np.uint8)


def psnr(a, b):
    error = np.square(a.astype(float) - b.astype(float)).mean()
    return 10 * np.log10(255**2 / max(error, 1e-9))


def over_white(colour, alpha):
    alpha = alpha.astype(float) / 255
    return colour * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize("kind, options", [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
@pytest.mark.parametrize("shape", [(12, 20), (12, 20, 3)])
def test_lossless_formats_come_back_exactly(kind, options, shape):
    pixels = noise(*shape)
    raw = encoded(pixels, kind, **options)
    expected = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, -1)
    np.testing.assert_array_equal(read_picture(raw, (12, 20), 3), expected)


def test_grey_from_colour_is_luma():
    pixels = noise(9, 7, 3)
    grey = read_picture(encoded(pixels), (9, 7), 1)[..., 0]
    np.testing.assert_allclose(grey, pixels @ [0.299, 0.587, 0.114], atol=0.51)


def test_one_bit_bitmap():
    bits = noise(8, 8) > 127
    raw = encoded(Image.fromarray(bits), "BMP")
    np.testing.assert_array_equal(read_picture(raw, (8, 8), 1)[..., 0], bits * 255)
    assert picture_shape(raw) == (8, 8, 1)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_palette(kind):
    colours = noise(16, 3)
    indices = noise(8, 10) % 16
    image = Image.frombytes("P", (10, 8), indices.tobytes())
    image.putpalette(colours.tobytes())
    raw = encoded(image, kind)
    np.testing.assert_array_equal(read_picture(raw, (8, 10), 3), colours[indices])
    assert picture_shape(raw) == (8, 10, 3)


def test_grey_palette_is_grey():
    image = Image.frombytes("P", (10, 8), (noise(8, 10) % 16).tobytes())
    image.putpalette(np.repeat(np.arange(0, 160, 10, np.uint8), 3).tobytes())
    assert picture_shape(encoded(image)) == (8, 10, 1)


def test_palette_with_transparency_lies_over_white():
    colours, alpha = noise(4, 3), np.array([0, 60, 200, 255], np.uint8)
    indices = noise(8, 8) % 4
    image = Image.frombytes("P", (8, 8), indices.tobytes())
    image.putpalette(colours.tobytes())
    raw = encoded(image, transparency=alpha.tobytes())
    expected = over_white(colours[indices], alpha[indices][..., None])
    np.testing.assert_allclose(read_picture(raw, (8, 8), 3), expected, atol=1.01)
    kept = read_picture(raw, (8, 8), 4)
    np.testing.assert_array_equal(kept[..., 3], alpha[indices])
    assert picture_shape(raw) == (8, 8, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_lies_over_white(channels):
    colour = noise(10, 10, 4)
    expected = over_white(colour[..., :3], colour[..., 3:])
    if channels == 1:
        expected = (expected @ [0.299, 0.587, 0.114])[..., None]
    got = read_picture(encoded(colour), (10, 10), channels)
    np.testing.assert_allclose(got, expected, atol=1.51)


def test_grey_and_alpha():
    pixels = noise(10, 10, 2)
    raw = encoded(Image.fromarray(pixels))
    assert picture_shape(raw) == (10, 10, 2)
    np.testing.assert_array_equal(read_picture(raw, (10, 10), 2), pixels)
    over = read_picture(raw, (10, 10), 1)[..., 0]
    np.testing.assert_allclose(over, over_white(pixels[..., 0], pixels[..., 1]), atol=1.01)
    colour = read_picture(raw, (10, 10), 4)
    np.testing.assert_array_equal(colour, pixels[..., [0, 0, 0, 1]])


def test_added_alpha_is_opaque():
    pixels = noise(6, 6, 3)
    raw = encoded(pixels)
    np.testing.assert_array_equal(read_picture(raw, (6, 6), 4)[..., 3], 255)
    np.testing.assert_array_equal(read_picture(raw, (6, 6), 4)[..., :3], pixels)
    np.testing.assert_array_equal(read_picture(raw, (6, 6), 2)[..., 1], 255)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    got = read_picture(encoded(levels), (8, 8), 1)[..., 0]
    np.testing.assert_allclose(got, levels / 257, atol=0.51)
    assert picture_shape(encoded(levels)) == (8, 8, 1)


@pytest.mark.parametrize("ink", [(0, 0, 0, 0), (255, 0, 0, 0), (0, 100, 200, 50), (0, 0, 0, 255)])
def test_cmyk_jpeg_with_adobe_marker(ink):
    raw = encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
    assert b"Adobe" in raw
    paper = 255 * (1 - np.array(ink[:3]) / 255) * (1 - ink[3] / 255)
    got = read_picture(raw, (16, 16), 3)
    np.testing.assert_allclose(got, np.broadcast_to(paper, got.shape), atol=4)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
def test_jpeg(options):
    pixels = photograph(64, 96)
    raw = encoded(pixels, "JPEG", quality=95, **options)
    assert psnr(read_picture(raw, (64, 96), 3), pixels) > 30
    grey = encoded(pixels[..., 0], "JPEG", quality=95, **options)
    spread = read_picture(grey, (64, 96), 3)
    assert psnr(spread[..., 0], pixels[..., 0]) > 33
    np.testing.assert_array_equal(spread[..., 0], spread[..., 2])


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_animations_give_their_first_frame(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    raw = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(io.BytesIO(raw)) as image:
        assert image.n_frames == 3
    got = read_picture(raw, (16, 16), 3)
    np.testing.assert_array_equal(got, np.broadcast_to(np.uint8([255, 0, 0]), got.shape))


UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(orientation):
    stored = noise(8, 14, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = encoded(stored, exif=exif)
    expected = UPRIGHT[orientation](stored)
    assert picture_shape(raw) == expected.shape
    np.testing.assert_array_equal(read_picture(raw, expected.shape[:2], 3), expected)


def test_exif_orientation_of_a_jpeg_decoded_at_a_smaller_scale():
    pixels = photograph(400, 240)
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = encoded(np.rot90(pixels), "JPEG", quality=95, exif=exif)
    small = Image.fromarray(pixels).resize((24, 40), Image.Resampling.LANCZOS)
    assert psnr(read_picture(raw, (40, 24), 3), np.asarray(small)) > 35


def test_damaged_exif_costs_nothing_but_itself():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0100] = 10  # a width, which the damage declares to be text
    damaged = exif.tobytes().replace(b"\x01\x00\x00\x04", b"\x01\x00\x00\x02")
    assert damaged != exif.tobytes()
    stored = noise(6, 10, 3)
    raw = encoded(stored, exif=damaged)
    np.testing.assert_array_equal(read_picture(raw, (10, 6), 3), np.rot90(stored, -1))


def test_header_of_a_png_is_enough_for_its_shape():
    raw = encoded(noise(300, 200, 3))
    assert picture_shape(raw[: len(raw) // 10]) == (300, 200, 3)


def box_average(pixels, factor):
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    return pixels.reshape(height, factor, width, factor, -1).astype(float).mean((1, 3))


@pytest.mark.parametrize("period", [2, 3, 7])
@pytest.mark.parametrize("as_floats", [False, True])
def test_stripes_finer_than_the_result_become_grey(period, as_floats):
    """Picking every 10th column would give black, white, or moiré."""
    stripes = np.where(np.arange(240) % period < period / 2, 255, 0).astype(np.uint8)
    pixels = np.broadcast_to(stripes[None, :, None], (240, 240, 1)).copy()
    raw = (pixels / 127.5 - 1).astype(np.float32) if as_floats else pixels
    got = read_picture(raw, (24, 24), 1)
    got = (got + 1) * 127.5 if as_floats else got
    inside = got[2:-2, 2:-2]  # a filter has less to average at the borders
    np.testing.assert_allclose(inside, box_average(pixels, 240).item(), atol=6)


@pytest.mark.parametrize("as_floats", [False, True])
def test_resizing_stays_close_to_the_average_of_the_area(as_floats):
    pixels = photograph(160, 240)
    raw = (pixels / 127.5 - 1).astype(np.float32) if as_floats else pixels
    got = read_picture(raw, (20, 30), 3)
    assert got.dtype == raw.dtype
    got = (got + 1) * 127.5 if as_floats else got
    assert psnr(got, box_average(pixels, 8)) > 35


@pytest.mark.parametrize("size", [(32, 32), (100, 75), (300, 300)])
def test_scaled_jpeg_decoding_stays_close_to_full_decoding(size):
    ripples = 25 * np.sin(np.arange(900) * 2 * np.pi / 9)  # that half the size can still show
    pixels = np.clip(photograph(600, 900) + ripples[:, None], 0, 255).astype(np.uint8)
    raw = encoded(pixels, "JPEG", quality=95)
    height, width = size
    with Image.open(io.BytesIO(raw)) as image:
        scale = max(width / 900, height / 600)
        wide, high = width / scale, height / scale
        box = ((900 - wide) / 2, (600 - high) / 2, (900 + wide) / 2, (600 + high) / 2)
        full = image.resize((width, height), Image.Resampling.HAMMING, box=box)
    assert psnr(read_picture(raw, size, 3), np.asarray(full)) > 35


@pytest.mark.parametrize("shape", [(40, 56), (40, 56, 3)])
def test_jpeg_pixels_are_pillow_s(shape):
    raw = encoded(photograph(40, 56) if len(shape) == 3 else photograph(40, 56)[..., 0], "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(raw))).reshape(40, 56, -1)
    got = read_picture(raw, (40, 56), expected.shape[-1])
    np.testing.assert_allclose(got.astype(int), expected, atol=1)  # two builds of libjpeg-turbo


def test_crop_is_the_centre():
    wide = np.broadcast_to(np.arange(192, dtype=np.uint8)[None, :, None], (64, 192, 1)).copy()
    np.testing.assert_array_equal(read_picture(wide, (64, 64), 1), wide[:, 64:128])
    high = wide.transpose(1, 0, 2)
    np.testing.assert_array_equal(read_picture(high, (64, 64), 1), high[64:128])
    floats = (wide / 127.5 - 1).astype(np.float32)
    np.testing.assert_array_equal(read_picture(floats, (64, 64), 1), floats[:, 64:128])


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5000, 3), (5000, 1, 3)])
def test_extreme_shapes(shape):
    pixels = np.full(shape, 77, np.uint8)
    np.testing.assert_array_equal(read_picture(encoded(pixels), (16, 16), 3), 77)
    kept = read_picture(encoded(pixels), (16, 16), 3, cover=2.0)
    assert kept.shape == shape and (kept == 77).all()


@pytest.mark.parametrize(
    "stored, kept", [((400, 300), (171, 128)), ((100, 300), (100, 300)), ((20, 10), (20, 10))]
)
def test_cover_shrinks_whole_pictures_and_never_enlarges(stored, kept):
    got = read_picture(noise(*stored, 1), (64, 64), 1, cover=2.0)
    assert got.shape == (*kept, 1)


def test_floats_keep_their_range_where_lanczos_overshoots():
    edge = np.full((64, 64, 1), -1, np.float32)
    edge[:, 30:] = 1
    got = read_picture(edge, (20, 20), 1)
    assert got.min() == -1 and got.max() == 1


@pytest.mark.parametrize("have", [1, 2, 3, 4])
@pytest.mark.parametrize("want", [1, 2, 3, 4])
def test_float_channels_convert_as_those_of_files(have, want):
    pixels = noise(8, 8, have)
    floats = convert_channels((pixels / 127.5 - 1).astype(np.float32), want)
    from_file = read_picture(pixels, (8, 8), want)
    np.testing.assert_allclose((floats + 1) * 127.5, from_file, atol=1.6)


def test_broken_pictures_raise():
    jpeg = encoded(photograph(200, 200), "JPEG")
    with pytest.raises(OSError, match="truncated"):
        read_picture(jpeg[: len(jpeg) // 2], (32, 32), 3)
    for raw in (b"", b"hello, I am no picture"):
        with pytest.raises(OSError, match="cannot identify"):
            read_picture(raw, (32, 32), 3)


def test_decompression_bombs_raise(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Image.DecompressionBombError):
        read_picture(encoded(noise(100, 100)), (32, 32), 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_encode_png(channels):
    pixels = noise(9, 5, channels)
    with Image.open(io.BytesIO(encode_png(pixels[::-1]))) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image).reshape(9, 5, channels), pixels[::-1])


@pytest.mark.parametrize(
    "name, expected",
    [("a.JPG", True), ("b c.webp", True), ("d.tar.png", True), ("ü.BmP", True)]
    + [("._a.jpg", False), (".png", False), ("a.txt", False), ("png", False), ("a.tiff", False)],
)
def test_is_picture(name, expected):
    assert is_picture(name) is expected
