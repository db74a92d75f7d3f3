"""Measures what `fit` wastes between epochs, with kerasgen's pipeline and with other ones.

A DCGAN trains on the embedded digits, repeated to fill epochs of a chosen length, through plain
`model.fit`. The pipelines take turns in blocks of epochs, each block one call of `fit`; one model
and one compiled train function serve all of them:

- kerasgen: what `load_images` returns;
- kerasgen+autotune: the same dataset with tf.data's autotune switched on again;
- usual: shuffle, batch, map and prefetch over the same decoded pictures, written as the manuals
  do, with `AUTOTUNE` for both counts;
- usual, counts: the same with fixed counts, autotune still on as it is by default.

A callback notes when each train batch begins and ends. The first epoch of a block is left out: it
traces, or starts from nothing. The others are measured from the end of the step before them to
the end of their own last step, so that whatever happens at the end of one epoch or at the start of
the next (ending an iterator, making new ones, waiting for the first batch) lies inside.

Waiting can hide in the steps, above all in the first of an epoch, which waits for the first batch.
Therefore the wall time is compared with two sums: that of all steps as they were, and the ideal,
which is the number of steps times the median step. Only the latter shows waiting inside steps;
it also shows any unevenness of the machine, which hits all pipelines alike.
"""

import argparse
import dataclasses
import os
import time

import keras
import numpy as np
import tensorflow as tf
from reporting import Stopwatch, cpu_seconds, print_header, print_table, rotated
from sklearn.datasets import load_digits

import kerasgen
from kerasgen.pixels import to_uint8


@dataclasses.dataclass
class Epoch:
    """One epoch, from the end of the step before it to the end of its last step, in seconds.

    Attributes:
        wall, cpu: float.
        gap: float. From the end of the step before it to the beginning of its first step.
        steps: float array, its train batches from begin to end.
    """

    wall: float
    cpu: float
    gap: float
    steps: np.ndarray


class Clock(keras.callbacks.Callback):
    """Notes begin and end of every train batch, and the CPU seconds at an epoch's last end."""

    def on_train_begin(self, logs=None):
        self.begins, self.ends, self.cpu = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append([])
        self.ends.append([])
        self.cpu.append(0.0)

    def on_train_batch_begin(self, batch, logs=None):
        self.begins[-1].append(time.perf_counter())

    def on_train_batch_end(self, batch, logs=None):
        self.ends[-1].append(time.perf_counter())
        self.cpu[-1] = cpu_seconds()

    def epochs(self):
        """All epochs but the first, as a list of `Epoch`."""
        found = []
        for i in range(1, len(self.cpu)):
            before, begins, ends = self.ends[i - 1][-1], self.begins[i], self.ends[i]
            steps = np.subtract(ends, begins)
            cpu = self.cpu[i] - self.cpu[i - 1]
            found.append(Epoch(ends[-1] - before, cpu, begins[0] - before, steps))
        return found


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="measured epochs of each pipeline")
    parser.add_argument("--block", type=int, default=5, help="measured epochs in one call of fit")
    parser.add_argument("--epoch-seconds", type=float, default=1.5, help="length of an epoch")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.epochs % arguments.block:
        parser.error(f"--epochs {arguments.epochs} is no multiple of --block {arguments.block}")
    return arguments


def digits(count):
    """The embedded digits as uint8 `(count, 8, 8)`, repeated as often as needed."""
    pictures = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    return pictures[np.arange(count) % len(pictures)]


def kerasgen_pipeline(arguments, steps):
    return kerasgen.data.load_images(
        digits(steps * arguments.batch_size),
        image_size=arguments.image_size,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
    )


def with_autotune(dataset):
    """The same dataset with autotune on, and the check that it is."""
    options = tf.data.Options()
    options.autotune.enabled = True
    tuned = dataset.with_options(options)
    if dataset.options().autotune.enabled is not False or not tuned.options().autotune.enabled:
        raise RuntimeError("Expected autotune off in kerasgen's pipeline and on in its variant.")
    return tuned


def usual_pipeline(pictures, arguments, map_calls, prefetched):
    """The pipeline that people write, over pictures that are decoded and resized already."""
    dataset = tf.data.Dataset.from_tensor_slices(pictures)
    dataset = dataset.shuffle(len(pictures), seed=arguments.seed)
    dataset = dataset.batch(arguments.batch_size, drop_remainder=True)
    dataset = dataset.map(
        lambda batch: tf.cast(batch, tf.float32) / 127.5 - 1, num_parallel_calls=map_calls
    )
    dataset = dataset.prefetch(prefetched)
    if dataset.options().autotune.enabled is False:
        raise RuntimeError("Expected autotune to be on by default.")
    return dataset


