"""Measures one training step of a GAN: kerasgen's DCGAN against the Keras documentation's method.

Both contenders train the same networks (what `build_generator` and `build_discriminator` make, with
the same initial weights, the documented one of Keras' own layers) on the same batches with the same
Adam settings, and both steps run as the train function that Keras compiles for `fit`:

- kerasgen: `DCGAN.train_step`. One generator pass serves both updates, the discriminator sees
  real and generated pictures in two passes. The step also draws instance noise for both, and
  updates the moving average of the generator's weights and four metrics; all stay in the time.
- kerasgen, no noise: the same with `instance_noise=0`, since the documented method has none.
- documented: the method of the Keras documentation's DCGAN example, written anew here. Pictures
  are generated outside the tape and joined with the real ones; the discriminator learns from the
  joint batch by binary cross-entropy, its labels made noisy; then new latents go through a second
  generator pass and a discriminator pass for the generator's update; two metrics. The networks
  here have batch normalisation, so they are called with `training=True`, which the example, whose
  networks have none, needn't say.

- pytorch, if it is installed: the PyTorch examples' method in its eager mode, with networks of the
  same widths. The discriminator's two halves and the generator are updated in turns; the fake
  pictures go through the discriminator a second time, which also takes the gradients of its
  weights again.

With `--precision mixed_bfloat16` one more contender is kerasgen's step under that policy.

The roofline: what a step's convolutions and products need in all, over the time of the step, beside
what products of 2,048 x 2,048 matrices reach in the same rounds.

Steps are timed one by one in blocks; the contenders take turns, another one first each round.
Every weight of every contender must have moved in the end.

With `--memory` nothing is timed: each contender takes its warm-up steps in a process of its own,
whose peak memory is told, and what of it was there once the libraries were imported.
"""

import argparse
import dataclasses
import importlib.util
import math
import multiprocessing
import resource

import keras
import numpy as np
import tensorflow as tf
from gan_peers import PyTorchPeer
from reporting import Stopwatch, print_header, print_table, rotated

import kerasgen
from kerasgen.models.dcgan.networks import build_discriminator, build_generator

LATENT_DIM = 100
GENERATOR_FILTERS = 48
DISCRIMINATOR_FILTERS = 32
LABEL_NOISE = 0.05
MATRIX = 2048


class DocumentedGAN(keras.Model):
    """The Keras documentation's way to train a GAN: joint batch, two generator passes."""

    def __init__(self, generator, discriminator, seed):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.seeds = keras.random.SeedGenerator(seed)
        self.discriminator_mean = keras.metrics.Mean("d_loss")
        self.generator_mean = keras.metrics.Mean("g_loss")
        self.built = True

    def compile(self, generator_optimizer, discriminator_optimizer):
        super().compile(optimizer=None)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    @property
    def metrics(self):
        return [self.discriminator_mean, self.generator_mean]

    def train_step(self, real):
        count = tf.shape(real)[0]
        self.discriminator_mean.update_state(self._train_discriminator(real, count))
        self.generator_mean.update_state(self._train_generator(count))
        return {metric.name: metric.result() for metric in self.metrics}

    def _train_discriminator(self, real, count):
        fakes = self.generator(self._latents(count), training=True)
        pictures = tf.concat([fakes, real], axis=0)
        labels = tf.concat([tf.ones((count, 1)), tf.zeros((count, 1))], axis=0)
        labels += LABEL_NOISE * keras.random.uniform((2 * count, 1), seed=self.seeds)
        with tf.GradientTape() as tape:
            loss = self.cross_entropy(labels, self.discriminator(pictures, training=True))
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _train_generator(self, count):
        latents = self._latents(count)
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(latents, training=True), training=True)
            loss = self.cross_entropy(tf.zeros((count, 1)), logits)
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _latents(self, count):
        return keras.random.normal((count, LATENT_DIM), seed=self.seeds)


@dataclasses.dataclass
class Contender:
    """A model with its own iterator over the same data.

    Attributes:
        weights: function without arguments to copies of everything that a step must move.
        step: callable that takes one training step.
        before: list of arrays, the initial weights.
        gflop: float or None. What a step's convolutions and products need, 10^9 operations.
        wall, cpu: lists of floats. Seconds of each step, and a step's CPU seconds in each block.
    """

    weights: object
    step: object
    before: list
    gflop: float | None = None
    wall: list = dataclasses.field(default_factory=list)
    cpu: list = dataclasses.field(default_factory=list)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", nargs="+", default=["32x32x1", "64x64x3"], help="height x width x channels"
    )
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--block", type=int, default=20, help="steps of a contender in a round")
    parser.add_argument("--warm-up", type=int, default=20, help="steps before the first round")
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def adam():
    return keras.optimizers.Adam(5e-4, beta_1=0.5)


