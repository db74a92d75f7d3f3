"""`FeatureExtractor`: pictures in, features out, and an id that says exactly how."""

import hashlib
import warnings

import numpy as np
import tensorflow as tf

from kerasgen.data.pictures import convert_channels
from kerasgen.pixels import to_float

BATCH = 128  # always, so that a picture's features don't depend on the others
_KINDS = {1: "grey", 2: "grey and alpha", 3: "colour", 4: "colour and alpha"}


class FeatureExtractor:
    """Turns pictures of any size into feature vectors, in one stated way.

    It is deliberately no Keras layer: what holds one (a metric, a callback, a model) doesn't
    take its weights into a checkpoint.

    Args:
        function: callable from float32 tensors `(B, H, W, C)` in [-1, 1], of the size and
            channels below, to float tensors `(B, dim)`.
        name: str. What it is called in results.
        weights: list of arrays that the function computes with. Their hash is part of the id.
        image_size: tuple of 2 ints. Height and width that pictures are resized to, in pixels:
            bicubic, anti-aliased where that shrinks them.
        channels: int. 1 or 3. Other pictures are converted, with a warning.
        resize: callable from float tensors in [-1, 1] and a size to such tensors, or None for
            the resize above.
        resize_name: str. What the id calls another resize. Defaults to "".

    Attributes:
        id: str. Name, the first six digits of the weights' SHA-256, and size, such as
            "fashion-cnn-1a2b3c, 32px".
        dim: int. Number of features.
        image_size, channels: as given.

    Example:

    ```python
    extractor = kerasgen.metrics.get_extractor("fashion-cnn")
    features = extractor(images)  # float32, (len(images), 128)
    ```
    """

    #: What a Fréchet distance in these features may be called.
    distance_name = "FD"
    #: The name or path that `get_extractor` finds it by, if there is one.
    source = None

    def __init__(self, function, name, weights, image_size, channels, resize=None, resize_name=""):
        digest = hashlib.sha256()
        for array in weights:
            digest.update(np.ascontiguousarray(array).tobytes())
        height, width = image_size
        size = f"{height}px" if height == width else f"{height}x{width}px"
        self.id = f"{name}-{digest.hexdigest()[:6]}, {size}{resize_name}"
        self.image_size = (int(height), int(width))
        self.channels = int(channels)
        self._resize = resize or _resize_smoothly
        self._function = tf.function(self._from_floats, autograph=False, reduce_retracing=False)
        self._features = function
        self._warned = set()
        self.dim = int(self._features(tf.zeros((1, *self.image_size, channels))).shape[-1])

    def __call__(self, images):
        """Computes features.

        Args:
            images: uint8 array or tensor `(N, H, W, C)`, or floating point in [-1, 1].

        Returns:
            float32 array `(N, dim)`. Equal pictures have equal features in any company, to
            float32's rounding.

        Raises:
            TypeError: pictures of another dtype.
            ValueError: another rank, no pictures, or values outside [-1, 1] or not finite.
        """
        images = check_images(images)
        channels = images.shape[-1]
        if channels != self.channels and channels not in self._warned:
            self._warned.add(channels)
            warnings.warn(
                f"{self.id} sees {_KINDS[self.channels]} pictures: these are "
                f"{_KINDS[channels]} and are converted for it.",
                stacklevel=2,
            )
        results = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            count = len(batch)
            if count < BATCH:
                batch = np.concatenate([batch, np.repeat(batch[-1:], BATCH - count, 0)])
            batch = to_float(batch) if batch.dtype == np.uint8 else tf.cast(batch, tf.float32)
            if channels != self.channels:
                batch = tf.constant(convert_channels(batch.numpy(), self.channels))
            results.append(self._function(batch).numpy()[:count])
        return np.concatenate(results)

    def _from_floats(self, images):
        if tuple(images.shape[1:3]) != self.image_size:
            images = self._resize(images, self.image_size)
        return tf.cast(self._features(images), tf.float32)


def check_images(images):
    """Checks pictures that are to be measured.

    Args:
        images: array or tensor.

    Returns:
        NumPy array `(N, H, W, C)`, uint8 or floating point in [-1, 1].

    Raises:
        TypeError, ValueError: see `FeatureExtractor.__call__`.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in _KINDS or 0 in images.shape:
        raise ValueError(
            "Pictures to measure must be (pictures, height, width, channels) with 1 to 4 "
            f"channels, at least one. Received: shape={images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(
            "Pictures to measure must be uint8 (0 to 255) or floating point in [-1, 1]. "
            f"Received: dtype={images.dtype}"
        )
    low, high = float(images.min()), float(images.max())  # NaN propagates
    if not (-1.001 <= low and high <= 1.001):
        raise ValueError(
            "Floating-point pictures must lie in [-1, 1] and be finite: rescale them, or give "
            f"uint8. Received: values from {low:.4g} to {high:.4g}"
        )
    return images


def _resize_smoothly(images, size):
    resized = tf.image.resize(images, size, "bicubic", antialias=True)
    return tf.clip_by_value(resized, -1.0, 1.0)
