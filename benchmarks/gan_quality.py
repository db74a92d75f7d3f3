"""Measures the quality of a GAN's pictures over the time of its training, at 32x32 pixels.

`peers`: kerasgen's DCGAN as it is by default, and what others publish (`gan_peers.py`), for the
same minutes of training, in turns: each trains up to the next time of measurement, then the next
one does. Evaluation is outside the clock. The Fréchet distance and the coverage are of as many
samples as there are test pictures, against these, means over three draws: in the features of
kerasgen's own extractor, and for a second and a third opinion in those of classifiers that are
trained here, of other kinds.

`ablation`: kerasgen's DCGAN with one setting changed, each for the same minutes.

`seeds`: kerasgen's DCGAN as it is by default, once with each seed, with a `CollapseGuard` that only
says what it sees. Its verdicts are counted.
"""

import argparse
import importlib.util
import json
import time

import keras
import numpy as np
from gan_peers import PEERS, SIDE
from matplotlib.figure import Figure
from reporting import print_header, print_table, rotated

import kerasgen
from kerasgen import metrics

DRAWS = 3  # of one generator; their coverage differs by some 0.005
ABLATION = {
    "default": {},
    "no clusters": {"num_clusters": 1},
    "no noise": {"instance_noise": 0.0},
    "no moving average": {"ema_decay": 0.0},
    "spectral norm": {"discriminator_normalization": "spectral"},
    "no normalisation": {"discriminator_normalization": None},
    "resized": {"upsampling": "resize"},
    "residual": {"residual": True},
    "minibatch deviation": {"minibatch_stddev": True},
    "no augmentation": {"augment": None},
    "augmentation at full strength": {"augment_probability": 1.0},
    "48 and 32 filters": {"generator_filters": 48, "discriminator_filters": 32},
    "equal rates": {"compile": {"learning_rate": 1e-3}},
    "half the rates": {"compile": {"learning_rate": [1e-3, 5e-4]}},
    "R1": {"compile": {"penalty": "r1"}},
    "R1, no normalisation": {"discriminator_normalization": None, "compile": {"penalty": "r1"}},
    "least squares": {"compile": {"loss": "least_squares"}},
    "hinge, spectral norm": {
        "discriminator_normalization": "spectral",
        "compile": {"loss": "hinge"},
    },
    "Wasserstein, gradient penalty": {
        "discriminator_normalization": None,
        "compile": {"loss": "wasserstein", "penalty": "wgan_gp"},
    },
    "relativistic, R1 and R2": {
        "discriminator_normalization": None,
        "compile": {"loss": "relativistic_paired", "penalty": "r1_r2"},
    },
    "two discriminator steps": {"compile": {"discriminator_steps": 2}},
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["peers", "ablation", "seeds"])
    parser.add_argument("--data", default="fashion_mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--contenders", nargs="+", default=["kerasgen", *PEERS])
    parser.add_argument("--arms", nargs="+", choices=ABLATION, default=list(ABLATION))
    add_settings(parser)
    parser.add_argument("--out", help="picture: 8 samples of each contender, a row each")
    parser.add_argument("--figure", help="picture: distance over minutes")
    return parser.parse_args()


def add_settings(parser):
    """Adds the options that `Ours` reads."""
    parser.add_argument("--batch-size", type=int, default=32, help="of kerasgen's model")
    parser.add_argument(
        "--double-at", type=int, nargs="+", default=[], help="steps after which its batches double"
    )
    parser.add_argument("--precision", default="float32", help="of kerasgen's model")
    parser.add_argument("--set", type=json.loads, default={}, help="JSON: kerasgen's arguments")
    parser.add_argument("--compile", type=json.loads, default={}, help="the same of its compile")


class Ours:
    """kerasgen's DCGAN behind what the peers have."""

    def __init__(self, arguments, channels, seed, compile=None, **settings):
        settings = {"dtype": arguments.precision, **arguments.set, **settings}
        self.batch_size = arguments.batch_size
        self.double_at = arguments.double_at
        self.seed = seed
        self.model = kerasgen.DCGAN((SIDE, SIDE, channels), seed=seed, **settings)
        self.model.compile(**arguments.compile, **(compile or {}))

    @property
    def steps(self):
        return int(self.model.step)

    def load(self, **where):
        sizes = [self.batch_size << doublings for doublings in range(len(self.double_at) + 1)]
        self.datasets = [
            kerasgen.data.load_images(**where, seed=self.seed, batch_size=size) for size in sizes
        ]

    def train(self, minutes, *callbacks):
        end = time.monotonic() + 60 * minutes
        if self.model.num_clusters > 1 and not self.steps:
            self.model.find_clusters(self.datasets[0])  # by the clock too, as `fit` would do it
        for dataset, until in zip(self.datasets, [*self.double_at, np.inf], strict=True):
            left = (end - time.monotonic()) / 60
            if left > 0 and self.steps < until:
                stops = [kerasgen.callbacks.TimeLimit(left), StopAt(until)]
                self.model.fit(
                    dataset, epochs=10**6, callbacks=[*stops, *callbacks], verbose=0, shuffle=False
                )

    def sample(self, count, seed=0):
        return self.model.generate(count, seed=seed)


