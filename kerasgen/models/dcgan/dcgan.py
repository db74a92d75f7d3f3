"""`DCGAN`: generator and discriminator trained against each other, one generator pass a step."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen import losses
from kerasgen.generative_model import (
    GenerativeModel,
    Signature,
    draw_latents,
    encode_png,
    in_batches,
    row_seeds,
)
from kerasgen.interpolation import path_between
from kerasgen.models.dcgan.networks import build_discriminator, build_generator
from kerasgen.models.stages import check_image_shape
from kerasgen.pixels import to_uint8

PREVIEW_SIDE = 8


@keras.saving.register_keras_serializable("kerasgen")
class DCGAN(GenerativeModel):
    """Deep convolutional generative adversarial network.

    The generator draws pictures from latent vectors, the discriminator tells them from real
    ones. A training step makes one generator pass, whose pictures serve both updates. Pictures
    for people come from an exponential moving average of the generator (its batch statistics
    included), which is steadier and better than the last weights.

    Args:
        image_shape: tuple of 3 ints. Height, width (pixels, multiples of 4, at least 8) and
            channels (1 to 4).
        latent_dim: int. Length of the latent vector. Defaults to 100.
        generator_filters: int. Width of the generator's stage next to the picture; it doubles
            inwards. Defaults to 48.
        discriminator_filters: int. The same of the discriminator. Defaults to 32.
        num_classes: int or None. With classes, both networks also see the labels, which the
            data then has to hold: `load_images(..., labels=True)`. Defaults to None.
        instance_noise: float, at least 0. Standard deviation of the noise that is laid over all
            pictures, which range over [-1, 1], before the discriminator sees them. It keeps the
            discriminator from knowing few pictures by heart. Defaults to 0.2.
        ema_decay: float in [0, 1). Decay a step of the generator's moving average; it starts
            lower, so that early pictures aren't the initial weights'. Defaults to 0.999.
        seed: int. What all randomness derives from, together with the step. Defaults to 0.
        name: str. Defaults to "dcgan".
        dtype: str or `keras.DTypePolicy`. "float32", "mixed_bfloat16" or "mixed_float16".
            Losses are float32 in each. Defaults to Keras' global policy.

    Attributes:
        generator: `keras.Model` from latents `(B, latent_dim)` to float32 images in [-1, 1].
        discriminator: `keras.Model` from images to float32 logits `(B, 1)`.
        ema_generator: the generator's moving average.

    Raises:
        ValueError: an image shape that the strides don't divide, or an argument outside what is
            described here.

    Example:

    ```python
    dataset = kerasgen.data.load_images("digits", image_size=32)
    model = kerasgen.DCGAN(image_shape=(32, 32, 1))
    model.compile()
    model.fit(dataset, epochs=60)
    images = model.generate(16, seed=0)  # uint8, (16, 32, 32, 1)
    ```

    Reference:
        Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional
        Generative Adversarial Networks, 2015. Yazici et al.: The Unusual Effectiveness of
        Averaging in GAN Training, 2018 (the moving average). Sønderby et al.: Amortised MAP
        Inference for Image Super-resolution, 2016 (instance noise).
    """

    def __init__(
        self,
        image_shape,
        latent_dim=100,
        generator_filters=48,
        discriminator_filters=32,
        num_classes=None,
        instance_noise=0.2,
        ema_decay=0.999,
        seed=0,
        name="dcgan",
        dtype=None,
    ):
        image_shape = self.check_shape(image_shape)
        for argument, value, least in (
            ("latent_dim", latent_dim, 1),
            ("generator_filters", generator_filters, 1),
            ("discriminator_filters", discriminator_filters, 1),
            ("num_classes", num_classes, 2),
        ):
            if argument == "num_classes" and value is None:
                continue
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(
                    f"`{argument}` must be a whole number of at least {least}. "
                    f"Received: {argument}={value!r}"
                )
        if not 0 <= instance_noise < float("inf"):
            raise ValueError(
                f"`instance_noise` must be at least 0. Received: instance_noise={instance_noise!r}"
            )
        if not 0 <= ema_decay < 1:
            raise ValueError(f"`ema_decay` must lie in [0, 1). Received: ema_decay={ema_decay!r}")
        super().__init__(
            seed=seed,
            loss_names=("generator_loss", "discriminator_loss", "real_score", "fake_score"),
            name=name,
            dtype=dtype,
        )
        self.image_shape = image_shape
        self.latent_dim = int(latent_dim)
        self.generator_filters = int(generator_filters)
        self.discriminator_filters = int(discriminator_filters)
        self.num_classes = None if num_classes is None else int(num_classes)
        self.instance_noise = float(instance_noise)
        self.ema_decay = float(ema_decay)

        # === Networks ===
        policy = self.dtype_policy
        generator_args = (image_shape, latent_dim, generator_filters, num_classes)
        self.generator = build_generator(*generator_args, 2 * self.seed, policy)
        self.ema_generator = build_generator(*generator_args, 2 * self.seed, policy)
        self.ema_generator.trainable = False
        self.discriminator = build_discriminator(
            image_shape, discriminator_filters, num_classes, 2 * self.seed + 1, policy
        )
        self.built = True

    @classmethod
    def check_shape(cls, shape):
        return check_image_shape(shape, cls.__name__)

    # === Training ===

    def compile(
        self,
        generator_optimizer=None,
        discriminator_optimizer=None,
        loss="non_saturating",
        learning_rate=5e-4,
        **kwargs,
    ):
        """Sets how the model is trained; every argument has a default that works.

        Args:
            generator_optimizer: `keras.Optimizer`, its name or config, or None. Defaults to
                None: Adam with `learning_rate` and beta_1 0.5.
            discriminator_optimizer: the same for the discriminator.
            loss: `kerasgen.losses.AdversarialLoss`, its config, or a name. Defaults to
                "non_saturating".
            learning_rate: float. Rate of the default optimizers. Defaults to 5e-4.
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: an unknown loss or optimizer, or a rate that isn't positive.
            TypeError: an argument that Keras' `compile` doesn't know, or one that makes no
                sense here.
        """
        self.check_compile(kwargs, learning_rate)

        def adam():
            return keras.optimizers.Adam(learning_rate, beta_1=0.5)

        self.adversarial_loss = losses.get(loss)
        super().compile(optimizer=None, **kwargs)
        self.generator_optimizer = self.build_optimizer(
            generator_optimizer or adam(), self.generator.trainable_variables
        )
        self.discriminator_optimizer = self.build_optimizer(
            discriminator_optimizer or adam(), self.discriminator.trainable_variables
        )
        self._compile_kwargs = kwargs

    def train_step(self, data):
        images, labels = self._unpack(data)
        latents = self._normal((tf.shape(images)[0], self.latent_dim), self.step_seed(0))
        with tf.GradientTape(persistent=True) as tape:
            fakes = self._call(self.generator, latents, labels, training=True)
            real_logits = self._judge(images, labels, self.step_seed(1), training=True)
            fake_logits = self._judge(fakes, labels, self.step_seed(2), training=True)
            discriminator_loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
            generator_loss = self.adversarial_loss.generator(real_logits, fake_logits)
            scaled_discriminator_loss = self.discriminator_optimizer.scale_loss(
                self.mean_over_batch(discriminator_loss)
            )
            scaled_generator_loss = self.generator_optimizer.scale_loss(
                self.mean_over_batch(generator_loss)
            )
        for optimizer, loss, network in (
            (self.discriminator_optimizer, scaled_discriminator_loss, self.discriminator),
            (self.generator_optimizer, scaled_generator_loss, self.generator),
        ):
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
        self.update_average(self.ema_generator, self.generator, self.ema_decay)
        self.step.assign_add(1)
        return self._log(generator_loss, discriminator_loss, real_logits, fake_logits)

    def test_step(self, data):
        images, labels = self._unpack(data)
        latents = self._normal((tf.shape(images)[0], self.latent_dim), self.test_seed(3))
        fakes = self._call(self.ema_generator, latents, labels, training=False)
        real_logits = self._judge(images, labels, self.test_seed(4), training=False)
        fake_logits = self._judge(fakes, labels, self.test_seed(5), training=False)
        return self._log(
            self.adversarial_loss.generator(real_logits, fake_logits),
            self.adversarial_loss.discriminator(real_logits, fake_logits),
            real_logits,
            fake_logits,
        )

    def _judge(self, images, labels, seed, training):
        """The discriminator's logits, as it always sees pictures: under noise."""
        if self.instance_noise:
            images += self.instance_noise * self._normal(tf.shape(images), seed)
        return self._call(self.discriminator, images, labels, training)

    def _normal(self, shape, seed):
        return tf.random.stateless_normal(shape, seed, alg="philox")

    def _log(self, generator_loss, discriminator_loss, real_logits, fake_logits):
        return self.track(
            generator_loss=generator_loss,
            discriminator_loss=discriminator_loss,
            real_score=tf.sigmoid(real_logits),
            fake_score=tf.sigmoid(fake_logits),
        )

    def _unpack(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.check_batch(images)
        if self.num_classes and labels is None:
            raise ValueError(
                f"The model has {self.num_classes} classes, and the data has no labels: use "
                "`load_images(..., labels=True)`, or a model without `num_classes`."
            )
        return images, labels if self.num_classes else None

    def _call(self, network, first, labels, training):
        inputs = first if labels is None else [first, labels]
        return network(inputs, training=training)

    # === Generation ===

    def call(self, inputs, training=False):
        return self.ema_generator(inputs, training=False)

    def generate(self, num_images=None, labels=None, latents=None, seed=None):
        """Generates images with the averaged generator.

        Args:
            num_images: int or None. Defaults to None: as many as `labels` or `latents`, or 64.
            labels: int array `(N,)`, an int for all, or None. Classes of a conditional model.
                Defaults to None: class `i % num_classes` for image `i`.
            latents: float array `(N, latent_dim)` or None. Defaults to None: drawn from `seed`.
            seed: int or None. The same seed gives the same images, and image `i` doesn't depend
                on `num_images`. Defaults to None: a fresh seed at each call.

        Returns:
            uint8 array `(N, H, W, C)`.

        Raises:
            ValueError: counts that differ, labels out of range or of a model without classes,
                latents of another shape or not finite.
        """
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
        rows = [self._check_latents(latents)]
        if self.num_classes:
            rows.append(self._check_labels(labels, len(seeds)))
        elif labels is not None:
            raise ValueError("The model has no classes, so `labels` can't be given.")
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
        return to_uint8(self._call(self.ema_generator, latents, labels, training=False))

    # === Serving ===

    def serving_signatures(self):
        latent = tf.TensorSpec((None, self.latent_dim), tf.float32, "latent")
        seed = tf.TensorSpec((None,), tf.int64, "seed")
        label = [tf.TensorSpec((None,), tf.int32, "label")] if self.num_classes else []

        def decode(latent, label=None):
            images = self._call(self.ema_generator, latent, label, training=False)
            return {"image": (images + 1) / 2}

        def generate_png(seed, label=None):
            seeds = tf.stack([seed, tf.zeros_like(seed)], axis=1)
            latents = draw_latents(seeds, self.latent_dim)
            images = self._call(self.ema_generator, latents, label, training=False)
            return {"image_bytes": encode_png(images)}

        return {
            "decode": Signature(decode, [latent, *label]),
            "generate_png": Signature(generate_png, [seed, *label]),
        }

    # === Config ===

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "generator_filters": self.generator_filters,
            "discriminator_filters": self.discriminator_filters,
            "num_classes": self.num_classes,
            "instance_noise": self.instance_noise,
            "ema_decay": self.ema_decay,
            **super().get_config(),
        }

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            "generator_optimizer": keras.optimizers.serialize(self.generator_optimizer),
            "discriminator_optimizer": keras.optimizers.serialize(self.discriminator_optimizer),
            "loss": keras.saving.serialize_keras_object(self.adversarial_loss),
            **self._compile_kwargs,
        }

    def compile_from_config(self, config):
        self.compile(**config)
