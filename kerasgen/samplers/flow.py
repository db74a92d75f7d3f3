"""`FlowSampler`: a density over codes that is learned, a small normalising flow."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen.samplers.gaussian import LOG_2_PI, MixtureSampler
from kerasgen.samplers.sampler import Sampler, covariance, least_variance

REG_COVAR = 1e-6  # share of the codes' mean variance that every dimension has at least
CLAMP = 1.0  # bound of a coupling's log-scales: beyond the codes a flow must not explode
BATCH_SIZE = 512
EPOCHS = 60
MIN_UPDATES, MAX_UPDATES = 200, 7000
LEARNING_RATE = 8e-3
CLIP_NORM = 5.0
CHECKS = 20  # how often a fit looks at its held-out codes
MAX_HELD_OUT = 5000


@keras.saving.register_keras_serializable("kerasgen")
class FlowSampler(Sampler):
    """A normalising flow: a learned, invertible map between codes and normal noise.

    It starts as the Gaussian of the codes and learns what that misses: curved, ring-shaped or
    clustered codes. Each of its layers mixes all dimensions by a learned matrix, and then scales
    and shifts one half of them by what a small network makes of the other half. A tenth of the
    codes is held out of its training; the weights that suit these best are kept. A fit to
    60,000 codes of length 64 takes two to three minutes on two cores.

    With codes of length 1 there are no halves, and it stays a Gaussian.

    Args:
        latent_dim: int. Length of a code.
        couplings: int. Number of layers. Defaults to 8.
        hidden_units: int. Width of the two hidden layers of each layer's network. Defaults to
            128.
        name: str. Defaults to "flow".

    Raises:
        ValueError: an argument outside what is described here.

    Example:

    ```python
    sampler = kerasgen.samplers.FlowSampler(latent_dim=64).fit(codes)
    new_codes = sampler.sample(16, seed=0)
    surprise = -sampler.log_density(codes)  # nats
    ```

    Reference:
        Dinh, Sohl-Dickstein, Bengio: Density Estimation using Real NVP, 2016 (affine couplings).
        Kingma, Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions, 2018 (learned
        mixing).
    """

    def __init__(self, latent_dim, couplings=8, hidden_units=128, name="flow"):
        self._check_count("couplings", couplings)
        self._check_count("hidden_units", hidden_units)
        super().__init__(latent_dim, name=name)
        self.couplings = int(couplings)
        self.hidden_units = int(hidden_units)
        size = self.latent_dim
        self.mean = self._weight("mean", (size,))
        self.log_volume = self._weight("log_volume", ())
        self.mixing = self._weight("mixing", (self.couplings, size, size))
        self.unmixing = self._weight("unmixing", (self.couplings, size, size))
        self.networks = [
            self._weight(f"network_{i}", shape) for i, shape in enumerate(self._network_shapes())
        ]

    def _network_shapes(self):
        """Shapes of kernels and biases of the couplings' networks, all couplings in one."""
        kept = self.latent_dim // 2
        changed = self.latent_dim - kept
        widths = [max(kept, 1), self.hidden_units, self.hidden_units, 2 * changed]
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            yield self.couplings, inputs, outputs
            yield self.couplings, outputs

    def stand_in(self):
        return MixtureSampler(self.latent_dim, components=min(10, self.fewest_codes))

    def _fit(self, codes, seed):
        rng = np.random.default_rng(seed)
        mean = codes.mean(axis=0)
        variances, axes = np.linalg.eigh(covariance(codes, REG_COVAR))
        whitening = axes / np.sqrt(variances)
        # The variance that the covariance was regularised by, so that the flow sees it too: on
        # dimensions that never change, its density would grow without end.
        noise = np.sqrt(least_variance(codes, REG_COVAR)) * rng.normal(size=codes.shape)
        white = (codes - mean + noise) @ whitening
        mixing, *networks = train_flow(white, self._initial_weights(rng), rng)

        mixing = mixing.astype(np.float64)
        mixing[0] = whitening @ mixing[0]
        self.mean.assign(mean)
        self.log_volume.assign(np.sum(np.linalg.slogdet(mixing)[1]))
        self.mixing.assign(mixing)
        self.unmixing.assign(np.linalg.inv(mixing))
        for weight, value in zip(self.networks, networks, strict=True):
            weight.assign(value)

    def _initial_weights(self, rng):
        """Rotations, and networks that do nothing yet."""
        rotations = np.linalg.qr(rng.normal(size=self.mixing.shape))[0]
        networks = [
            rng.normal(size=shape) * np.sqrt(2 / shape[-2]) if len(shape) == 3 else np.zeros(shape)
            for shape in self._network_shapes()
        ]
        networks[-2][:] = 0
        return [rotations, *networks]

    def _transform(self, noise):
        return self.mean + decode(self._tensors(self.unmixing), noise)

    def _log_density(self, codes):
        return np.concatenate(
            [
                self._log_density_batch(tf.constant(codes[start : start + 1024], tf.float32))
                for start in range(0, max(len(codes), 1), 1024)
            ]
        ).astype(np.float64)

    @tf.function(reduce_retracing=True)
    def _log_density_batch(self, codes):
        noise, log_scales = encode(self._tensors(self.mixing), codes - self.mean)
        return normal_log_density(noise) + log_scales + self.log_volume

    def _tensors(self, mixing):
        return [tf.convert_to_tensor(weight) for weight in (mixing, *self.networks)]

    def get_config(self):
        return {
            **super().get_config(),
            "couplings": self.couplings,
            "hidden_units": self.hidden_units,
        }