class StopAt(keras.callbacks.Callback):
    """Ends `fit` once the model has made so many steps."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step.numpy() >= self.step:
            self.model.stop_training = True


class Judge:
    """Fréchet distance and coverage of samples against the test pictures, by three extractors."""

    told = "FD {:.3f}, coverage {:.3f}; second opinion {:.2f}, {:.3f}; third {:.2f}, {:.3f}"

    def __init__(self, where):
        self.pictures, _ = load_all("test", where)
        self.channels = self.pictures.shape[3]
        pictures, labels = load_all("train", where)
        self.extractors = [
            metrics.get_extractor("fashion-cnn"),
            *(
                metrics.get_extractor(train_classifier(stages, pictures, labels))
                for stages in (plain, strided)
            ),
        ]
        self.features = [extractor(self.pictures) for extractor in self.extractors]
        chosen = np.random.default_rng(0).permutation(len(pictures))[: len(self.pictures)]
        print("As many training pictures:", self.told.format(*self.compare(pictures[chosen])))

    def measure(self, contender):
        """Means over the draws, and the samples of the first."""
        draws = [contender.sample(len(self.pictures), seed) for seed in range(DRAWS)]
        return *np.mean([self.compare(samples) for samples in draws], axis=0), draws[0]

    def compare(self, pictures):
        """Distance and coverage by each extractor in turn."""
        found = []
        for extractor, real in zip(self.extractors, self.features, strict=True):
            features = extractor(pictures)
            found += [
                metrics.frechet_distance(real, features),
                metrics.prdc(real, features).coverage,
            ]
        return found


def load_all(split, where):
    dataset = kerasgen.data.load_images(
        split=split, shuffle=False, drop_remainder=False, batch_size=250, labels=True, **where
    )
    return kerasgen.data.collect_images(dataset)


def plain():
    """Layers up to the features: no mean over places, as kerasgen's own extractor has one."""
    stages = []
    for width in 32, 64:
        stages += [keras.layers.Conv2D(width, 3, activation="relu"), keras.layers.MaxPooling2D()]
    return [*stages, keras.layers.Flatten()]


def strided():
    """The same with strides, batch normalisation and dropout."""
    stages = []
    for width in 32, 64, 128:
        stages += [
            keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ]
    return [*stages, keras.layers.Flatten(), keras.layers.Dropout(0.3)]


