"""Small DCGANs, for the tests of these."""

import kerasgen

SMALL = {
    "image_shape": (16, 16, 1),
    "latent_dim": 8,
    "generator_filters": 8,
    "discriminator_filters": 8,
}


def small(compiled=None, **changes):
    model = kerasgen.DCGAN(**{**SMALL, **changes})
    model.compile(**(compiled or {}))
    return model
