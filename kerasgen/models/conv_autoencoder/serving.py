"""An autoencoder's endpoints for TF Serving."""

import tensorflow as tf

from kerasgen.generative_model import Signature, encode_png
from kerasgen.models.conv_autoencoder.pictures import decode_pictures
from kerasgen.pixels import to_uint8


def signatures(model):
    """The endpoints of `Autoencoder.serving_signatures`.

    Args:
        model: `Autoencoder`.

    Returns:
        Dict of name -> `Signature`. Images are uint8, "image_bytes" PNG files (as input JPEG
        too). "generate_png" is there if a sampler is fitted.
    """
    image = tf.TensorSpec((None, *model.image_shape), tf.uint8, "image")
    code = tf.TensorSpec((None, model.latent_dim), tf.float32, "code")
    file = tf.TensorSpec((None,), tf.string, "image_bytes")
    seed = tf.TensorSpec((None,), tf.int64, "seed")

    def reconstruct(image):
        return {"image": to_uint8(model(image, training=False))}

    def encode(image):
        return {"code": model.mean_codes(image)}

    def decode(code):
        return {"image": to_uint8(model.ema_decoder(code, training=False))}

    def reconstruct_png(image_bytes):
        images = decode_pictures(image_bytes, model.image_shape)
        return {"image_bytes": encode_png(model(images, training=False))}

    def anomaly_score(image):
        return {"score": model.errors(image)}

    def generate_png(seed):
        codes = model.sampler.sample_rows(tf.stack([seed, tf.zeros_like(seed)], axis=1))
        return {"image_bytes": encode_png(model.ema_decoder(codes, training=False))}

    result = {
        "reconstruct": Signature(reconstruct, [image]),
        "encode": Signature(encode, [image]),
        "decode": Signature(decode, [code]),
        "reconstruct_png": Signature(reconstruct_png, [file]),
        "anomaly_score": Signature(anomaly_score, [image]),
    }
    if model.sampler.fitted:
        result["generate_png"] = Signature(generate_png, [seed])
    return result