def encode(weights, codes):
    """Maps centred codes to noise.

    Args:
        weights: list of tensors, each with one entry a coupling: mixing matrices, then kernels
            and biases of the networks.
        codes: float32 tensor `(B, D)`.

    Returns:
        Float32 tensors `(B, D)` of noise and `(B,)`: how much the couplings stretch, the
        logarithm of the volume.
    """
    stretch = tf.zeros(tf.shape(codes)[:1])
    for mixing, *network in _by_coupling(weights):
        kept, changed = _halves(tf.matmul(codes, mixing))
        log_scale, shift = _scale_and_shift(network, kept)
        codes = tf.concat([kept, changed * tf.exp(log_scale) + shift], axis=1)
        stretch += tf.reduce_sum(log_scale, axis=1)
    return codes, stretch


def decode(weights, noise):
    """Maps noise to centred codes: the inverse of `encode`, with inverse mixing matrices."""
    for unmixing, *network in reversed(_by_coupling(weights)):
        kept, changed = _halves(noise)
        log_scale, shift = _scale_and_shift(network, kept)
        changed = (changed - shift) * tf.exp(-log_scale)
        noise = tf.matmul(tf.concat([kept, changed], axis=1), unmixing)
    return noise


def _by_coupling(weights):
    return list(zip(*(tf.unstack(weight) for weight in weights), strict=True))


def _halves(codes):
    kept = codes.shape[1] // 2
    return codes[:, :kept], codes[:, kept:]


def _scale_and_shift(network, kept):
    # Of codes of length 1 nothing is kept, and oneDNN aborts on matrices without rows.
    x = kept if kept.shape[1] else tf.zeros((tf.shape(kept)[0], 1))
    for kernel, bias in zip(network[:-2:2], network[1:-2:2], strict=True):
        x = tf.nn.silu(tf.matmul(x, kernel) + bias)
    log_scale, shift = tf.split(tf.matmul(x, network[-2]) + network[-1], 2, axis=1)
    return CLAMP * tf.tanh(log_scale / CLAMP), shift


def normal_log_density(noise):
    """Log-density of the standard normal distribution, `(B,)`."""
    size = noise.shape[1]
    return -0.5 * (tf.reduce_sum(tf.square(noise), axis=1) + size * LOG_2_PI)


def train_flow(white, weights, rng):
    """Trains a flow on whitened codes.

    Args:
        white: float array `(N, D)`, N at least 2.
        weights: list of float arrays, the initial weights as `encode` takes them.
        rng: `numpy.random.Generator`.

    Returns:
        List of float32 arrays: the weights under which the held-out codes were densest.
    """
    white = rng.permutation(white).astype(np.float32)
    held_out = min(max(len(white) // 10, 1), MAX_HELD_OUT)
    validation, training = tf.constant(white[:held_out]), tf.constant(white[held_out:])
    batch_size = min(BATCH_SIZE, len(training))
    updates = EPOCHS * len(training) // batch_size
    updates = min(max(updates, MIN_UPDATES), MAX_UPDATES)

    variables = [keras.Variable(w.astype(np.float32), dtype="float32") for w in weights]
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(LEARNING_RATE, updates, alpha=0.01),
        beta_2=0.99,
        # As a prior: the more codes there are, the less it counts.
        weight_decay=min(1e4 / len(training), 1.0),
        global_clipnorm=CLIP_NORM,
    )
    optimizer.exclude_from_weight_decay([variables[0]])  # far from 0, and scales no noise
    optimizer.build(variables)

    def log_density(codes):
        tensors = [variable.value for variable in variables]
        noise, log_scales = encode(tensors, codes)
        log_volume = tf.reduce_sum(tf.linalg.slogdet(tensors[0])[1])
        return tf.reduce_mean(normal_log_density(noise) + log_scales) + log_volume

    @tf.function
    def update(rows):
        with tf.GradientTape() as tape:
            loss = -log_density(tf.gather(training, rows))
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    validate = tf.function(lambda: log_density(validation))
    best, best_weights = validate(), [v.numpy() for v in variables]
    order = np.empty(0, np.int64)
    for step in range(1, updates + 1):
        if len(order) < batch_size:
            order = np.concatenate([order, rng.permutation(len(training))])
        update(tf.constant(order[:batch_size]))
        order = order[batch_size:]
        if step % (updates // CHECKS) == 0:
            density = validate()
            if density > best:
                best, best_weights = density, [v.numpy() for v in variables]
    return best_weights
