"""`PixelCNN`: small pictures, pixel after pixel, with exact likelihoods."""

import math

import keras
import numpy as np
import tensorflow as tf

from kerasgen.checks import images as check_images
from kerasgen.checks import number, picture_shape, whole
from kerasgen.generative_model import GenerativeModel, falling_rate, in_batches, row_seeds
from kerasgen.models.pixel_cnn import serving
from kerasgen.models.pixel_cnn.levels import from_levels, to_levels
from kerasgen.models.pixel_cnn.networks import PixelNetwork
from kerasgen.models.pixel_cnn.sampling import draw_uniforms, sample
from kerasgen.pixels import to_uint8

# Pictures are drawn in blocks of this size, so that none depends on how many were asked for. Most
# of the time goes into starting small operations, and 64 pictures take little longer than 16.
SAMPLE_BATCH = 64
PREVIEW_SIDE = 8
LEVELS = tuple(2**bits for bits in range(1, 9))
RATE_HALVED = 2000  # step by which the default learning rate has fallen to its half


@keras.saving.register_keras_serializable("kerasgen")
class PixelCNN(GenerativeModel):
    """Gated PixelCNN: draws pictures pixel after pixel, and knows how likely a picture is.

    The probability of a picture is the product of its values' probabilities, each given the values
    before it: pixels row by row from left to right, in each its channels. The network tells them
    all at once, so that the likelihood is exact, and training minimises it without an adversary, a
    bound or a code. Drawing takes its time, a pass of small operations for every pixel: it suits
    pictures of up to about 32 pixels a side.

    Pixels are seen in a few `levels` of brightness, a categorical distribution each. Fewer are
    learnt sooner. Pictures that it draws have only those levels.

    Args:
        image_shape: tuple of 3 ints. Height, width (pixels, any) and channels (1 to 4).
        levels: int. Levels of brightness, a power of 2 from 2 to 256. Defaults to 16.
        filters: int. Channels of either stack of convolutions. Defaults to 32.
        blocks: int. Gated blocks. The first reaches 3 pixels up, left and right, every further
            one 1 more: what is beyond isn't seen. Defaults to 8.
        ema_decay: float in [0, 1). Decay a step of the network's moving average, which all but the
            training uses; it starts lower. 0 averages nothing. Defaults to 0.999.
        seed: int. What all randomness derives from, together with the step. Defaults to 0.
        name: str. Defaults to "pixelcnn".
        dtype: str or `keras.DTypePolicy`. "float32", "mixed_bfloat16" or "mixed_float16".
            Logits and losses are float32 in each. Defaults to Keras' global policy.

    Attributes:
        network: `keras.Model` from pictures `(B, H, W, C)` in [-1, 1] to float32 logits
            `(B, H, W, C, levels)`.
        ema_network: the network's moving average.

    Logs of `fit` and `evaluate`: `loss`, in bits per dimension: the mean over pictures and values
    of `-log2` of the level's probability. That of one level for all is `log2(levels)` at most.
    With 256 levels it is what the literature prints for 8-bit pictures; with fewer, add
    `log2(256 / levels)`, as if the values within a level were equally likely.

    Raises:
        ValueError: an argument outside what is described here.

    Example:

    ```python
    dataset = kerasgen.data.load_images("digits", image_size=16)
    model = kerasgen.PixelCNN(image_shape=(16, 16, 1))
    model.compile()
    model.fit(dataset, epochs=60)
    images = model.generate(16, seed=0)  # uint8, (16, 16, 16, 1)
    bits = model.bits_per_dimension(images)  # float32, (16,)
    ```

    Reference:
        van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu: Conditional Image
        Generation with PixelCNN Decoders, 2016 (here without classes). van den Oord, Kalchbrenner,
        Kavukcuoglu: Pixel Recurrent Neural Networks, 2016 (categorical pixels). Ramachandran et
        al.: Fast Generation for Convolutional Autoregressive Models, 2017 (keeping what was
        computed).
    """

    def __init__(
        self,
        image_shape,
        levels=16,
        filters=32,
        blocks=8,
        ema_decay=0.999,
        seed=0,
        name="pixelcnn",
        dtype=None,
    ):
        image_shape = self.check_shape(image_shape)
        whole("levels", levels, 2)
        if levels not in LEVELS:
            raise ValueError(
                f"`levels` must be one of {LEVELS}, so that equally many of the 256 values of a "
                f"pixel fall to each. Received: levels={levels}"
            )
        whole("filters", filters, 1)
        whole("blocks", blocks, 1)
        number("ema_decay", ema_decay, below=1)
        super().__init__(seed=seed, loss_names=("loss",), name=name, dtype=dtype)
        self.image_shape = image_shape
        self.num_values = math.prod(image_shape)
        self.levels = int(levels)
        self.filters = int(filters)
        self.num_blocks = int(blocks)
        self.ema_decay = float(ema_decay)

        # === Network ===
        self.network = self.ema_network = self._build_network()
        if self.ema_decay:
            self.ema_network = self._build_network()
            self.ema_network.trainable = False
        self.built = True

    @classmethod
    def check_shape(cls, shape):
        return picture_shape("image_shape", shape, cls.__name__, 1, 1)

    def _build_network(self):
        return PixelNetwork(
            self.image_shape,
            self.levels,
            self.filters,
            self.num_blocks,
            self.seed,
            self.dtype_policy,
        )

    def call(self, inputs, training=False):
        """The averaged network's logits `(B, H, W, C, levels)`, of pictures in [-1, 1]."""
        return self.ema_network(self._quantised(inputs)[1])

    # === Training ===

    def compile(self, optimizer=None, learning_rate=5e-3, **kwargs):
        """Sets how the model is trained; every argument has a default that works.

        Args:
            optimizer: `keras.Optimizer`, its name or config, or None. Defaults to None: Adam
                whose rate falls from `learning_rate` as 1 / (1 + step / 2000).
            learning_rate: float, or schedule of Keras', which is taken as it is. First rate of
                the default optimizer. Defaults to 5e-3.
            **kwargs: `run_eagerly`, `steps_per_execution` and `jit_compile`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: an unknown optimizer, or a rate that isn't positive.
            TypeError: an argument that Keras' `compile` doesn't know, or one that makes no
                sense here.
        """
        self.check_compile(kwargs, learning_rate)
        if optimizer is None:
            optimizer = keras.optimizers.Adam(falling_rate(learning_rate, RATE_HALVED))
        optimizer = self.build_optimizer(optimizer, self.network.trainable_variables)
        super().compile(optimizer=optimizer, **kwargs)
        self._compile_kwargs = kwargs

    def train_step(self, data):
        images = self.check_batch(keras.utils.unpack_x_y_sample_weight(data)[0])
        with tf.GradientTape() as tape:
            bits = self.bits(images, self.network)
            scaled = self.optimizer.scale_loss(self.mean_over_batch(bits))
        variables = self.network.trainable_variables
        self.apply_gradients(self.optimizer, tape.gradient(scaled, variables), variables)
        if self.ema_decay:
            self.update_average(self.ema_network, self.network, self.ema_decay)
        self.step.assign_add(1)
        return self.track(loss=bits)

    def test_step(self, data):
        images = self.check_batch(keras.utils.unpack_x_y_sample_weight(data)[0])
        return self.track(loss=self.bits(images))

    # === Likelihood ===

    def bits_per_dimension(self, images):
        """How unlikely pictures are, a value of a pixel on average.

        Args:
            images: array `(N, H, W, C)`, uint8 or float in [-1, 1]. Their values count as the
                levels they fall into.

        Returns:
            float32 array `(N,)`, in bits: `-log2` of the picture's probability, divided by the
            number of its values.

        Raises:
            ValueError: pictures of another shape, range or kind, or with NaN.
        """
        return in_batches(self._bits_batch, check_images(images, self.image_shape))

    def log_likelihood(self, images):
        """How likely pictures are.

        Args:
            images: as in `bits_per_dimension`.

        Returns:
            float64 array `(N,)`, in nats: the natural logarithm of the picture's probability. The
            probabilities of all pictures of these levels add up to 1.

        Raises:
            ValueError: as `bits_per_dimension`.
        """
        bits = self.bits_per_dimension(images).astype(np.float64)
        return -bits * self.num_values * math.log(2)

    def bits(self, images, network=None):
        """`bits_per_dimension` of a tensor of pictures, as a tensor; by the averaged network."""
        values, scaled = self._quantised(images)
        logits = (self.ema_network if network is None else network)(scaled)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(values, logits)
        return tf.reduce_mean(nats, axis=(1, 2, 3)) / math.log(2)

    def _quantised(self, images):
        """Pictures as int32 levels, and as float32 in [-1, 1] that has only these."""
        values = to_levels(images, self.levels)
        return values, from_levels(values, self.levels)

    @tf.function(reduce_retracing=True)
    def _bits_batch(self, images):
        return self.bits(images)

    # === Generation ===

    def generate(self, num_images, seed=None):
        """Draws pictures with the averaged network, pixel after pixel.

        Args:
            num_images: int.
            seed: int or None. The same seed gives the same images, and image `i` doesn't depend
                on `num_images`. Defaults to None: a fresh seed at each call.

        Returns:
            uint8 array `(num_images, H, W, C)`, of `levels` different values at most.

        Raises:
            ValueError: a number of images below 1, or a seed that isn't a whole number.
        """
        return in_batches(self._draw, row_seeds(num_images, seed), size=SAMPLE_BATCH)

    def draw(self, seeds):
        """As `generate`, of a tensor of seeds `(B, 2)`, within a graph."""
        uniforms = draw_uniforms(seeds, self.image_shape)
        return to_uint8(from_levels(sample(self.ema_network, uniforms), self.levels))

    @tf.function(reduce_retracing=True)
    def _draw(self, seeds):
        return self.draw(seeds)

    def preview(self, batch=None):
        images = self.generate(PREVIEW_SIDE**2, seed=self.seed)
        return {"samples": images.reshape(PREVIEW_SIDE, PREVIEW_SIDE, *self.image_shape)}

    def serving_signatures(self):
        return serving.signatures(self, SAMPLE_BATCH)

    # === Config ===

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "levels": self.levels,
            "filters": self.filters,
            "blocks": self.num_blocks,
            "ema_decay": self.ema_decay,
            **super().get_config(),
        }

    def get_compile_config(self):
        if not self.compiled:
            return None
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            **self._compile_kwargs,
        }
