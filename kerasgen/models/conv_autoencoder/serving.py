"""An autoencoder's endpoints for TF Serving."""

import tensorflow as tf

from kerasgen.generative_model import GENERATE_BATCH
from kerasgen.picture_files import decode_pictures, encode_pictures
from kerasgen.pixels import to_float, to_uint8
from kerasgen.signature import FILE, Signature, files, in_blocks, pictures, pixels, seeds, vectors

PICTURE = "picture, values in [0, 1]"
ENCODED = "picture, as a PNG file"


def signatures(model):
    """The endpoints of `Autoencoder.serving_signatures`.

    What takes pictures is there three times: for floats in [0, 1]; "_uint8" for uint8; "_png" for
    PNG and JPEG files. "generate_png" is there if a sampler is fitted.

    Args:
        model: `Autoencoder`.

    Returns:
        Dict of name -> `Signature`.
    """
    shape = model.image_shape
    code = vectors("code", model.latent_dim, "code, as `encode` returns it")

    def signed(image):  # from [0, 1]
        return 2 * image - 1

    def decoded(file):
        return decode_pictures(file, shape)

    def files_of(images, *rows):
        def block(*rows):
            return encode_pictures(images(*rows))

        return {"image_bytes": in_blocks(block, *rows, size=GENERATE_BATCH, result=FILE)}

    def decode(code):
        return {"image": (model.ema_decoder(code, training=False) + 1) / 2}

    def decode_png(code):
        return files_of(lambda code: model.ema_decoder(code, training=False), code)

    def generate_png(seed):
        return decode_png(model.sampler.sample_rows(tf.stack([seed, tf.zeros_like(seed)], axis=1)))

    kinds = {
        "": (signed, pictures(shape)),
        "_uint8": (to_float, pixels(shape)),
        "_png": (decoded, files((), shape)),
    }
    results = {
        "": lambda images: {"image": (model(images) + 1) / 2},
        "_uint8": lambda images: {"image": to_uint8(model(images))},
        "_png": lambda images: files_of(model, images),
    }
    about_results = {
        "": {"image": PICTURE},
        "_uint8": {"image": "picture, values in [0, 255]"},
        "_png": {"image_bytes": ENCODED},
    }

    def for_each_kind(name, result, outputs, about):
        """`Signature`s that read pictures in their kind and hand them to `result` in [-1, 1]."""
        return {
            name + kind: Signature(
                lambda image, kind=kind, read=read: result(kind, read(image)),
                [taken],
                outputs(kind),
                about,
            )
            for kind, (read, taken) in kinds.items()
        }

    found = {
        **for_each_kind(
            "reconstruct",
            lambda kind, images: results[kind](images),
            about_results.get,
            "Encodes a picture and decodes its code.",
        ),
        **for_each_kind(
            "encode",
            lambda kind, images: {"code": model.mean_codes(images)},
            lambda kind: {"code": "the picture's code"},
            "Encodes a picture.",
        ),
        **for_each_kind(
            "anomaly_score",
            lambda kind, images: {"score": model.errors(images)},
            lambda kind: {"score": "mean squared error of pixels in [-1, 1]: higher is stranger"},
            "Tells how badly a picture is reconstructed.",
        ),
        "decode": Signature(decode, [code], {"image": PICTURE}, "Decodes a code."),
        "decode_png": Signature(
            decode_png, [code], {"image_bytes": ENCODED}, "Decodes a code, to a file."
        ),
    }
    if model.sampler.fitted:
        found["generate_png"] = Signature(
            generate_png,
            [seeds()],
            {"image_bytes": ENCODED},
            "Draws a picture from a seed, through the sampler of codes.",
        )
    return found
