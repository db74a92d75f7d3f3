"""`DCGAN`: generator and discriminator trained against each other, one generator pass a step."""

import keras
import numpy as np
import tensorflow as tf

from kerasgen import distribution, losses
from kerasgen.checks import number, one_of, whole
from kerasgen.layers import LatentClusters, SpectralNorm
from kerasgen.models.dcgan import clusters, defaults
from kerasgen.models.dcgan.augmentation import augment, check_policies
from kerasgen.models.dcgan.latent_generator import LatentGenerator, call_with_labels
from kerasgen.models.dcgan.networks import (
    NORMALIZATIONS,
    UPSAMPLINGS,
    build_discriminator,
    build_generator,
)
from kerasgen.models.stages import check_image_shape

# Share of real pictures that the discriminator is to judge right, more than wrong; above it, it
# overfits. And pictures until the augmentation's probability has gone from 0 to 1, at most.
ADAPTIVE_TARGET = 0.6
ADAPTIVE_PICTURES = 100_000
# Numbers of the random streams within a turn; real, fake and pictures between have each their own.
LATENTS, NOISES, AUGMENTS, BETWEEN = 0, 1, 4, 7
STREAMS = 8


@keras.saving.register_keras_serializable("kerasgen")
class DCGAN(LatentGenerator):
    """Deep convolutional generative adversarial network.

    The generator draws pictures from latent vectors, the discriminator tells them from real
    ones. A training step makes one generator pass, whose pictures serve both updates. Pictures
    for people come from an exponential moving average of the generator (its batch statistics
    included), which is steadier and better than the last weights.

    Args:
        image_shape: tuple of 3 ints. Height, width (pixels, multiples of 4, at least 8) and
            channels (1 to 4).
        latent_dim: int. Length of the latent vector. Defaults to 100.
        generator_filters: int or None. Width of the generator's stage next to the picture; it
            doubles inwards. Defaults to None: chosen by the size of the pictures.
        discriminator_filters: the same of the discriminator.
        num_classes: int or None. With classes, both networks also see the labels, which the
            data then has to hold: `load_images(..., labels=True)`. Defaults to None.
        num_clusters: int or None. In how many clusters pictures are put at most, which both
            networks are told as they would be their class: more faithful and more diverse
            pictures, in the same time. `fit` finds the clusters before its first step, one for
            every hundred pictures; the latent's first entries choose one, so that nothing else
            changes, but that a way between two latents is soon across from one cluster to the
            next. At most `latent_dim`; 1 leaves clusters out, as `num_classes` demands. Defaults
            to None: up to 100 without classes.
        upsampling: "transposed", or "resize": pixels are doubled and convolved, which draws no
            checkerboards and takes as long (`kerasgen.layers.DoubledConv2D`), or None. Defaults
            to None: "transposed" for one channel, "resize" for several.
        residual: bool. Whether stages are residual blocks, the generator's with "resize".
            Defaults to False.
        discriminator_normalization: "batch", "spectral" (kernels are divided by their spectral
            norm) or None. Defaults to "batch".
        minibatch_stddev: bool. Whether the discriminator is told how different the pictures of
            a batch are. Defaults to False.
        synchronized_batch_norm: bool. Whether, in a training on several devices, batch
            normalisation is by the whole batch instead of each device's share of it, which takes
            longer and is better for small shares. Defaults to False.
        instance_noise: float, at least 0. Standard deviation of the noise that is laid over all
            pictures, which range over [-1, 1], before the discriminator sees them. It keeps the
            discriminator from knowing few pictures by heart. Defaults to 0.2.
        augment: how pictures are distorted before the discriminator sees them: None, or one or a
            sequence of "color", "translation", "cutout" and "flip". Defaults to "auto": chosen by
            the pictures' channels.
        augment_probability: float in [0, 1], or "adaptive". How likely each of them is applied
            to a picture; "adaptive" begins with 0 and raises it while the discriminator
            overfits, which few pictures soon lead to, and many don't. Defaults to "adaptive".
        ema_decay: float in [0, 1). Decay a step of the generator's moving average; it starts
            lower, so that the average is over the last tenth of the steps until that is longer.
            Defaults to 0.9995.
        seed: int. What all randomness derives from, together with the step. Defaults to 0.
        name: str. Defaults to "dcgan".
        dtype: str or `keras.DTypePolicy`. "float32", "mixed_bfloat16" or "mixed_float16".
            Losses are float32 in each. Defaults to Keras' global policy.

    Attributes:
        generator: `keras.Model` from latents `(B, latent_dim)` to float32 images in [-1, 1].
        discriminator: `keras.Model` from images to float32 logits `(B, 1)`.
        ema_generator: the generator's moving average.

    Logs of `fit` and `evaluate`: `generator_loss` and `discriminator_loss`; `real_score` and
    `fake_score`, how real both kinds of pictures look to the discriminator, where 0.5 means that
    it can't tell; with a gradient penalty `penalty`, its weight included, which is not a part of
    `discriminator_loss`; with adaptive augmentation its `augment_probability`.

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
        Inference for Image Super-resolution, 2016 (instance noise). Karras, Aittala, Hellsten,
        Laine, Lehtinen, Aila: Training Generative Adversarial Networks with Limited Data, 2020
        (adaptive augmentation). Odena, Dumoulin, Olah: Deconvolution and Checkerboard Artifacts,
        2016 ("resize"). Liu, Wang, Bau, Zhu, Torralba: Diverse Image Generation via
        Self-Conditioned GANs, 2020 (clusters; there of the discriminator's features).
    """

    def __init__(
        self,
        image_shape,
        latent_dim=100,
        generator_filters=None,
        discriminator_filters=None,
        num_classes=None,
        num_clusters=None,
        upsampling=None,
        residual=False,
        discriminator_normalization="batch",
        minibatch_stddev=False,
        synchronized_batch_norm=False,
        instance_noise=0.2,
        augment="auto",
        augment_probability="adaptive",
        ema_decay=0.9995,
        seed=0,
        name="dcgan",
        dtype=None,
    ):
        image_shape = self.check_shape(image_shape)
        chosen, choices = defaults.complete(
            image_shape,
            generator_filters=generator_filters,
            discriminator_filters=discriminator_filters,
            upsampling=upsampling,
            augment=augment,
        )
        generator_filters, discriminator_filters, upsampling, augment = chosen
        whole("latent_dim", latent_dim, 1)
        whole("generator_filters", generator_filters, 1)
        whole("discriminator_filters", discriminator_filters, 1)
        if num_classes is not None:
            whole("num_classes", num_classes, 2)
        if num_clusters is None:
            num_clusters, reason = defaults.num_clusters(latent_dim, num_classes)
            choices["num_clusters"] = f"{num_clusters}, {reason}"
        whole("num_clusters", num_clusters, 1)
        if num_clusters > (latent_dim if num_classes is None else 1):
            raise ValueError(
                "`num_clusters` must be at most `latent_dim`, and 1 if there are classes, whose "
                f"place clusters would take. Received: num_clusters={num_clusters}, "
                f"latent_dim={latent_dim}, num_classes={num_classes}"
            )
        one_of("upsampling", upsampling, UPSAMPLINGS)
        one_of("discriminator_normalization", discriminator_normalization, NORMALIZATIONS)
        number("instance_noise", instance_noise)
        policies = check_policies(augment, image_shape[2])
        if augment_probability != "adaptive" and not (
            isinstance(augment_probability, (int, float)) and 0 <= augment_probability <= 1
        ):
            raise ValueError(
                '`augment_probability` must lie in [0, 1], or be "adaptive". '
                f"Received: augment_probability={augment_probability!r}"
            )
        number("ema_decay", ema_decay, below=1)
        super().__init__(seed=seed, loss_names=(), name=name, dtype=dtype)
        self.choices = choices
        self.image_shape = image_shape
        self.latent_dim = int(latent_dim)
        self.generator_filters = int(generator_filters)
        self.discriminator_filters = int(discriminator_filters)
        self.num_classes = None if num_classes is None else int(num_classes)
        self.num_clusters = int(num_clusters)
        self.upsampling = upsampling
        self.residual = bool(residual)
        self.discriminator_normalization = discriminator_normalization
        self.minibatch_stddev = bool(minibatch_stddev)
        self.synchronized_batch_norm = bool(synchronized_batch_norm)
        self.instance_noise = float(instance_noise)
        self.augment = policies
        self.adaptive = bool(policies) and augment_probability == "adaptive"
        self.augment_probability = augment_probability
        self.ema_decay = float(ema_decay)

        # === Networks ===
        self.generator, self.ema_generator = (
            build_generator(
                image_shape,
                latent_dim,
                generator_filters,
                num_classes,
                num_clusters,
                upsampling,
                residual,
                seed=2 * self.seed,
                dtype=self.dtype_policy,
                synchronized=self.synchronized_batch_norm,
            )
            for _ in range(2)
        )
        self.ema_generator.trainable = False
        self.discriminator = build_discriminator(
            image_shape,
            discriminator_filters,
            num_classes or (num_clusters if num_clusters > 1 else None),
            discriminator_normalization,
            residual,
            minibatch_stddev,
            seed=2 * self.seed + 1,
            dtype=self.dtype_policy,
            synchronized=self.synchronized_batch_norm,
        )
        self._spectral_norms = [
            layer for layer in self.discriminator.layers if isinstance(layer, SpectralNorm)
        ]
        if num_clusters > 1:
            height, width, channels = self.image_shape
            shape = clusters.codes(tf.zeros((1, height, width, channels))).shape
            self.centroids = self.add_weight(
                name="centroids",
                shape=(num_clusters, shape[1]),
                dtype="float32",
                initializer="zeros",
                trainable=False,
            )
        self._probability = self.add_weight(
            name="augment_probability",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(
                0 if augment_probability == "adaptive" else augment_probability
            ),
            trainable=False,
            aggregation="mean",
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
        penalty=None,
        discriminator_steps=1,
        learning_rate=None,
        **kwargs,
    ):
        """Sets how the model is trained; every argument has a default that works.

        Args:
            generator_optimizer: `keras.Optimizer`, its name or config, or None. Defaults to
                None: Adam with `learning_rate` and beta_1 0.5.
            discriminator_optimizer: the same for the discriminator.
            loss: `kerasgen.losses.AdversarialLoss`, its config, or a name: "non_saturating",
                "least_squares", "hinge", "wasserstein" or "relativistic_paired". Defaults to
                "non_saturating".
            penalty: `kerasgen.losses.GradientPenalty`, its config, or a name: "r1", "r2",
                "r1_r2" or "wgan_gp"; or None. Defaults to None.
            discriminator_steps: int. Updates of the discriminator for each of the generator, all
                with the same real pictures and fake ones of their own. Defaults to 1.
            learning_rate: float or Keras' schedule, or a pair of the generator's and the
                discriminator's, or None. Rate of the default optimizers. Defaults to None:
                (2e-3, 1e-3).
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: an unknown loss, penalty or optimizer, a rate that isn't positive, a
                list of rates that isn't a pair, no discriminator step, or a relativistic loss with
                a penalty at intervals.
            TypeError: an argument that Keras' `compile` doesn't know, or one that makes no
                sense here.
        """
        (learning_rate,), reasons = defaults.complete(self.image_shape, learning_rate=learning_rate)
        rates = learning_rate if isinstance(learning_rate, (tuple, list)) else [learning_rate] * 2
        if len(rates) != 2:
            raise ValueError(
                "`learning_rate` must be a number, or a pair of the generator's and the "
                f"discriminator's. Received: learning_rate={learning_rate!r}"
            )
        for rate in rates:
            self.check_compile(kwargs, rate)
        whole("discriminator_steps", discriminator_steps, 1)
        loss, penalty = losses.get(loss), losses.get_penalty(penalty)
        if isinstance(loss, losses.RelativisticPaired) and penalty and penalty.interval > 1:
            raise ValueError(
                "The relativistic loss converges only with its penalty at every step: leave "
                f"`interval` at 1. Received: interval={penalty.interval}"
            )

        generator_adam, discriminator_adam = (
            keras.optimizers.Adam(rate, beta_1=0.5) for rate in rates
        )
        super().compile(optimizer=None, **kwargs)
        self.choices.pop("learning_rate", None)  # of an earlier `compile`
        if generator_optimizer is None or discriminator_optimizer is None:
            self.choices.update(reasons)
        self.adversarial_loss = loss
        self.penalty = penalty
        self.discriminator_steps = int(discriminator_steps)
        self.generator_optimizer = self.build_optimizer(
            generator_optimizer or generator_adam, self.generator.trainable_variables
        )
        self.discriminator_optimizer = self.build_optimizer(
            discriminator_optimizer or discriminator_adam, self.discriminator.trainable_variables
        )
        self._compile_kwargs = kwargs
        names = ["generator_loss", "discriminator_loss", "real_score", "fake_score"]
        if penalty:
            names.append("penalty")
        if self.adaptive:
            names.append("augment_probability")
        self.track_losses(names)

    def fit(self, x=None, *args, **kwargs):
        if self.num_clusters > 1 and not self.step.numpy() and isinstance(x, clusters.READABLE):
            if not np.any(self.centroids.numpy()):
                self.find_clusters(x)
        return super().fit(x, *args, **kwargs)

    def find_clusters(self, data):
        """Puts pictures in clusters, as `fit` does before its first step.

        k-means of the first 10,000 pictures at a side of 8 pixels, one cluster for every hundred
        different ones. Until then, all pictures are in the same cluster; where `fit` is given a
        generator, which it can't read beforehand, they stay there.

        Args:
            data: `tf.data.Dataset` of `kerasgen.data`; or array `(N, H, W, C)`, floats in [-1, 1]
                or uint8.

        Raises:
            ValueError: pictures of another shape than the model's, or that aren't finite or in
                [-1, 1], or a model without clusters.
        """
        if self.num_clusters == 1:
            raise ValueError("The model has no clusters: build it with `num_clusters`.")
        shape = self.num_clusters, self.centroids.shape[1] + 1

        def find():
            pictures = self.check_batch(clusters.first_pictures(data))
            found = clusters.find(pictures, self.num_clusters, self.seed)
            return np.column_stack(found).ravel().tolist()

        found = distribution.from_chief(self.distribute_strategy, find, np.prod(shape))
        found = np.reshape(found, shape)
        self.centroids.assign(found[:, :-1])
        for network in (self.generator, self.ema_generator):
            self._clusters_of(network).shares.assign(found[:, -1])

    def train_step(self, data):
        images, labels = self._unpack(data)
        for turn in range(self.discriminator_steps):

            def seed(stream, turn=turn):
                return self.step_seed(STREAMS * turn + stream)

            for layer in self._spectral_norms:
                layer.iterate()
            with tf.GradientTape(persistent=True) as tape:
                terms = self._play(self.generator, images, labels, seed, training=True)
                discriminator_loss = self.discriminator_optimizer.scale_loss(
                    self.mean_over_batch(terms["discriminator_loss"] + terms.get("penalty", 0.0))
                )
                generator_loss = self.generator_optimizer.scale_loss(
                    self.mean_over_batch(terms["generator_loss"])
                )
            sides = [(self.discriminator_optimizer, self.discriminator, discriminator_loss)]
            if turn == self.discriminator_steps - 1:
                sides.append((self.generator_optimizer, self.generator, generator_loss))
            for optimizer, network, loss in sides:
                variables = network.trainable_variables
                self.apply_gradients(optimizer, tape.gradient(loss, variables), variables)
        self.update_average(self.ema_generator, self.generator, self.ema_decay)
        if self.adaptive:
            self._adapt(terms["real_score"])
        self.step.assign_add(1)
        return self.track(**terms)

    def test_step(self, data):
        images, labels = self._unpack(data)

        def seed(stream):
            return self.test_seed(-1 - stream)

        return self.track(**self._play(self.ema_generator, images, labels, seed, training=False))

    def _play(self, generator, images, labels, seed, training):
        """What is tracked, a value a picture, of one pass of both networks.

        Args:
            generator: `keras.Model` that draws the fake pictures.
            images: float32 tensor `(B, H, W, C)`.
            labels: int tensor `(B,)`, or None.
            seed: function from a stream's number to a seed.
            training: bool.

        Returns:
            Dict of name -> float32 tensor `(B,)`.
        """
        batch = tf.shape(images)[0]
        latents = tf.random.stateless_normal((batch, self.latent_dim), seed(LATENTS), alg="philox")
        fakes = call_with_labels(generator, latents, labels, training)
        judged_as = dict.fromkeys(("real", "fake", "between"), labels)
        if self.num_clusters > 1:
            own = clusters.nearest(images, self.centroids.value)
            drawn = tf.argmax(self._clusters_of(generator)(latents), axis=1, output_type=tf.int32)
            judged_as = {"real": own, "fake": drawn, "between": own}
        pictures = {"real": images, "fake": fakes}
        places = self.penalty.places if self.penalty else ()
        if "between" in places:
            share = tf.random.stateless_uniform((batch, 1, 1, 1), seed(BETWEEN), alg="philox")
            pictures["between"] = images + share * (fakes - images)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch([pictures[place] for place in places])
            logits = {
                place: self._judge(pictures[place], judged_as[place], seed, number, training)
                for number, place in enumerate(pictures)
            }
        sides = logits["real"], logits["fake"]
        real_score, fake_score = self.adversarial_loss.scores(*sides)
        terms = {
            "generator_loss": self.adversarial_loss.generator(*sides),
            "discriminator_loss": self.adversarial_loss.discriminator(*sides),
            "real_score": real_score,
            "fake_score": fake_score,
        }
        if self.penalty:
            terms["penalty"] = self._penalise(
                lambda: [tape.gradient(logits[place], pictures[place]) for place in places],
                batch,
                training,
            )
        if self.adaptive:
            terms["augment_probability"] = self._probability.value
        return terms

    def _judge(self, images, labels, seed, number, training):
        """The discriminator's logits, as it always sees pictures: distorted and under noise.

        The numbers 0, 1 and 2 stand for real and fake pictures, and those between.
        """
        if self.augment:
            images = augment(images, self.augment, self._probability.value, seed(AUGMENTS + number))
        if self.instance_noise:
            noise = tf.random.stateless_normal(
                tf.shape(images), seed(NOISES + number), alg="philox"
            )
            images += self.instance_noise * noise
        return call_with_labels(self.discriminator, images, labels, training)

    def _penalise(self, gradients, batch, training):
        """The penalty at this step, `(B,)`: none between its intervals."""

        def values():
            return tf.add_n([self.penalty.values(gradient) for gradient in gradients()])

        interval = self.penalty.interval
        if interval == 1 or not training:
            return values()
        due = self.step.value % interval == 0
        return interval * tf.cond(due, values, lambda: tf.zeros((batch,)))

    def _clusters_of(self, generator):
        return next(layer for layer in generator.layers if isinstance(layer, LatentClusters))

    def _adapt(self, real_scores):
        """Distorts more if the discriminator is too sure of real pictures, less otherwise."""
        surplus = self.global_mean(tf.sign(real_scores - 0.5)) - ADAPTIVE_TARGET
        change = self.global_size(real_scores) / ADAPTIVE_PICTURES
        probability = self._probability.value + tf.sign(surplus) * change
        self._probability.assign(tf.clip_by_value(probability, 0.0, 1.0))

    def _unpack(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.check_batch(images)
        if self.num_classes and labels is None:
            raise ValueError(
                f"The model has {self.num_classes} classes, and the data has no labels: use "
                "`load_images(..., labels=True)`, or a model without `num_classes`."
            )
        return images, labels if self.num_classes else None

    # === Config ===

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "generator_filters": self.generator_filters,
            "discriminator_filters": self.discriminator_filters,
            "num_classes": self.num_classes,
            "num_clusters": self.num_clusters,
            "upsampling": self.upsampling,
            "residual": self.residual,
            "discriminator_normalization": self.discriminator_normalization,
            "minibatch_stddev": self.minibatch_stddev,
            "synchronized_batch_norm": self.synchronized_batch_norm,
            "instance_noise": self.instance_noise,
            "augment": self.augment,
            "augment_probability": self.augment_probability,
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
            "penalty": self.penalty and keras.saving.serialize_keras_object(self.penalty),
            "discriminator_steps": self.discriminator_steps,
            **self._compile_kwargs,
        }
