"""Small DCGANs, for the tests of these."""

from model_checks import ModelChecks

import kerasgen

SMALL = {
    "image_shape": (16, 16, 1),
    "latent_dim": 8,
    "generator_filters": 8,
    "discriminator_filters": 8,
    "num_clusters": 1,
}


def small(compiled=None, **changes):
    model = kerasgen.DCGAN(**{**SMALL, **changes})
    model.compile(**(compiled or {}))
    return model


class DCGANChecks(ModelChecks):
    """The contract's checks, of any DCGAN. Subclasses set `init_kwargs`."""

    model_class = kerasgen.DCGAN
    networks = ["generator", "discriminator"]
    optimizers = ["generator_optimizer", "discriminator_optimizer"]
    # The discriminator learns first: at equal logits its loss is 2 ln 2.
    falling = "discriminator_loss"
    epochs = 8  # later on, the generator catches up
