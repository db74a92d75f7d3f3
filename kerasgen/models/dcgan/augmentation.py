"""Differentiable augmentation: the discriminator sees all pictures, real and fake, distorted.

With few pictures a discriminator knows them by heart. Distorted at random it can't, and as fake
pictures are distorted in the same ways, before they are judged and differentiably, the
generator's own pictures stay undistorted.
"""

import tensorflow as tf

from kerasgen.names import nearest

POLICIES = ("color", "translation", "cutout", "flip")
SHIFT = 1 / 8  # of a side, at most, by translation
HOLE = 1 / 2  # of a side, by cutout
NO_COLOR = (2, 4)  # channel counts with alpha, which isn't a colour


def check_policies(policies, channels):
    """Checks the names of augmentations.

    Args:
        policies: str, sequence of str, or None for none.
        channels: int. Channels of the pictures.

    Returns:
        Tuple of str, in the order of `POLICIES`.

    Raises:
        ValueError: an unknown name, or a policy that isn't defined for so many channels.
    """
    if policies is None:
        return ()
    names = policies if isinstance(policies, (list, tuple)) else (policies,)
    for name in names:
        if name not in POLICIES:
            raise ValueError(
                f"Unknown augmentation: expected some of {list(POLICIES)}."
                f"{nearest(name, POLICIES)} Received: augment={policies!r}"
            )
    if "color" in names and channels in NO_COLOR:
        raise ValueError(
            'The augmentation "color" is for pictures of 1 or 3 channels; these have '
            f"{channels}, one of them alpha: leave it out. Received: augment={policies!r}"
        )
    return tuple(name for name in POLICIES if name in names)


def augment(images, policies, probability, seed):
    """Distorts pictures at random, each in its own way.

    "color" changes brightness, saturation (of 3 channels) and contrast; "translation" moves the
    picture by up to an eighth of its sides; "cutout" covers a rectangle of half its sides;
    "flip" mirrors it left-right, half of the time. What comes into view is mid-grey, 0.

    Args:
        images: float tensor `(B, H, W, C)` in [-1, 1].
        policies: as `check_policies` returns it.
        probability: float or scalar tensor in [0, 1]. How likely each policy is applied to each
            picture.
        seed: int32 tensor `(2,)`.

    Returns:
        float tensor `(B, H, W, C)`, differentiable with respect to `images`, twice as well.

    Reference:
        Zhao, Liu, Lin, Zhu, Han: Differentiable Augmentation for Data-Efficient GAN Training,
        2020 ("color", "translation", "cutout"). Karras, Aittala, Hellsten, Laine, Lehtinen, Aila:
        Training Generative Adversarial Networks with Limited Data, 2020 (the probability).
    """
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    draws = tf.unstack(tf.random.stateless_uniform((12, batch), seed, alg="philox"))
    color, translation, cutout, flip = (draw < probability for draw in draws[:4])
    brightness, saturation, contrast, down, right, side, top, left = draws[4:]
    if "color" in policies:
        images += _if(color, brightness - 0.5, 0.0)
        if channels == 3:
            grey = tf.reduce_mean(images, axis=3, keepdims=True)
            images = grey + (images - grey) * _if(color, 2 * saturation, 1.0)
        mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
        images = mean + (images - mean) * _if(color, contrast + 0.5, 1.0)
    # Where each row and column comes from.
    rows, columns = tf.range(height)[None], tf.range(width)[None]
    if "translation" in policies:
        rows += _shift(translation, down, height)
        columns += _shift(translation, right, width)
        images = _take(images, rows)
    if "flip" in policies:
        mirrored = flip & (side < 0.5)
        columns = tf.where(mirrored[:, None], width - 1 - columns, columns)
    if "translation" in policies or "flip" in policies:
        images = tf.transpose(_take(tf.transpose(images, (0, 2, 1, 3)), columns), (0, 2, 1, 3))
    if "cutout" in policies:
        hole = _hole(top, height)[:, :, None] & _hole(left, width)[:, None]
        hole &= cutout[:, None, None]
        images = tf.where(hole[..., None], 0.0, images)
    return images


def _if(applied, amounts, neutral):
    return tf.where(applied, amounts, neutral)[:, None, None, None]


def _shift(applied, draws, side):
    """Whole numbers of pixels, `(B, 1)`."""
    most = round(SHIFT * side)
    shifts = tf.cast(tf.floor(draws * (2 * most + 1)), tf.int32) - most
    return tf.where(applied, shifts, 0)[:, None]


def _take(images, rows):
    """Puts pictures together from their rows, zeros where there is none of that number.

    By a product with matrices of zeros and ones: faster than to gather, and so is its gradient.
    """
    matrices = tf.one_hot(rows, images.shape[1], dtype=images.dtype)
    lines = tf.reshape(images, (-1, images.shape[1], images.shape[2] * images.shape[3]))
    return tf.reshape(matrices @ lines, tf.shape(images))


def _hole(draws, side):
    """Which positions of a side are covered, bool `(B, side)`: around any of them."""
    size = round(HOLE * side)
    start = tf.cast(tf.floor(draws * (side + 1 - size % 2)), tf.int32)[:, None] - size // 2
    places = tf.range(side)[None]
    return (places >= start) & (places < start + size)
