"""`LatentGenerator`: what can be done with a network that draws pictures from latent vectors."""

import numpy as np
import tensorflow as tf

from kerasgen.generative_model import GenerativeModel, draw_latents, in_batches, row_seeds
from kerasgen.interpolation import path_between
from kerasgen.models.dcgan import serving
from kerasgen.pixels import to_uint8

PREVIEW_SIDE = 8


class LatentGenerator(GenerativeModel):
    """Everything a GAN does but its training. Subclasses build and train the networks.

    They set the attributes below.

    Attributes:
        image_shape: tuple of 3 ints. Height, width and channels of a picture.
        latent_dim: int. Length of the latent vector.
        num_classes: int or None. With classes, pictures are drawn by label too.
        ema_generator: `keras.Model` from latents `(B, latent_dim)`, and int labels `(B,)` where
            there are classes, to float32 images in [-1, 1].
    """

    def call(self, inputs, training=False):
        return self.ema_generator(inputs, training=False)

    def generate(self, num_images=None, labels=None, latents=None, seed=None, truncation=1.0):
        """Generates images with the averaged generator.

        Args:
            num_images: int or None. Defaults to None: as many as `labels` or `latents`, or 64.
            labels: int array `(N,)`, an int for all, or None. Classes of a conditional model.
                Defaults to None: class `i % num_classes` for image `i`.
            latents: float array `(N, latent_dim)` or None. Defaults to None: drawn from `seed`.
            seed: int or None. The same seed gives the same images, and image `i` doesn't depend
                on `num_images`. Defaults to None: a fresh seed at each call.
            truncation: float in (0, 1]. Factor of the latents. Below 1, pictures are nearer to
                the common ones: better each, less diverse together. Below about 0.6 they
                fade, as such short latents were hardly seen in training. Defaults to 1.

        Returns:
            uint8 array `(N, H, W, C)`.

        Raises:
            ValueError: counts that differ, labels out of range or of a model without classes,
                latents of another shape or not finite, or a truncation outside its range.

        Reference:
            Brock, Donahue, Simonyan: Large Scale GAN Training for High Fidelity Natural Image
            Synthesis, 2019 (truncation, there by drawing large values again).
        """
        if not (isinstance(truncation, (int, float)) and 0 < truncation <= 1):
            raise ValueError(
                "`truncation` must be a number above 0 and up to 1, which truncates nothing. "
                f"Received: truncation={truncation!r}"
            )
        counts = {len(rows) for rows in (labels, latents) if np.ndim(rows) > 0}
        counts |= set() if num_images is None else {num_images}
        if len(counts) > 1:
            raise ValueError(
                "`num_images`, `labels` and `latents` must agree in number. "
                f"Received: {sorted(counts)}"
            )
        seeds = row_seeds(counts.pop() if counts else 64, seed)
        if latents is None:
            latents = in_batches(self._draw, seeds)
        rows = [np.float32(truncation) * self._check_latents(latents)]
        if self.num_classes:
            rows.append(self._check_labels(labels, len(seeds)))
        elif labels is not None:
            raise ValueError(
                "The model has no classes (`num_classes`), so `labels` can't be given. "
                f"Received: labels={labels!r}"
            )
        return in_batches(self._decode_uint8, *rows)

    def interpolate(self, start, end, steps=8, labels=None):
        """Generates the pictures on the way from one latent to another.

        The way is spherical: latents in between are as long as latents are.

        Args:
            start: int (a seed, as of `generate(1, seed=start)`) or float array `(latent_dim,)`.
            end: the same for the last picture.
            steps: int. Number of pictures, both ends included; at least 2. Defaults to 8.
            labels: int or None. Class of all of them, for a conditional model; defaults to 0.

        Returns:
            uint8 array `(steps, H, W, C)`.

        Raises:
            ValueError: fewer than 2 steps, or latents of another shape.

        Reference:
            White: Sampling Generative Networks, 2016.
        """
        if not isinstance(steps, (int, np.integer)) or steps < 2:
            raise ValueError(f"`steps` must be at least 2. Received: steps={steps!r}")
        a, b = (
            in_batches(self._draw, row_seeds(1, end_)) if np.ndim(end_) == 0 else [end_]
            for end_ in (start, end)
        )
        a, b = self._check_latents(np.stack([a[0], b[0]]))[:, None]
        path = path_between(a, b, steps, "spherical")[0]
        if self.num_classes:
            labels = np.full(steps, 0 if labels is None else labels)
        return self.generate(latents=path, labels=labels)

    def latent_walk(self, num_ways, steps, seed=0):
        ends = range(seed, seed + num_ways + 1)  # each way begins where the one before ends
        ways = []
        for way, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
            labels = way % self.num_classes if self.num_classes else None
            ways.append(self.interpolate(start, end, steps, labels))
        return np.stack(ways)

    def preview(self, batch=None):
        labels = None
        if self.num_classes:  # one class a column
            columns = min(self.num_classes, 10)
            labels = np.tile(np.arange(columns), PREVIEW_SIDE)
            images = self.generate(labels=labels, seed=self.seed)
            return {"samples": images.reshape(PREVIEW_SIDE, columns, *self.image_shape)}
        images = self.generate(PREVIEW_SIDE**2, seed=self.seed)
        return {"samples": images.reshape(PREVIEW_SIDE, PREVIEW_SIDE, *self.image_shape)}

    def _check_latents(self, latents):
        latents = np.asarray(latents, np.float32)
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"Latents must have the shape (N, {self.latent_dim}). "
                f"Received: shape={latents.shape}"
            )
        if not np.isfinite(latents).all():
            raise ValueError("Latents must be finite; these hold NaN or infinite values.")
        return latents

    def _check_labels(self, labels, count):
        if labels is None:
            labels = np.arange(count) % self.num_classes
        labels = np.broadcast_to(np.asarray(labels), (count,))
        if not np.issubdtype(labels.dtype, np.integer) or (
            labels.min() < 0 or labels.max() >= self.num_classes
        ):
            raise ValueError(
                f"Labels must be whole numbers from 0 to {self.num_classes - 1}. "
                f"Received: labels={labels}"
            )
        return labels.astype(np.int32)

    @tf.function(reduce_retracing=True)
    def _draw(self, seeds):
        return draw_latents(seeds, self.latent_dim)

    @tf.function(reduce_retracing=True)
    def _decode_uint8(self, latents, labels=None):
        return to_uint8(call_with_labels(self.ema_generator, latents, labels, training=False))

    def serving_signatures(self):
        return serving.signatures(self)


def call_with_labels(network, first, labels, training):
    """Calls a network that takes labels as a second input, or none at all if they are None."""
    return network(first if labels is None else [first, labels], training=training)