def make_pipelines(arguments, steps):
    """The contenders, dict of name -> `tf.data.Dataset`, each of `steps` batches."""
    workers = os.cpu_count()
    ours = kerasgen_pipeline(arguments, steps)
    pictures = np.concatenate([to_uint8(batch) for batch in ours])
    return {
        "kerasgen": ours,
        "kerasgen+autotune": with_autotune(ours),
        "usual": usual_pipeline(pictures, arguments, tf.data.AUTOTUNE, tf.data.AUTOTUNE),
        "usual, counts": usual_pipeline(pictures, arguments, workers, 2 * workers),
    }


def train(model, dataset, epochs):
    """Fits the model and returns the `Epoch`s after the first."""
    clock = Clock()
    model.fit(dataset, epochs=1 + epochs, callbacks=[clock], shuffle=False, verbose=0)
    return clock.epochs()


def choose_steps(model, arguments):
    """Steps that fill the asked epoch, from the median step of a short training."""
    epochs = train(model, kerasgen_pipeline(arguments, steps=20), epochs=1)
    return max(2, round(arguments.epoch_seconds / float(np.median(epochs[0].steps))))


def measure(model, pipelines, arguments):
    """Lets the pipelines take turns; returns a dict of name -> list of `Epoch`s."""
    for dataset in pipelines.values():
        train(model, dataset, epochs=0)
    found = {name: [] for name in pipelines}
    for turn in range(arguments.epochs // arguments.block):
        for name in rotated(list(pipelines), turn):
            found[name] += train(model, pipelines[name], arguments.block)
    return found


def summarise(epochs):
    """The numbers of one pipeline, a dict of floats; seconds, fractions and counts."""
    steps = np.stack([epoch.steps for epoch in epochs])
    walls = np.array([epoch.wall for epoch in epochs])
    ideal = float(np.median(steps)) * steps.shape[1]
    return {
        "wall": walls.sum(),
        "steps": steps.sum(),
        "ideal": ideal * len(epochs),
        "epoch": np.median(walls),
        "over_steps": walls.sum() / steps.sum() - 1,
        "over_ideal": walls.sum() / (ideal * len(epochs)) - 1,
        "over_ideal_median": np.median(walls / np.median(steps, axis=1)) / steps.shape[1] - 1,
        "step": np.median(steps),
        "gap": np.median([epoch.gap for epoch in epochs]),
        "gaps": sum(epoch.gap for epoch in epochs),
        "first": np.median(steps[:, 0]),
        "last": np.median(steps[:, -1]),
        "cpu": sum(epoch.cpu for epoch in epochs) / steps.size,
    }


def report(found):
    numbers = {name: summarise(epochs) for name, epochs in found.items()}
    ours = numbers["kerasgen"]
    rows = [
        [
            name,
            f"{n['wall']:.2f}",
            f"{n['steps']:.2f}",
            f"{n['ideal']:.2f}",
            f"{n['over_steps']:+.2%}",
            f"{n['over_ideal']:+.2%}",
            f"{n['over_ideal_median']:+.2%}",
            f"{n['epoch'] / ours['epoch']:.3f}",
        ]
        for name, n in numbers.items()
    ]
    columns = ["pipeline", "wall s", "steps s", "ideal s", "over steps", "over ideal"]
    print_table([*columns, "median epoch over ideal", "epoch / kerasgen's"], rows)
    rows = [
        [
            name,
            *(f"{1000 * n[key]:.1f}" for key in ("step", "first", "last", "gap")),
            f"{n['gaps']:.3f}",
            f"{1000 * n['cpu']:.1f}",
        ]
        for name, n in numbers.items()
    ]
    columns = ["pipeline", "step ms", "first step ms", "last step ms", "gap ms", "gaps s"]
    print_table([*columns, "CPU ms a step"], rows)


def main():
    arguments = parse_arguments()
    keras.utils.set_random_seed(arguments.seed)
    print_header("Epoch overhead", **vars(arguments))
    watch = Stopwatch()
    model = kerasgen.DCGAN((arguments.image_size, arguments.image_size, 1), seed=arguments.seed)
    model.compile()
    steps = choose_steps(model, arguments)
    print(f"{steps} steps an epoch, {arguments.epochs} measured epochs of each pipeline")
    report(measure(model, make_pipelines(arguments, steps), arguments))
    wall, cpu = watch.read()
    print(f"The whole run took {wall:.0f} s of wall time and {cpu:.0f} s of CPU time.")


if __name__ == "__main__":
    main()
