"""Samplers with a closed form: the standard normal, one Gaussian, and a mixture of them."""

import warnings

import keras
import numpy as np
import tensorflow as tf

from kerasgen.samplers.sampler import Sampler, check_reg_covar, covariance, least_variance

LOG_2_PI = float(np.log(2 * np.pi))


@keras.saving.register_keras_serializable("kerasgen")
class NormalSampler(Sampler):
    """The standard normal distribution: the prior of a variational autoencoder.

    It needs no fit; `fit` checks the codes and changes nothing. Its codes are the latents that
    `kerasgen.generative_model.draw_latents` draws.

    Args:
        latent_dim: int. Length of a code.
        name: str. Defaults to "normal".

    Example:

    ```python
    codes = kerasgen.samplers.NormalSampler(latent_dim=64).sample(16, seed=0)
    ```

    Reference:
        Kingma, Welling: Auto-Encoding Variational Bayes, 2013.
    """

    def __init__(self, latent_dim, name="normal"):
        super().__init__(latent_dim, name=name)
        self._fitted.assign(1.0)

    def _fit(self, codes, seed):
        pass

    @property
    def fewest_codes(self):
        return 0

    def _transform(self, noise):
        return noise

    def _log_density(self, codes):
        return -0.5 * (np.sum(np.square(codes), axis=1) + self.latent_dim * LOG_2_PI)


@keras.saving.register_keras_serializable("kerasgen")
class GaussianSampler(Sampler):
    """A Gaussian with the mean and the full covariance of the codes.

    Args:
        latent_dim: int. Length of a code.
        reg_covar: float, positive. What is added to every dimension's variance, as a share of
            their mean: dimensions in which the codes don't differ stay harmless. Defaults to
            1e-6.
        name: str. Defaults to "gaussian".

    Raises:
        ValueError: an argument outside what is described here.

    Example:

    ```python
    sampler = kerasgen.samplers.GaussianSampler(latent_dim=64).fit(codes)
    new_codes = sampler.sample(16, seed=0)
    ```

    Reference:
        Ghosh et al.: From Variational to Deterministic Autoencoders, 2020.
    """

    def __init__(self, latent_dim, reg_covar=1e-6, name="gaussian"):
        super().__init__(latent_dim, name=name)
        self.reg_covar = check_reg_covar(reg_covar)
        self.mean = self._weight("mean", (self.latent_dim,))
        self.scale_tril = self._weight("scale_tril", (self.latent_dim, self.latent_dim))

    def _fit(self, codes, seed):
        scale_tril = np.linalg.cholesky(covariance(codes, self.reg_covar))
        self.mean.assign(codes.mean(axis=0))
        self.scale_tril.assign(scale_tril)

    def _transform(self, noise):
        return self.mean + tf.matmul(noise, self.scale_tril, transpose_b=True)

    def _log_density(self, codes):
        return gaussian_log_density(codes, self.mean.numpy(), self.scale_tril.numpy())

    def get_config(self):
        return {**super().get_config(), "reg_covar": self.reg_covar}


@keras.saving.register_keras_serializable("kerasgen")
class MixtureSampler(Sampler):
    """A mixture of Gaussians with full covariances, fitted by scikit-learn.

    Weights, means and Cholesky factors are kept as plain tensors: sampling runs in TensorFlow
    and in an exported SavedModel, without scikit-learn.

    Args:
        latent_dim: int. Length of a code.
        components: int. Number of Gaussians. Defaults to 10.
        reg_covar: float, positive. What is added to every dimension's variance in each
            component, as a share of the codes' mean variance. Defaults to 1e-6.
        name: str. Defaults to "mixture".

    Raises:
        ValueError: an argument outside what is described here.

    Example:

    ```python
    sampler = kerasgen.samplers.MixtureSampler(latent_dim=64, components=10).fit(codes)
    new_codes = sampler.sample(16, seed=0)
    ```

    Reference:
        Ghosh et al.: From Variational to Deterministic Autoencoders, 2020.
    """

    def __init__(self, latent_dim, components=10, reg_covar=1e-6, name="mixture"):
        self._check_count("latent_dim", latent_dim)
        self._check_count("components", components)
        # One more normal number a row chooses the component.
        super().__init__(latent_dim, noise_dim=latent_dim + 1, name=name)
        self.components = int(components)
        self.reg_covar = check_reg_covar(reg_covar)
        count, size = self.components, self.latent_dim
        self.mixing = self._weight("mixing", (count,))
        self.means = self._weight("means", (count, size))
        self.scale_trils = self._weight("scale_trils", (count, size, size))

    @property
    def fewest_codes(self):
        return max(self.latent_dim + 1, self.components)

    def _fit(self, codes, seed):
        mixture = fit_mixture(codes, self.components, self.reg_covar, seed)
        self.mixing.assign(mixture.weights_)
        self.means.assign(mixture.means_)
        self.scale_trils.assign(np.linalg.cholesky(mixture.covariances_))

    def _transform(self, noise):
        chosen = choose(noise[:, -1], self.mixing)
        spread = tf.linalg.matvec(tf.gather(self.scale_trils, chosen), noise[:, :-1])
        return tf.gather(self.means, chosen) + spread

    def _log_density(self, codes):
        parts = [
            np.log(max(weight, 1e-300)) + gaussian_log_density(codes, mean, scale_tril)
            for weight, mean, scale_tril in zip(
                self.mixing.numpy().astype(np.float64),
                self.means.numpy(),
                self.scale_trils.numpy(),
                strict=True,
            )
        ]
        return np.logaddexp.reduce(parts, axis=0)

    def get_config(self):
        return {
            **super().get_config(),
            "components": self.components,
            "reg_covar": self.reg_covar,
        }


def fit_mixture(codes, components, reg_covar, seed):
    """Fits scikit-learn's mixture with full covariances.

    Args:
        codes: float64 array `(N, D)`.
        components: int.
        reg_covar: float. Share of the codes' mean variance that is added to each variance.
        seed: int in [0, 2**32).

    Returns:
        `sklearn.mixture.GaussianMixture`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        components, reg_covar=least_variance(codes, reg_covar), random_state=seed
    )
    with warnings.catch_warnings():
        # Neither a last step that still gains a little nor equal codes are worth a warning.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(codes)


def choose(normal, probabilities):
    """Draws one of several choices for each of some standard normal numbers.

    Args:
        normal: float32 tensor `(B,)`.
        probabilities: float32 tensor `(K,)` that sums to 1.

    Returns:
        int32 tensor `(B,)` of indices below K.
    """
    uniform = 0.5 * tf.math.erfc(-normal / np.float32(np.sqrt(2)))
    # Without the last bound, rounding can't lead past the last choice.
    bounds = tf.cumsum(probabilities)[:-1]
    return tf.searchsorted(bounds, uniform, side="right")


def gaussian_log_density(codes, mean, scale_tril):
    """Log-density of a Gaussian with a lower Cholesky factor of its covariance, float64 `(N,)`."""
    from scipy.linalg import solve_triangular

    scale_tril = scale_tril.astype(np.float64)
    white = solve_triangular(scale_tril, (codes - mean).T, lower=True)
    log_volume = np.sum(np.log(np.diag(scale_tril)))
    return -0.5 * (np.sum(np.square(white), axis=0) + len(mean) * LOG_2_PI) - log_volume
