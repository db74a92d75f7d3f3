"""What a DCGAN chooses where nothing is said, and why."""

from kerasgen.models.dcgan.augmentation import NO_COLOR
from kerasgen.models.stages import num_stages


def _filters(image_shape):
    stages = num_stages(image_shape)
    if stages <= 4:
        return 32, "on a CPU, many steps of narrow networks draw better than few of wide ones"
    return 16, f"doubled over {stages} stages it is wide enough, and steps stay short"


def _upsampling(image_shape):
    if image_shape[2] == 1:
        return "transposed", "what grey pictures were measured with"
    return "resize", "which draws no checkerboards, for the same time"


def _augment(image_shape):
    reason = "as likely as keeps the discriminator from knowing the pictures by heart"
    if image_shape[2] == 1 or image_shape[2] in NO_COLOR:
        return ("translation", "cutout"), reason
    return ("color", "translation", "cutout"), reason


def num_clusters(latent_dim, num_classes):
    """The number of clusters, and why."""
    if num_classes:
        return 1, "as labels tell what a picture shows"
    return min(100, latent_dim), (
        "kinds of pictures that both networks are told, for better and more diverse ones in the "
        "same time; a training uses one for every hundred of its first 10,000 pictures"
    )


def _learning_rate(image_shape):
    return (2e-3, 1e-3), (
        "of generator and discriminator: narrow networks bear more than the usual 2e-4, the "
        "generator most, and are there sooner"
    )


_RULES = {
    "generator_filters": _filters,
    "discriminator_filters": _filters,
    "upsampling": _upsampling,
    "augment": _augment,
    "learning_rate": _learning_rate,
}


def complete(image_shape, **asked):
    """Chooses what was left open.

    Args:
        image_shape: tuple of 3 ints.
        **asked: arguments of `DCGAN` and its `compile` by name; None or, for `augment`, "auto"
            leaves one open.

    Returns:
        Tuple of the list of all values, in the order of `asked`, and a dict of the names of those
        that were chosen to the reasons, str.
    """
    values, reasons = [], {}
    for name, value in asked.items():
        if value == ("auto" if name == "augment" else None):
            value, reason = _RULES[name](image_shape)
            reasons[name] = f"{value!r}, {reason}"
        values.append(value)
    return values, reasons
