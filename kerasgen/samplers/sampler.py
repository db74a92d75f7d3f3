"""`Sampler`: a distribution over codes that is fitted after training and saved with the model."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen.generative_model import GENERATE_BATCH, draw_latents, in_batches, row_seeds
from kerasgen.signature import in_blocks


class Sampler(keras.layers.Layer):
    """A distribution over an autoencoder's codes.

    A plain autoencoder can't generate: nobody knows where in the latent space its codes lie. A
    sampler is fitted to the codes of the training pictures, once, after training, and then draws
    new ones. It is a layer, so that a model that holds it saves, loads and exports it.

    A subclass creates its weights in `__init__`, computes them in `_fit`, and says in
    `_transform` how codes come from standard normal noise and in `_log_density` how dense they
    lie. Weights are float32 and never trained by the model's optimizer, under any precision
    policy.

    Args:
        latent_dim: int. Length of a code.
        noise_dim: int or None. Length of the noise that one code is made from. Defaults to None:
            `latent_dim`.
        **kwargs: `name`, as for `keras.layers.Layer`.

    Reference:
        Ghosh et al.: From Variational to Deterministic Autoencoders, 2020 (density estimation
        after training).
    """

    def __init__(self, latent_dim, noise_dim=None, **kwargs):
        self._check_count("latent_dim", latent_dim)
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.latent_dim = int(latent_dim)
        self._noise_dim = self.latent_dim if noise_dim is None else int(noise_dim)
        self._fitted = self._weight("fitted", ())
        self.built = True

    @property
    def fitted(self):
        """bool. Whether there is a distribution to draw from."""
        return bool(self._fitted.numpy() > 0)

    def fit(self, codes, seed=0):
        """Fits the distribution to codes; what was fitted before is forgotten.

        Args:
            codes: float array `(N, latent_dim)`.
            seed: int. What all randomness of the fit derives from. Defaults to 0.

        Returns:
            The sampler itself.

        Raises:
            ValueError: codes of another shape, not finite, or too few; a seed that isn't a whole
                number. The sampler is then what it was before.
        """
        codes = self._check_codes(codes)
        if len(codes) < self.fewest_codes:
            raise ValueError(
                f"{type(self).__name__} needs at least {self.fewest_codes} codes to be fitted "
                f"to. Received: {len(codes)} codes"
            )
        if not isinstance(seed, (int, np.integer)):
            raise ValueError(f"`seed` must be a whole number. Received: seed={seed!r}")
        self._fit(codes, int(seed) % 2**32)
        self._fitted.assign(1.0)
        return self

    def sample(self, num, seed=None):
        """Draws codes.

        Args:
            num: int. Number of codes.
            seed: int or None. The same seed gives the same codes, and code `i` doesn't depend on
                `num`. Defaults to None: a fresh seed at each call.

        Returns:
            float32 array `(num, latent_dim)`.

        Raises:
            ValueError: the sampler isn't fitted (says how to), `num` isn't a positive whole
                number, or `seed` isn't a whole number.
        """
        self._check_fitted()
        return in_batches(self._sample_batch, row_seeds(num, seed))

    def sample_rows(self, seeds):
        """Draws codes inside TensorFlow: in a `tf.function`, or in an exported SavedModel.

        Args:
            seeds: int64 tensor `(B, 2)`.

        Returns:
            float32 tensor `(B, latent_dim)`. Each row is a function of its own seed alone, to
            the bit.

        Raises:
            ValueError: the sampler isn't fitted (when traced); says how to fit it.
        """
        self._check_fitted()
        noise = draw_latents(seeds, self._noise_dim)
        code = tf.TensorSpec((self.latent_dim,), tf.float32)
        return in_blocks(self._transform, noise, size=GENERATE_BATCH, result=code)

    def log_density(self, codes):
        """How dense the fitted distribution is at codes.

        Args:
            codes: float array `(N, latent_dim)`.

        Returns:
            float64 array `(N,)`: the natural logarithm of the density, in nats.

        Raises:
            ValueError: the sampler isn't fitted (says how to), or codes of another shape or not
                finite.
        """
        self._check_fitted()
        return self._log_density(self._check_codes(codes))

    def call(self, seeds):
        return self.sample_rows(seeds)

    def get_config(self):
        return {"latent_dim": self.latent_dim, "name": self.name}

    # === For subclasses ===

    def _fit(self, codes, seed):
        """Computes the weights from checked float64 codes and a seed in [0, 2**32)."""
        raise NotImplementedError

    def _transform(self, noise):
        """Codes `(32, latent_dim)` from standard normal noise `(32, noise_dim)`, as tensors."""
        raise NotImplementedError

    def _log_density(self, codes):
        """Log-density of checked float64 codes, float64 array `(N,)`."""
        raise NotImplementedError

    @property
    def fewest_codes(self):
        """int. Fewest codes that `fit` takes."""
        return self.latent_dim + 1

    def stand_in(self):
        """A new `Sampler` for the same codes whose fit is quick, for a model that still trains."""
        return self.from_config(self.get_config())

    def _weight(self, name, shape):
        """Adds a weight, zero before the fit and float32 in the calls of any model."""
        return self.add_weight(
            name=name,
            shape=shape,
            dtype="float32",
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    @staticmethod
    def _check_count(argument, value, least=1):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                f"`{argument}` must be a whole number of at least {least}. "
                f"Received: {argument}={value!r}"
            )

    # === Checks ===

    def _check_fitted(self):
        with tf.init_scope():  # out of a graph that is being traced
            fitted = self.fitted
        if not fitted:
            raise ValueError(
                f"{type(self).__name__} isn't fitted to any codes yet. Fit it after training: "
                "`model.fit_sampler(dataset)`, or `sampler.fit(codes)`."
            )

    def _check_codes(self, codes):
        codes = np.asarray(codes)
        try:
            codes = codes.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"Codes must be numbers. Received: dtype={codes.dtype}") from None
        if codes.ndim != 2 or codes.shape[1] != self.latent_dim:
            raise ValueError(
                f"Codes must have the shape (N, {self.latent_dim}). Received: shape={codes.shape}"
            )
        bad = np.count_nonzero(~np.isfinite(codes).all(axis=1))
        if bad:
            raise ValueError(
                "Codes must be finite: a model that gives NaN or infinite ones hasn't trained. "
                f"Received: {bad} of {len(codes)} codes with such values"
            )
        return codes

    @tf.function(reduce_retracing=True)
    def _sample_batch(self, seeds):
        return self.sample_rows(seeds)


def least_variance(codes, reg_covar):
    """What is added to every dimension's variance, so that constant dimensions do no harm.

    Args:
        codes: float64 array `(N, D)`.
        reg_covar: float. Share of the codes' mean variance.

    Returns:
        float, positive: large enough for the density to survive float32.
    """
    mean_square = np.mean(np.square(codes))
    return float(reg_covar * max(np.mean(np.var(codes, axis=0)), 1e-6 * mean_square, 1e-12))


def covariance(codes, reg_covar):
    """Regularised covariance.

    Args:
        codes: float64 array `(N, D)`.
        reg_covar: float. Share of the codes' mean variance that is added to the diagonal.

    Returns:
        float64 array `(D, D)`, positive definite.
    """
    centred = codes - codes.mean(axis=0)
    result = centred.T @ centred / (len(codes) - 1)
    return result + least_variance(codes, reg_covar) * np.eye(codes.shape[1])


def check_reg_covar(reg_covar):
    """Checks a share of variance, which keeps covariances positive definite."""
    if not isinstance(reg_covar, (int, float)) or not 0 < reg_covar < float("inf"):
        raise ValueError(f"`reg_covar` must be positive. Received: reg_covar={reg_covar!r}")
    return float(reg_covar)
