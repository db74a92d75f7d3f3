"""A GAN's endpoints for TF Serving."""

import tensorflow as tf

from kerasgen.generative_model import GENERATE_BATCH, draw_latents
from kerasgen.interpolation import between
from kerasgen.picture_files import encode_pictures
from kerasgen.signature import FILE, Signature, fractions, in_blocks, labels, seeds, vectors

PICTURE = "picture, values in [0, 1]"
ENCODED = "picture, as a PNG file"


def signatures(model):
    """The endpoints of `LatentGenerator.serving_signatures`.

    Args:
        model: `LatentGenerator`.

    Returns:
        Dict of name -> `Signature`. Each takes "label" as well where there are classes.
    """
    latent = vectors("latent", model.latent_dim, "latent, standard normal numbers")
    t = fractions("t", "place on the way from start to end")
    label = [labels(model.num_classes)] if model.num_classes else []

    def drawn(seed):
        return draw_latents(tf.stack([seed, tf.zeros_like(seed)], axis=1), model.latent_dim)

    def draw(latents, label):
        return model([latents, *label] if label else latents, training=False)

    def decode(latent, *label):
        return {"image": (draw(latent, label) + 1) / 2}

    def decode_png(latent, *label):
        def block(latents, *label):
            return encode_pictures(draw(latents, label))

        return {"image_bytes": in_blocks(block, latent, *label, size=GENERATE_BATCH, result=FILE)}

    def generate_png(seed, *label):
        return decode_png(drawn(seed), *label)

    def generate_truncated_png(seed, truncation, *label):
        return decode_png(truncation[:, None] * drawn(seed), *label)

    def interpolate(start, end, t, *label):
        return decode(between(drawn(start), drawn(end), t), *label)

    def interpolate_latents(start, end, t, *label):
        return decode(between(start, end, t), *label)

    image, file = {"image": PICTURE}, {"image_bytes": ENCODED}
    truncation = fractions(
        "truncation", "factor of the latent: lower is more common", above_zero=True
    )
    ends = [seeds("start"), seeds("end")]
    latent_ends = [latent._replace(name=name) for name in ("start", "end")]
    between_seeds = "Draws a picture between those of two seeds."
    return {
        "decode": Signature(decode, [latent, *label], image, "Draws a picture from a latent."),
        "decode_png": Signature(
            decode_png, [latent, *label], file, "Draws a picture from a latent, as a file."
        ),
        "generate_png": Signature(
            generate_png, [seeds(), *label], file, "Draws a picture from a seed."
        ),
        "generate_truncated_png": Signature(
            generate_truncated_png,
            [seeds(), truncation, *label],
            file,
            "Draws a picture from a seed, nearer to the common ones.",
        ),
        "interpolate": Signature(interpolate, [*ends, t, *label], image, between_seeds),
        "interpolate_latents": Signature(
            interpolate_latents,
            [*latent_ends, t, *label],
            image,
            "Draws a picture between those of two latents.",
        ),
    }
