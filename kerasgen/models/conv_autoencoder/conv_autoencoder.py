"""`ConvAutoencoder`: pictures to short codes and back, and new pictures from new codes."""

import math

import keras
import tensorflow as tf

from kerasgen import losses
from kerasgen.generative_model import falling_rate
from kerasgen.losses.reconstruction import WINDOW, ReconstructionLoss, image_losses
from kerasgen.metrics import PSNR, SSIM
from kerasgen.models.conv_autoencoder import checks
from kerasgen.models.conv_autoencoder.autoencoder import Autoencoder
from kerasgen.models.conv_autoencoder.codes import kl_divergence
from kerasgen.models.conv_autoencoder.corruption import check_corruption, corrupt
from kerasgen.models.conv_autoencoder.networks import build_decoder, build_encoder
from kerasgen.models.stages import check_image_shape

# The running mean that scales a likelihood; no less than what rounding to 8 bits leaves.
SCALE_DECAY = 0.99
LEAST_SCALE = (2 / 255) ** 2 / 12
SSIM_EVERY = 20
RATE_HALVED = 10_000  # step by which the default learning rate has fallen to its half


@keras.saving.register_keras_serializable("kerasgen")
class ConvAutoencoder(Autoencoder):
    """Convolutional autoencoder that compresses, reconstructs, denoises and generates.

    The encoder turns a picture into a code, a vector of `latent_dim` numbers, and the decoder
    turns it back. A distribution that is fitted to the codes after training, the sampler, makes
    it a generator: new codes become new pictures.

    There are three kinds:
    - *deterministic*, the default, minimises the reconstruction loss alone;
    - *regularised*, with `code_penalty` and `decoder_penalty`, keeps codes short and the decoder
      smooth, so that codes between known ones become pictures too. It minimises
      `reconstruction + (code_penalty * |code|² / 2 + decoder_penalty_weight * R) / values`, where
      `values` is the number of values in a picture. With the loss "mse" that is the paper's
      objective, which sums over a picture's values, divided by their number. (The paper's pixels
      range over [0, 1]: for [-1, 1], weights of four times its own weigh the same.)
    - *variational* minimises the negative evidence lower bound in nats a picture,
      `reconstruction + beta * kl`. The likelihood follows the loss: "mse" is Gaussian and "mae"
      Laplace's, each with one scale for all pixels, a running mean of the training's errors,
      which is the most likely scale (sigma-VAE); "bce" is Bernoulli's, of pixels mapped to
      [0, 1].

    Args:
        image_shape: tuple of 3 ints. Height, width (pixels, multiples of 4, at least 8) and
            channels (1 to 4).
        latent_dim: int. Length of the code, at most the number of values in a picture. Defaults
            to 64.
        filters: int. Width of the stage next to the picture; it doubles inwards. Defaults to 32.
        variational: bool. Defaults to False.
        beta: float, at least 0. Weight of the divergence from the prior; 1 is the evidence lower
            bound. Only for variational models. Defaults to 1.0.
        kl_warmup: int. Training steps over which the divergence's weight rises from 0 to `beta`,
            in a straight line. Only for variational models. Defaults to 0.
        code_penalty: float, at least 0. Weight of the codes' squared length. Not for variational
            models, whose prior does the same. Defaults to 0.0.
        decoder_penalty: None, or what `R` above is: "l2", the sum of the decoder's squared
            kernels; "gradient", half the squared slope of the picture by the code (its expectation,
            along one random direction a picture and step); or "spectral", which has no weight,
            but normalises every kernel of the decoder by its largest singular value. Not for
            variational models. Defaults to None.
        decoder_penalty_weight: float, at least 0. Defaults to 1e-4, the paper's on MNIST for
            "l2", which goes with a `code_penalty` of 1e-2.
        corruption: None, or what is done to the inputs in training, for the model to undo; the
            target stays clean. `("gaussian", standard deviation)` of noise on pixels that range
            over [-1, 1], for which a number alone will do, or `("mask", fraction)` of the pixels,
            which become grey. Defaults to None.
        ema_decay: float in [0, 1). Decay a step of the networks' moving average, which all but
            the training uses: it reconstructs better than the last weights, as if the learning
            rate had been lowered. The decay starts lower. 0 averages nothing. Defaults to 0.999.
        sampler: `kerasgen.samplers.Sampler`, its config, its name, or None. What generates codes.
            Defaults to None: "normal", the prior, for variational models, else "flow".
        seed: int. What all randomness derives from, together with the step. Defaults to 0.
        name: str. Defaults to "autoencoder".
        dtype: str or `keras.DTypePolicy`. "float32", "mixed_bfloat16" or "mixed_float16".
            Losses and codes are float32 in each. Defaults to Keras' global policy.

    Attributes:
        encoder: `keras.Model` from images in [-1, 1] to float32 codes `(B, latent_dim)`; of a
            variational model their means and, beside them, log-variances `(B, 2 * latent_dim)`.
        decoder: `keras.Model` from codes to float32 images in [-1, 1].
        ema_encoder: the encoder's moving average.
        ema_decoder: the decoder's moving average.
        sampler: `kerasgen.samplers.Sampler`.

    Logs of `fit` and `evaluate`: `loss`; `reconstruction`, with `kl` in nats a picture where the
    model is variational; `code_norm` (half the squared length) and `decoder_norm` (`R`), both
    before their weights, where they are penalised; `psnr` in decibels, and `ssim` for pictures
    of 11 pixels a side or more. In training, `ssim` is that of an epoch's first batch and of
    every twentieth step, since it costs a tenth of a step.

    Raises:
        ValueError: an image shape that the strides don't divide, or an argument outside what is
            described here.

    Example:

    ```python
    dataset = kerasgen.data.load_images("digits", image_size=32)
    model = kerasgen.ConvAutoencoder(image_shape=(32, 32, 1))
    model.compile()
    model.fit(dataset, epochs=60)
    codes = model.encode(images)  # float32, (N, 64)
    model.fit_sampler(dataset)
    images = model.generate(16, seed=0)  # uint8, (16, 32, 32, 1)
    ```

    Reference:
        Kingma, Welling: Auto-Encoding Variational Bayes, 2014. Higgins et al.: beta-VAE, 2017.
        Rybkin, Daniilidis, Levine: Simple and Effective VAE Training with Calibrated Decoders,
        2021 (the likelihood's scale). Ghosh, Sajjadi, Vergari, Black, Schölkopf: From Variational
        to Deterministic Autoencoders, 2020 (penalties; samplers fitted after training). Vincent
        et al.: Stacked Denoising Autoencoders, 2010.
    """

    def __init__(
        self,
        image_shape,
        latent_dim=64,
        filters=32,
        variational=False,
        beta=1.0,
        kl_warmup=0,
        code_penalty=0.0,
        decoder_penalty=None,
        decoder_penalty_weight=1e-4,
        corruption=None,
        ema_decay=0.999,
        sampler=None,
        seed=0,
        name="autoencoder",
        dtype=None,
    ):
        image_shape = self.check_shape(image_shape)
        checks.latent_dim(latent_dim, image_shape)
        checks.whole("filters", filters, 1)
        checks.whole("kl_warmup", kl_warmup, 0)
        checks.number("beta", beta)
        checks.number("ema_decay", ema_decay, below=1)
        checks.penalties(variational, code_penalty, decoder_penalty, decoder_penalty_weight)
        corruption = check_corruption(corruption)
        terms = {
            "reconstruction": True,
            "kl": variational,
            "code_norm": code_penalty > 0,
            "decoder_norm": decoder_penalty in ("l2", "gradient"),
        }
        super().__init__(
            seed=seed,
            loss_names=("loss", *(term for term, used in terms.items() if used)),
            name=name,
            dtype=dtype,
        )
        self.image_shape = image_shape
        self.num_values = math.prod(image_shape)
        self.latent_dim = int(latent_dim)
        self.filters = int(filters)
        self.variational = bool(variational)
        self.beta = float(beta)
        self.kl_warmup = int(kl_warmup)
        self.code_penalty = float(code_penalty)
        self.decoder_penalty = decoder_penalty
        self.decoder_penalty_weight = float(decoder_penalty_weight)
        self.corruption = corruption
        self.ema_decay = float(ema_decay)
        self.psnr = PSNR()
        self.ssim = SSIM() if min(image_shape[:2]) >= WINDOW else None

        # === Networks ===
        self.encoder, self.decoder = self._build_networks()
        self.ema_encoder, self.ema_decoder = self.encoder, self.decoder
        if self.ema_decay:
            self.ema_encoder, self.ema_decoder = self._build_networks()
            self.ema_encoder.trainable = self.ema_decoder.trainable = False
        if self.variational:
            self.scale = self.add_weight(
                name="scale", shape=(), initializer="ones", trainable=False, aggregation="mean"
            )
        self.sampler_step = self.add_weight(
            name="sampler_step",
            shape=(),
            dtype="int64",
            initializer=keras.initializers.Constant(-1),
            trainable=False,
            aggregation="only_first_replica",
        )
        self._set_sampler(sampler or ("normal" if self.variational else "flow"))
        self.built = True

    @classmethod
    def check_shape(cls, shape):
        return check_image_shape(shape, cls.__name__)

    def _build_networks(self):
        outputs = self.latent_dim * (2 if self.variational else 1)
        policy = self.dtype_policy
        encoder = build_encoder(self.image_shape, outputs, self.filters, 2 * self.seed, policy)
        decoder = build_decoder(
            self.image_shape,
            self.latent_dim,
            self.filters,
            2 * self.seed + 1,
            policy,
            spectral_norm=self.decoder_penalty == "spectral",
        )
        return encoder, decoder

    # === Training ===

    def compile(self, optimizer=None, loss="mse", learning_rate=3e-3, **kwargs):
        """Sets how the model is trained; every argument has a default that works.

        Args:
            optimizer: `keras.Optimizer`, its name or config, or None. Defaults to None: Adam
                whose rate falls from `learning_rate` as 1 / (1 + step / 10000).
            loss: "mse", "mae", "bce", "ssim", or any Keras loss, its name or config. Keras losses
                get pixels in [-1, 1]. Variational models take the first three, which are
                likelihoods. Defaults to "mse".
            learning_rate: float, or schedule of Keras', which is taken as it is. First rate of
                the default optimizer. Defaults to 3e-3.
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: an unknown loss or optimizer, a loss that the model can't take, or a rate
                that isn't positive.
            TypeError: an argument that Keras' `compile` doesn't know, or one that makes no
                sense here.
        """
        self.check_compile(kwargs, learning_rate)
        loss = losses.get_reconstruction(loss)
        if isinstance(loss, ReconstructionLoss):
            loss.check_shape(self.image_shape)
        if self.variational and getattr(loss, "likelihood", None) is None:
            raise ValueError(
                'A variational model needs a likelihood: "mse" (Gaussian), "mae" (Laplace) or '
                f'"bce" (Bernoulli). Received: loss={loss!r}'
            )
        if optimizer is None:
            optimizer = keras.optimizers.Adam(falling_rate(learning_rate, RATE_HALVED))
        optimizer = self.build_optimizer(optimizer, self._trained_variables())
        super().compile(optimizer=optimizer, **kwargs)
        self.reconstruction_loss = loss
        self._compile_kwargs = kwargs

    def _trained_variables(self):
        """What the optimizer moves: the sampler has a fit of its own."""
        return self.encoder.trainable_variables + self.decoder.trainable_variables

    def train_step(self, data):
        images = self.check_batch(keras.utils.unpack_x_y_sample_weight(data)[0])
        with tf.GradientTape() as tape:
            terms, reconstructions = self._terms(images, self.step_seed, training=True)
            loss = self._total(terms, self._kl_weight())
            # Of a variational model nats a value, not nats a picture, so that the gradients of
            # all kinds and sizes are of one order, and within the range of float16.
            objective = loss / self.num_values if self.variational else loss
            scaled = self.optimizer.scale_loss(self.mean_over_batch(objective))
        variables = self._trained_variables()
        self.apply_gradients(self.optimizer, tape.gradient(scaled, variables), variables)
        if self.ema_decay:
            self.update_average(self.ema_encoder, self.encoder, self.ema_decay)
            self.update_average(self.ema_decoder, self.decoder, self.ema_decay)
        first = tf.equal(self._trackers[0].count, 0)
        self.psnr.update_state(images, reconstructions)
        if self.ssim is not None:
            due = first | tf.equal(self.step.value % SSIM_EVERY, 0)
            measured = tf.where(due, tf.shape(images)[0], 0)  # of the batch all or nothing
            self.ssim.update_state(images[:measured], reconstructions[:measured])
        self.step.assign_add(1)
        return self.track(loss=loss, **terms) | self.results(self.psnr, self.ssim)

    def test_step(self, data):
        images = self.check_batch(keras.utils.unpack_x_y_sample_weight(data)[0])
        terms, reconstructions = self._terms(images, self.test_seed, training=False)
        logs = self.track(loss=self._total(terms, self.beta), **terms)
        if self.variational:  # what `reconstruct` makes, without noise
            reconstructions = self(images, training=False)
        for metric in (self.psnr, self.ssim):
            if metric is not None:
                metric.update_state(images, reconstructions)
        return logs | self.results(self.psnr, self.ssim)

    def _terms(self, images, seed_of, training):
        """The loss's terms before their weights, a value a picture each, and reconstructions."""
        if training:
            encoder, decoder = self.encoder, self.decoder
            images_in = corrupt(images, self.corruption, seed_of(0))
        else:
            encoder, decoder, images_in = self.ema_encoder, self.ema_decoder, images
        codes = encoder(images_in, training=training)
        terms = {}
        if self.variational:
            mean, log_variance = tf.split(codes, 2, axis=1)
            terms["kl"] = kl_divergence(mean, log_variance)
            codes = mean + tf.exp(log_variance / 2) * _normal(tf.shape(mean), seed_of(1))
        if self.code_penalty:
            terms["code_norm"] = tf.reduce_sum(codes**2, axis=1) / 2
        if self.decoder_penalty == "gradient":
            with tf.GradientTape() as tape:
                tape.watch(codes)
                reconstructions = decoder(codes, training=training)
            # For a standard normal direction, the expected squared slope is the Jacobian's
            # squared Frobenius norm.
            direction = _normal(tf.shape(reconstructions), seed_of(2))
            slope = tape.gradient(reconstructions, codes, output_gradients=direction)
            terms["decoder_norm"] = tf.reduce_sum(slope**2, axis=1) / 2
        else:
            reconstructions = decoder(codes, training=training)
        if self.decoder_penalty == "l2":
            kernels = [v.value for v in decoder.variables if v.name == "kernel"]
            norm = tf.add_n([tf.reduce_sum(kernel**2) for kernel in kernels])
            terms["decoder_norm"] = tf.repeat(norm, tf.shape(images)[0])
        values = image_losses(self.reconstruction_loss, images, reconstructions)
        terms["reconstruction"] = self._nats(values, training) if self.variational else values
        return terms, reconstructions

    def _nats(self, values, training):
        if training:
            step = tf.cast(self.step.value, tf.float32)
            decay = tf.minimum(SCALE_DECAY, (1 + step) / (10 + step))
            mean = self.global_mean(values)
            self.scale.assign(decay * self.scale + (1 - decay) * tf.maximum(mean, LEAST_SCALE))
        return self.reconstruction_loss.nats(values, self.scale.value, self.num_values)

    def _kl_weight(self):
        if not self.kl_warmup:
            return self.beta
        progress = tf.cast(self.step.value, tf.float32) / self.kl_warmup
        return self.beta * tf.minimum(1.0, progress)

    def _total(self, terms, kl_weight):
        total = terms["reconstruction"]
        for name, weight in (
            ("kl", kl_weight),
            ("code_norm", self.code_penalty / self.num_values),
            ("decoder_norm", self.decoder_penalty_weight / self.num_values),
        ):
            if name in terms:
                total += weight * terms[name]
        return total

    # === Config ===

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "filters": self.filters,
            "variational": self.variational,
            "beta": self.beta,
            "kl_warmup": self.kl_warmup,
            "code_penalty": self.code_penalty,
            "decoder_penalty": self.decoder_penalty,
            "decoder_penalty_weight": self.decoder_penalty_weight,
            "corruption": self.corruption,
            "ema_decay": self.ema_decay,
            "sampler": keras.saving.serialize_keras_object(self.sampler),
            **super().get_config(),
        }

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "loss": keras.saving.serialize_keras_object(self.reconstruction_loss),
            **self._compile_kwargs,
        }


def _normal(shape, seed):
    return tf.random.stateless_normal(shape, seed, alg="philox")
