"""A PixelCNN's endpoints for TF Serving."""

import tensorflow as tf

from kerasgen.picture_files import decode_pictures, encode_pictures
from kerasgen.pixels import to_float
from kerasgen.signature import FILE, Signature, files, in_blocks, pictures, pixels, seeds


def signatures(model, size):
    """The endpoints of `PixelCNN.serving_signatures`.

    What takes pictures is there three times: for floats in [0, 1]; "_uint8" for uint8; "_png" for
    PNG and JPEG files.

    Args:
        model: `PixelCNN`.
        size: int. Pictures are drawn in blocks of this size.

    Returns:
        Dict of name -> `Signature`.
    """
    shape = model.image_shape

    def generate_png(seed):
        rows = tf.stack([seed, tf.zeros_like(seed)], axis=1)

        def block(rows):
            return encode_pictures(to_float(model.draw(rows)))

        return {"image_bytes": in_blocks(block, rows, size=size, result=FILE)}

    found = {
        "generate_png": Signature(
            generate_png,
            [seeds()],
            {"image_bytes": "picture, as a PNG file"},
            "Draws a picture from a seed, pixel after pixel.",
        )
    }
    kinds = {
        "": (lambda image: 2 * image - 1, pictures(shape)),
        "_uint8": (to_float, pixels(shape)),
        "_png": (lambda file: decode_pictures(file, shape), files((), shape)),
    }
    for kind, (read, taken) in kinds.items():
        found["bits_per_dimension" + kind] = Signature(
            lambda image, read=read: {"bits": model.bits(read(image))},
            [taken],
            {"bits": f"bits a value, of pixels in {model.levels} levels: higher is less likely"},
            "Tells how likely a picture is.",
        )
    return found
