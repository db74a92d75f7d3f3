"""`get`: a sampler from its name, its config, or itself."""

import keras

from kerasgen.names import nearest
from kerasgen.samplers.flow import FlowSampler
from kerasgen.samplers.gaussian import GaussianSampler, MixtureSampler, NormalSampler
from kerasgen.samplers.sampler import Sampler

_BY_NAME = {
    "normal": NormalSampler,
    "gaussian": GaussianSampler,
    "mixture": MixtureSampler,
    "flow": FlowSampler,
}


def get(identifier, latent_dim):
    """Resolves a sampler.

    Args:
        identifier: `Sampler`, its config as Keras serialises it, or a name: "normal",
            "gaussian", "mixture" or "flow".
        latent_dim: int. Length of the codes that it is for.

    Returns:
        A `Sampler`; the given one itself, if it is one.

    Raises:
        ValueError: an unknown name, with the nearest known ones, or a sampler for codes of
            another length.

    Example:

    ```python
    sampler = kerasgen.samplers.get("mixture", latent_dim=64).fit(codes)
    ```
    """
    sampler = identifier
    if isinstance(identifier, str) and identifier in _BY_NAME:
        sampler = _BY_NAME[identifier](latent_dim)
    elif isinstance(identifier, dict):
        sampler = keras.saving.deserialize_keras_object(identifier)
    if not isinstance(sampler, Sampler):
        raise ValueError(
            f"Unknown sampler: expected a Sampler, its config, or one of {list(_BY_NAME)}."
            f"{nearest(identifier, _BY_NAME)} Received: sampler={identifier!r}"
        )
    if sampler.latent_dim != latent_dim:
        raise ValueError(
            f"The sampler is for codes of length {sampler.latent_dim}, and these have "
            f"{latent_dim}. Received: sampler={identifier!r}"
        )
    return sampler