def train_classifier(stages, pictures, labels):
    """A classifier up to its 128 features, without the smoothed labels and the augmentation that
    kerasgen's own extractor was trained with."""
    keras.utils.set_random_seed(0)
    features = keras.Sequential(
        [keras.Input(pictures.shape[1:]), *stages(), keras.layers.Dense(128, activation="relu")]
    )
    classifier = keras.Sequential([features, keras.layers.Dense(int(labels.max()) + 1)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("adam", loss)
    classifier.fit(pictures / np.float32(127.5) - 1, labels, batch_size=128, epochs=5, verbose=0)
    return features


def main():
    arguments = parse_arguments()
    print_header(f"Quality of a GAN, {arguments.part}", **vars(arguments))
    where = {"source": arguments.data, "image_size": SIDE, "data_dir": arguments.data_dir}
    judge = Judge(where)
    if arguments.part == "seeds":
        return try_seeds(arguments, judge, where)
    makers = make_peers(arguments) if arguments.part == "peers" else make_arms(arguments)

    def make(seed):
        return {name: make(judge.channels, seed) for name, make in makers.items()}

    found = take_turns(arguments, make, where, judge.measure, judge.told)
    print_quality(found, arguments)
    if arguments.figure:
        draw(found).savefig(arguments.figure, dpi=120)


def take_turns(arguments, make, where, measure, told):
    """Trains contenders up to each time of measurement, and measures outside the clock.

    Args:
        arguments: with `seeds`, `minutes`, and `out`, where 8 samples of each go in the end.
        make: function from a seed to a dict of name -> contender.
        where: dict of what `load_images` takes.
        measure: function from a contender to some floats and its samples, uint8.
        told: str, in which the floats are filled in.

    Returns:
        Dict of name -> dict of minutes -> list of the floats, a list of each seed's.
    """
    found, drawn = {}, {}
    for seed in arguments.seeds:
        contenders = make(seed)
        for contender in contenders.values():
            contender.load(**where)
        before = 0.0
        for turn, minutes in enumerate(arguments.minutes):
            for name in rotated(list(contenders), turn):
                contender = contenders[name]
                contender.train(minutes - before)
                *values, samples = measure(contender)
                found.setdefault(name, {}).setdefault(minutes, []).append(values)
                print(
                    f"seed {seed}, {minutes:g} min, {name}: {contender.steps} steps, "
                    f"{told.format(*values)}",
                    flush=True,
                )
                if seed == arguments.seeds[0] and minutes == arguments.minutes[-1]:
                    drawn[name] = samples[:8]
            before = minutes
    if arguments.out:
        kerasgen.plots.write_grid(arguments.out, np.stack([drawn[name] for name in found]))
    return found


def try_seeds(arguments, judge, where):
    rows, drawn = [], []
    for seed in arguments.seeds:
        contender = Ours(arguments, judge.channels, seed)
        contender.load(**where)
        guard = kerasgen.callbacks.CollapseGuard(contender.datasets[0], action="warn")
        contender.train(arguments.minutes[-1], guard)
        *values, samples = judge.measure(contender)
        drawn.append(samples[:8])
        said = ", ".join(f"{v['kind']} ({v['epoch']})" for v in guard.verdicts) or "nothing"
        epochs = len(guard.history)
        rows.append([str(seed), contender.steps, epochs, judge.told.format(*values), said])
        print(f"seed {seed}: {rows[-1][1:]}", flush=True)
    columns = ["seed", "steps", "epochs", "measures", "the guard said (epoch)"]
    print_table(columns, [[str(cell) for cell in row] for row in rows])
    if arguments.out:
        kerasgen.plots.write_grid(arguments.out, np.stack(drawn))


def make_peers(arguments):
    makers = {}
    for name in arguments.contenders:
        if name == "kerasgen":
            makers[name] = lambda channels, seed: Ours(arguments, channels, seed)
        elif name == "pytorch" and importlib.util.find_spec("torch") is None:
            print("PyTorch isn't installed: its example is left out.")
        else:
            makers[name] = PEERS[name]
    return makers


def make_arms(arguments):
    def maker(changes):
        return lambda channels, seed: Ours(arguments, channels, seed, **changes)

    return {name: maker(ABLATION[name]) for name in arguments.arms}


def print_quality(found, arguments):
    told = "{:.3f} ({:.3f}); {:.2f} ({:.3f}); {:.2f} ({:.3f})"
    print_medians("FD (coverage); second; third opinion: medians", found, arguments, told)
    ours = found.get("kerasgen")
    peers = {name: times for name, times in found.items() if name in PEERS}
    if not ours or not peers:
        return
    last = arguments.minutes[-1]
    for place, opinion in (0, "FD"), (2, "FD of the second opinion"), (4, "FD of the third"):
        own, *others = (
            np.median([values[place] for values in times[last]])
            for times in (ours, *peers.values())
        )
        least, best = min(zip(others, peers, strict=True))
        ends = [time_to(ours, seed, place, least) for seed in range(len(arguments.seeds))]
        print(
            f"Best peer after {last:g} minutes: {best}, {opinion} {least:.3f}; kerasgen "
            f"{own:.3f}, {own / least:.3f} of it, and as good as it within "
            f"{np.median(ends):.2f} minutes."
        )


def print_medians(title, found, arguments, told):
    rows = []
    for name, times in found.items():
        medians = [np.median(seeds, axis=0) for seeds in times.values()]
        rows.append([name, *(told.format(*values) for values in medians)])
    print_table([title, *(f"{minutes:g} min" for minutes in arguments.minutes)], rows)


def time_to(times, seed, place, distance):
    """Minutes until a distance is reached, between measurements on a line of its logarithm."""
    minutes = list(times)
    logs = np.log([times[minute][seed][place] for minute in minutes])
    for i, value in enumerate(logs):
        if value <= np.log(distance):
            if i == 0:
                return minutes[0]
            share = (logs[i - 1] - np.log(distance)) / (logs[i - 1] - value)
            return minutes[i - 1] + share * (minutes[i] - minutes[i - 1])
    return np.inf


def draw(found):
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, times in found.items():
        values = np.array([[values[0] for values in seeds] for seeds in times.values()])
        (line,) = axes.plot(list(times), np.median(values, axis=1), marker="o", label=name)
        axes.fill_between(
            list(times), values.min(axis=1), values.max(axis=1), color=line.get_color(), alpha=0.2
        )
    axes.set(xlabel="minutes of training", ylabel="Fréchet distance", xscale="log", yscale="log")
    axes.legend(title="median, and range over the seeds")
    axes.grid(alpha=0.3, which="both")
    return figure


if __name__ == "__main__":
    main()
