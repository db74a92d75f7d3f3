"""`Autoencoder`: what can be done with an encoder, a decoder and a distribution of codes."""

import numpy as np
import tensorflow as tf

from kerasgen import samplers
from kerasgen.data.collect import sample_images
from kerasgen.generative_model import GenerativeModel, draw_latents, in_batches, row_seeds
from kerasgen.interpolation import METHODS, path_between
from kerasgen.models.conv_autoencoder import checks, preview, serving
from kerasgen.models.conv_autoencoder.codes import refine
from kerasgen.pixels import to_float, to_uint8

EVALUATION_CODES = 10_000


class Autoencoder(GenerativeModel):
    """Everything an autoencoder does but its training. Subclasses build and train the networks.

    They set the attributes below, the sampler by `_set_sampler`.

    Attributes:
        image_shape: tuple of 3 ints. Height, width and channels.
        latent_dim: int. Length of a code.
        variational: bool.
        ema_encoder: `keras.Model` from images in [-1, 1] to float32 codes `(B, latent_dim)`; of a
            variational model their means and, beside them, log-variances `(B, 2 * latent_dim)`.
        ema_decoder: `keras.Model` from codes to float32 images in [-1, 1].
        sampler: `kerasgen.samplers.Sampler`. The distribution of codes that is generated from.
        sampler_step: int64 scalar variable. The training step at which it was fitted.
    """

    _stand_in = None, None  # a training step, and what drew codes of its weights

    # === Codes and reconstructions ===

    def call(self, inputs, training=False):
        return self.ema_decoder(self.mean_codes(inputs, training), training=training)

    def mean_codes(self, images, training=False):
        """`encode` of a tensor of pictures, as a tensor."""
        if images.dtype == tf.uint8:
            images = to_float(images)
        return self.ema_encoder(images, training=training)[:, : self.latent_dim]

    def encode(self, images, refinement=0):
        """Turns pictures into codes.

        Args:
            images: array `(N, H, W, C)`, uint8 or float in [-1, 1].
            refinement: int. Steps of gradient descent by which each code then comes closer to
                its picture: on Fashion-MNIST, 20 take a fifth off the squared error, and 2 ms a
                picture. They would bring back what a denoising model removes. Defaults to 0.

        Returns:
            float32 array `(N, latent_dim)`; of a variational model the means.

        Raises:
            ValueError: pictures of another shape, range or kind, or with NaN; a number of steps
                below 0.

        Reference:
            Kim, Wiseman, Miller, Sontag, Rush: Semi-Amortized Variational Autoencoders, 2018
            (refinement).
        """
        checks.whole("refinement", refinement, 0)
        images = checks.images(images, self.image_shape)
        if not refinement:
            return in_batches(self._encode_batch, images)
        steps = tf.constant(refinement, tf.int32)
        return in_batches(lambda batch: self._refine_batch(batch, steps), images)

    def decode(self, codes):
        """Turns codes into pictures.

        Args:
            codes: float array `(N, latent_dim)`.

        Returns:
            uint8 array `(N, H, W, C)`.

        Raises:
            ValueError: codes of another length, or that aren't finite.
        """
        return in_batches(self._decode_batch, checks.codes(codes, self.latent_dim))

    def reconstruct(self, images, refinement=0):
        """Encodes pictures and decodes their codes.

        Args:
            images: array `(N, H, W, C)`, uint8 or float in [-1, 1].
            refinement: as for `encode`. Defaults to 0.

        Returns:
            uint8 array `(N, H, W, C)`.

        Raises:
            ValueError: as `encode`.
        """
        return self.decode(self.encode(images, refinement))

    def interpolate(self, start, end, steps=8, method="linear"):
        """Decodes the codes on the way from one picture to another.

        Args:
            start: pictures `(N, H, W, C)` or one `(H, W, C)`, uint8 or float in [-1, 1]; or codes
                `(N, latent_dim)` or one `(latent_dim,)`.
            end: as many pictures or codes.
            steps: int. Number of pictures, both ends included; at least 2. Defaults to 8.
            method: "linear", or "spherical": along a great circle. Defaults to "linear".

        Returns:
            uint8 array `(N, steps, H, W, C)`, without N for a single pair.

        Raises:
            ValueError: different numbers of starts and ends, fewer than 2 steps, an unknown
                method, or pictures and codes that `encode` and `decode` don't take.

        Reference:
            White: Sampling Generative Networks, 2016 (spherical).
        """
        checks.whole("steps", steps, 2)
        if method not in METHODS:
            raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
        shapes = np.shape(start), np.shape(end)
        single = [len(shape) in (1, 3) for shape in shapes]
        counts = [1 if one else shape[0] for one, shape in zip(single, shapes, strict=True)]
        if counts[0] != counts[1] or single[0] != single[1]:
            raise ValueError(
                "`start` and `end` must be equally many pictures or codes. "
                f"Received: shapes {shapes[0]} and {shapes[1]}"
            )
        ends = [np.asarray(rows)[None] if single[0] else np.asarray(rows) for rows in (start, end)]
        a, b = (
            checks.codes(rows, self.latent_dim) if rows.ndim == 2 else self.encode(rows)
            for rows in ends
        )
        path = path_between(a, b, steps, method)
        images = self.decode(path.reshape(-1, self.latent_dim))
        images = images.reshape(-1, steps, *self.image_shape)
        return images[0] if single[0] else images

    def anomaly_score(self, images):
        """How badly pictures are reconstructed: strange ones worse than those of the training.

        Args:
            images: array `(N, H, W, C)`, uint8 or float in [-1, 1].

        Returns:
            float32 array `(N,)`: each picture's mean squared error, of pixels in [-1, 1], against
            its reconstruction (of a variational model that of the mean code).

        Raises:
            ValueError: pictures of another shape, range or kind, or with NaN.
        """
        return in_batches(self._score_batch, checks.images(images, self.image_shape))

    @tf.function(reduce_retracing=True)
    def _encode_batch(self, images):
        return self.mean_codes(images)

    @tf.function(reduce_retracing=True)
    def _decode_batch(self, codes):
        return to_uint8(self.ema_decoder(codes, training=False))

    @tf.function(reduce_retracing=True)
    def _refine_batch(self, images, steps):
        images = to_float(images) if images.dtype == tf.uint8 else images
        return refine(self.ema_decoder, self.mean_codes(images), images, steps)

    @tf.function(reduce_retracing=True)
    def _score_batch(self, images):
        return self.errors(images)

    def errors(self, images):
        """`anomaly_score` of a tensor of pictures, as a tensor."""
        images = to_float(images) if images.dtype == tf.uint8 else images
        return tf.reduce_mean(tf.math.squared_difference(images, self(images)), [1, 2, 3])

    # === Generation ===

    def fit_sampler(self, data, sampler=None, max_images=60_000):
        """Fits the distribution of codes that `generate` draws from. Do so after each `fit`.

        Args:
            data: pipeline of `kerasgen.data`, with or without labels, or pictures `(N, H, W, C)`,
                uint8 or float in [-1, 1]: what the model was trained on.
            sampler: `kerasgen.samplers.Sampler`, its config, or its name ("normal", "gaussian",
                "mixture", "flow"), to replace the model's own. Defaults to None: the model's own
                is fitted (again).
            max_images: int. Most pictures that are used, chosen at random. Defaults to 60000.

        Raises:
            ValueError: no pictures, or too few, or ones that `encode` doesn't take. The model's
                sampler is then what it was before.
        """
        checks.whole("max_images", max_images, 1)
        sampler = self.sampler if sampler is None else samplers.get(sampler, self.latent_dim)
        sampler.fit(self._codes_of(data, max_images), seed=self.seed)
        self._set_sampler(sampler)
        self.sampler_step.assign(self.step)

    @property
    def fewest_pictures(self):
        return max(1, self.sampler.fewest_codes)

    def prepare_to_generate(self, data):
        self.fit_sampler(data)

    @property
    def draws_codes(self):
        """Function of a number and a seed that draws codes of the weights as they are now.

        It is None where nothing has been fitted to their codes yet.
        """
        if isinstance(self.sampler, samplers.NormalSampler):
            return self.sampler.sample
        step = int(self.step.numpy())
        if int(self.sampler_step.numpy()) == step:
            return self.sampler.sample
        return self._stand_in[1] if self._stand_in[0] == step else None

    def _codes_of(self, data, max_images):
        """Codes as the decoder gets them in training: of a variational model, drawn."""
        if not isinstance(data, tf.data.Dataset):
            data = checks.images(data, self.image_shape)
            data = data if data.dtype == np.uint8 else to_uint8(data).numpy()
        images = checks.images(sample_images(data, max_images, self.seed), self.image_shape)
        return in_batches(self._draw_codes, images, row_seeds(len(images), self.seed))

    @tf.function(reduce_retracing=True)
    def _draw_codes(self, images, seeds):
        if not self.variational:
            return self.mean_codes(images)
        images = to_float(images) if images.dtype == tf.uint8 else images
        mean, log_variance = tf.split(self.ema_encoder(images, training=False), 2, axis=1)
        return mean + tf.exp(log_variance / 2) * draw_latents(seeds, self.latent_dim)

    def _set_sampler(self, sampler):
        current = getattr(self, "sampler", None)
        if sampler is current:
            return
        if current is not None:
            # Keras forgets a variable that is replaced, but goes on counting a layer.
            self._tracker.untrack(current)
        self.sampler = samplers.get(sampler, self.latent_dim)

    def generate(self, num_images, seed=None):
        """Generates images from codes that the fitted sampler draws.

        Args:
            num_images: int.
            seed: int or None. The same seed gives the same images, and image `i` doesn't depend
                on `num_images`. Defaults to None: a fresh seed at each call.

        Returns:
            uint8 array `(num_images, H, W, C)`.

        Raises:
            ValueError: no sampler is fitted yet (says how to), a number of images below 1, or a
                seed that isn't a whole number.
        """
        return self.decode(self.sampler.sample(num_images, seed))

    def evaluation_samples(self, num_images, seed=0, data=None):
        """Generated pictures that can be compared with real ones.

        While the model trains, its codes move: with `data`, a sampler is fitted to them anew. It
        is of the model's own kind, or a mixture in place of a flow, whose fit takes minutes.

        Args:
            num_images: int.
            seed: int. Defaults to 0.
            data: as in `fit_sampler`, or None: the sampler is used as it is. Defaults to None.

        Returns:
            uint8 array `(num_images, H, W, C)`.
        """
        if data is None:
            return self.generate(num_images, seed=seed)
        sampler = self.sampler.stand_in().fit(self._codes_of(data, EVALUATION_CODES), self.seed)
        self._stand_in = int(self.step.numpy()), sampler.sample  # a layer would become the model's
        return self.decode(sampler.sample(num_images, seed))

    def diversity_samples(self, num_images, seed=0, data=None):
        """Reconstructions, which are all alike where the decoder ignores the codes."""
        if data is None:
            return self.generate(num_images, seed=seed)
        return self.reconstruct(sample_images(data, num_images, seed))

    def preview(self, batch=None):
        return preview.grids(self, batch)

    @property
    def serving_note(self):
        if self.sampler.fitted:
            return ""
        return "It doesn't generate: no sampler was fitted to its codes (`fit_sampler`)."

    def serving_signatures(self):
        return serving.signatures(self)