def make_kerasgen(shape, seed, policy="float32", **settings):
    model = kerasgen.DCGAN(
        shape,
        latent_dim=LATENT_DIM,
        generator_filters=GENERATOR_FILTERS,
        discriminator_filters=DISCRIMINATOR_FILTERS,
        num_clusters=1,  # as the others
        upsampling="transposed",
        seed=seed,
        dtype=policy,
        **settings,
    )
    model.compile(adam(), adam())
    return model


def make_documented(shape, seed):
    model = DocumentedGAN(
        of_keras(build_generator(shape, LATENT_DIM, GENERATOR_FILTERS, seed=2 * seed)),
        of_keras(build_discriminator(shape, DISCRIMINATOR_FILTERS, seed=2 * seed + 1)),
        seed,
    )
    model.compile(adam(), adam())
    return model


def of_keras(network):
    """The same network of Keras' own layers, with the same weights."""

    def own(layer):
        return getattr(keras.layers, type(layer).__name__).from_config(layer.get_config())

    twin = keras.models.clone_model(network, clone_function=own)
    twin.set_weights(network.get_weights())
    return twin


def trained_weights(model):
    """Copies of everything that a step must move."""
    networks = (model.generator, model.discriminator)
    return [weight.numpy().copy() for net in networks for weight in net.trainable_variables]


def make_contender(model, shape, arguments):
    dataset = kerasgen.data.load_images(
        "digits",
        image_size=shape[:2],
        channels=shape[2],
        batch_size=arguments.batch_size,
        seed=arguments.seed,
    )
    batches = iter(dataset.repeat())
    train_function = model.make_train_function() or model.train_function

    def step():
        logs = train_function(batches)
        return [float(value) for value in logs.values()]  # waits for the step's end

    gflop = None
    if isinstance(model, kerasgen.DCGAN):
        gflop = arguments.batch_size * step_operations(model) / 1e9
    return Contender(lambda: trained_weights(model), step, trained_weights(model), gflop)


