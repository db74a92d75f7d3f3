"""Measures one training step of a GAN: kerasgen's DCGAN against the Keras documentation's method.

Both contenders train the same networks (kerasgen's own `build_generator` and
`build_discriminator`, same initial weights) on the same batches with the same Adam settings, and
both steps run as the train function that Keras compiles for `fit`:

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

With `--precision mixed_bfloat16` one more contender is kerasgen's step under that policy.

Steps are timed one by one in blocks; the contenders take turns, another one first each round.
Every weight of every contender must have moved in the end.
"""

import argparse
import dataclasses

import keras
import numpy as np
import tensorflow as tf
from reporting import Stopwatch, print_header, print_table, rotated

import kerasgen
from kerasgen.models.dcgan.networks import build_discriminator, build_generator

LATENT_DIM = 100
GENERATOR_FILTERS = 48
DISCRIMINATOR_FILTERS = 32
LABEL_NOISE = 0.05


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
    """A compiled model with its own iterator over the same data.

    Attributes:
        model: `keras.Model` with `generator` and `discriminator`.
        step: callable that takes one training step.
        before: list of arrays, the initial weights.
        wall, cpu: lists of floats. Seconds of each step, and a step's CPU seconds in each block.
    """

    model: keras.Model
    step: object
    before: list
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
        seed=seed,
        dtype=policy,
        **settings,
    )
    model.compile(adam(), adam())
    return model


def make_documented(shape, seed):
    model = DocumentedGAN(
        build_generator(shape, LATENT_DIM, GENERATOR_FILTERS, seed=2 * seed),
        build_discriminator(shape, DISCRIMINATOR_FILTERS, seed=2 * seed + 1),
        seed,
    )
    model.compile(adam(), adam())
    return model


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

    return Contender(model, step, trained_weights(model))


def make_contenders(shape, arguments):
    models = {
        "kerasgen": make_kerasgen(shape, arguments.seed),
        "kerasgen, no noise": make_kerasgen(shape, arguments.seed, instance_noise=0.0),
        "documented": make_documented(shape, arguments.seed),
    }
    if arguments.precision != "float32":
        name = f"kerasgen {arguments.precision}"
        models[name] = make_kerasgen(shape, arguments.seed, arguments.precision)
    check_equal_start(models)
    return {name: make_contender(model, shape, arguments) for name, model in models.items()}


def check_equal_start(models):
    ours, *others = [trained_weights(model) for model in models.values()]
    for weights in others:
        if not all(np.array_equal(a, b) for a, b in zip(ours, weights, strict=True)):
            raise RuntimeError("The contenders don't start from the same weights.")


def check_moved(name, contender):
    for before, after in zip(contender.before, trained_weights(contender.model), strict=True):
        if not np.isfinite(after).all() or np.array_equal(before, after):
            raise RuntimeError(f"{name} left a weight of shape {before.shape} unmoved or broken.")


def run_block(contender, steps):
    block = Stopwatch()
    for _ in range(steps):
        watch = Stopwatch()
        contender.step()
        contender.wall.append(watch.read()[0])
    contender.cpu.append(block.read()[1] / steps)


def measure(contenders, arguments):
    for contender in contenders.values():
        for _ in range(arguments.warm_up):
            contender.step()
    for turn in range(arguments.rounds):
        for name in rotated(list(contenders), turn):
            run_block(contenders[name], arguments.block)
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


def main():
    arguments = parse_arguments()
    print_header("Training step", **vars(arguments))
    for size in arguments.sizes:
        keras.utils.set_random_seed(arguments.seed)
        contenders = make_contenders(tuple(map(int, size.split("x"))), arguments)
        measure(contenders, arguments)
        report(size, contenders, arguments.block)


if __name__ == "__main__":
    main()