def make_pytorch(shape, arguments):
    peer = PyTorchPeer(shape[2], arguments.seed, shape[0], GENERATOR_FILTERS, DISCRIMINATOR_FILTERS)
    peer.batch_size = arguments.batch_size
    peer.load(source="digits", image_size=shape[:2], channels=shape[2])
    batches = iter(peer.pictures[: len(peer.pictures) // peer.batch_size * peer.batch_size]
                   .split(peer.batch_size) * 10_000)  # fmt: skip

    def weights():
        networks = (peer.generator, peer.discriminator)
        return [p.detach().numpy().copy() for network in networks for p in network.parameters()]

    return Contender(weights, lambda: peer.step(next(batches)), weights())


def step_operations(model):
    """Multiplications and additions of a step of kerasgen's DCGAN, for one picture.

    Each layer needs as many for its outputs, for its inputs' gradients, and for its weights'. The
    generator's first one needs none for its inputs; the discriminator sees real and generated
    pictures, and its first one needs the gradients of the latter only.
    """
    first, *generator = layer_operations(model.generator)
    edge, *discriminator = layer_operations(model.discriminator)
    return 2 * first + 3 * sum(generator) + 5 * edge + 7 * sum(discriminator)


def layer_operations(network):
    found = []
    for layer in network.layers:
        if not hasattr(layer, "kernel"):
            continue
        positions = 1
        if isinstance(layer, keras.layers.Conv2DTranspose):
            positions = math.prod(layer.input.shape[1:3])
        elif isinstance(layer, keras.layers.Conv2D):
            positions = math.prod(layer.output.shape[1:3])
        found.append(2 * positions * math.prod(layer.kernel.shape))
    return found


class Peak:
    """What products of large matrices reach, in 10^9 operations a second."""

    def __init__(self, dtype):
        self.matrix = tf.cast(tf.random.stateless_normal((MATRIX, MATRIX), (0, 1)), dtype)
        self.rates = []
        self.product = tf.function(lambda a: tf.reduce_sum(a @ a))
        self.product(self.matrix)

    def measure(self):
        watch = Stopwatch()
        for _ in range(3):
            self.product(self.matrix).numpy()
        self.rates.append(3 * 2 * MATRIX**3 / watch.read()[0] / 1e9)


def makers(shape, arguments):
    """Dict of a contender's name to the function that makes its model."""
    seed, found = arguments.seed, {}
    found["kerasgen"] = lambda: make_kerasgen(shape, seed)
    found["kerasgen, no noise"] = lambda: make_kerasgen(shape, seed, instance_noise=0.0)
    found["documented"] = lambda: make_documented(shape, seed)
    if arguments.precision != "float32":
        name = f"kerasgen {arguments.precision}"
        found[name] = lambda: make_kerasgen(shape, seed, arguments.precision)
    return found


def pytorch_takes_part(shape):
    square = shape[0] == shape[1] and shape[0] & (shape[0] - 1) == 0
    return square and importlib.util.find_spec("torch") is not None


def make_contenders(shape, arguments):
    models = {name: make() for name, make in makers(shape, arguments).items()}
    check_equal_start(models)
    contenders = {name: make_contender(model, shape, arguments) for name, model in models.items()}
    if pytorch_takes_part(shape):
        contenders["pytorch"] = make_pytorch(shape, arguments)
    return contenders


def report_memory(size, arguments):
    shape = tuple(map(int, size.split("x")))
    names = [*makers(shape, arguments), *(["pytorch"] if pytorch_takes_part(shape) else [])]
    rows = []
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            before, peak = pool.apply(measure_memory, (name, shape, arguments))
        rows.append([f"{size} {name}", f"{peak:.0f}", f"{before:.0f}", f"{peak - before:.0f}"])
    print_table(["memory, MiB", "peak", "after the imports", "more"], rows)


def measure_memory(name, shape, arguments):
    """Peak memory of this process before and after the warm-up steps of a contender, MiB."""
    if name == "pytorch":
        importlib.import_module("torch")
    before = peak_memory()
    if name == "pytorch":
        contender = make_pytorch(shape, arguments)
    else:
        contender = make_contender(makers(shape, arguments)[name](), shape, arguments)
    for _ in range(arguments.warm_up):
        contender.step()
    check_moved(name, contender)
    return before, peak_memory()


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def check_equal_start(models):
    ours, *others = [trained_weights(model) for model in models.values()]
    for weights in others:
        if not all(np.array_equal(a, b) for a, b in zip(ours, weights, strict=True)):
            raise RuntimeError("The contenders don't start from the same weights.")


def check_moved(name, contender):
    for before, after in zip(contender.before, contender.weights(), strict=True):
        if not np.isfinite(after).all() or np.array_equal(before, after):
            raise RuntimeError(f"{name} left a weight of shape {before.shape} unmoved or broken.")


def run_block(contender, steps):
    block = Stopwatch()
    for _ in range(steps):
        watch = Stopwatch()
        contender.step()
        contender.wall.append(watch.read()[0])
    contender.cpu.append(block.read()[1] / steps)


def measure(contenders, peaks, arguments):
    for contender in contenders.values():
        for _ in range(arguments.warm_up):
            contender.step()
    for turn in range(arguments.rounds):
        for name in rotated(list(contenders), turn):
            run_block(contenders[name], arguments.block)
        for peak in peaks.values():
            peak.measure()
    for name, contender in contenders.items():
        check_moved(name, contender)


def report(size, contenders, block):
    documented = contenders["documented"]
    rows = []
    for name, contender in contenders.items():
        rounds = np.reshape(contender.wall, (-1, block))
        ratios = np.median(rounds, axis=1) / np.median(np.reshape(documented.wall, (-1, block)), 1)
        low, median, high = np.quantile(contender.wall, (0.1, 0.5, 0.9))
        rows.append(
            [
                f"{size} {name}",
                f"{1000 * median:.1f}",
                f"{1000 * low:.1f} to {1000 * high:.1f}",
                f"{1000 * np.median(contender.cpu):.1f}",
                f"{median / np.median(documented.wall):.3f}",
                f"{ratios.min():.3f} to {ratios.max():.3f}",
                f"{np.median(contender.cpu) / np.median(documented.cpu):.3f}",
            ]
        )
    columns = ["step", "median ms", "10 % to 90 %", "CPU ms", "ratio", "of the rounds"]
    print_table([*columns, "CPU ratio"], rows)


def report_roofline(size, contenders, peaks):
    limits = {name: np.median(peak.rates) for name, peak in peaks.items()}
    rows = [[f"matrix product {name}", "", f"{limit:.0f}", ""] for name, limit in limits.items()]
    for name, contender in contenders.items():
        if contender.gflop:
            rate = contender.gflop / np.median(contender.wall)
            limit = limits["bfloat16" if name.endswith("bfloat16") else "float32"]
            gflop = f"{contender.gflop:.2f}"
            rows.append([f"{size} {name}", gflop, f"{rate:.0f}", f"{rate / limit:.2f}"])
    print_table(["roofline", "GFLOP a step", "GFLOP/s", "of the products"], rows)


def main():
    arguments = parse_arguments()
    print_header("Training step", **vars(arguments))
    for size in arguments.sizes:
        if arguments.memory:
            report_memory(size, arguments)
            continue
        keras.utils.set_random_seed(arguments.seed)
        contenders = make_contenders(tuple(map(int, size.split("x"))), arguments)
        dtypes = ["float32"] + ["bfloat16"] * (arguments.precision == "mixed_bfloat16")
        peaks = {dtype: Peak(dtype) for dtype in dtypes}
        measure(contenders, peaks, arguments)
        report(size, contenders, arguments.block)
        report_roofline(size, contenders, peaks)


if __name__ == "__main__":
    main()
