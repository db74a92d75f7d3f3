"""Counts the modes that a GAN draws of three handwritten digits, stacked as a picture's channels.

Every picture stacks three of the embedded digits at 32x32, chosen at random, so that the data has
1,000 modes, one for each triple of classes, all as likely. A classifier of single digits tells
which of them a sample shows. Contenders take turns as in `gan_quality.py`:

- kerasgen: the DCGAN as it is by default;
- plain: kerasgen's networks by the settings of the DCGAN's paper (64 filters, transposed
  convolutions, rate 2e-4, batches of 128), without noise, augmentation and moving average;
- pytorch, if it is installed: the PyTorch examples' DCGAN.

The measures are those of Srivastava, Valkov, Russell, Gutmann, Sutton: VEEGAN, 2017: modes among
25,600 samples, and the divergence of their shares from equal ones, in nats; as many stacks of real
digits get the numbers in the last row.
"""

import argparse
import importlib.util

import numpy as np
from gan_peers import SIDE, PyTorchPeer
from gan_quality import Ours, add_settings, print_medians, take_turns
from reporting import print_header
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

import kerasgen

PICTURES = 20_000
SAMPLES = 25_600
BLOCK = 4  # pixels of the square whose mean the classifier sees: the digits have 8x8 pixels
PLAIN = {
    "generator_filters": 64,
    "discriminator_filters": 64,
    "num_clusters": 1,
    "upsampling": "transposed",
    "augment": None,
    "instance_noise": 0.0,
    "ema_decay": 0.0,
    "compile": {"learning_rate": 2e-4},
}


class Digits:
    """The embedded digits, stacks of them, and what tells their classes.

    Attributes:
        pictures: uint8 array `(N, 32, 32, 1)`.
        accuracy: float. Of the classifier, on digits that it wasn't fitted to.
    """

    def __init__(self):
        data = kerasgen.data.load_images(
            "digits", image_size=SIDE, labels=True, shuffle=False, drop_remainder=False
        )
        self.pictures, labels = kerasgen.data.collect_images(data)
        self.classifier = SVC(C=10)
        features = self.features(self.pictures)
        self.accuracy = cross_val_score(self.classifier, features, labels, cv=5).mean()
        self.classifier.fit(features, labels)

    def features(self, pictures):
        """Means of blocks: from uint8 `(N, 32, 32, 1)` to float `(N, 64)`."""
        places = SIDE // BLOCK
        blocks = pictures.reshape(len(pictures), places, BLOCK, places, BLOCK)
        return blocks.mean((2, 4)).reshape(len(pictures), -1) / 255

    def stack(self, count, seed):
        """uint8 array `(count, 32, 32, 3)`."""
        chosen = np.random.default_rng(seed).integers(0, len(self.pictures), (count, 3))
        return np.moveaxis(self.pictures[chosen, ..., 0], 1, -1)

    def count_modes(self, stacks):
        """Tuple: modes drawn, and the divergence of their shares from equal ones, in nats."""
        digits = np.moveaxis(stacks, -1, 1).reshape(-1, SIDE, SIDE, 1)
        triples = self.classifier.predict(self.features(digits)).reshape(-1, 3)
        counts = np.bincount(triples @ [100, 10, 1], minlength=1000)
        shares = counts[counts > 0] / counts.sum()
        return len(shares), np.sum(shares * np.log(1000 * shares))


def make_contenders(arguments, seed):
    plain = argparse.Namespace(**{**vars(arguments), "batch_size": 128, "double_at": []})
    contenders = {"kerasgen": Ours(arguments, 3, seed), "plain": Ours(plain, 3, seed, **PLAIN)}
    if importlib.util.find_spec("torch") is not None:
        contenders["pytorch"] = PyTorchPeer(3, seed)
    return contenders


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", help="picture: 8 samples of each contender, a row each")
    add_settings(parser)
    arguments = parser.parse_args()
    print_header("Stacked digits", **vars(arguments))
    digits = Digits()
    print(f"Accuracy of the classifier on single digits: {digits.accuracy:.3f}")

    def measure(contender):
        samples = contender.sample(SAMPLES)
        return *digits.count_modes(samples), samples

    found = take_turns(
        arguments,
        lambda seed: make_contenders(arguments, seed),
        {"source": digits.stack(PICTURES, seed=0)},
        measure,
        "{} modes, divergence {:.3f}",
    )
    real = digits.count_modes(digits.stack(SAMPLES, seed=1))
    found["real stacks"] = {minutes: [real] for minutes in arguments.minutes}
    print_medians("modes of 1,000 (divergence)", found, arguments, "{:.0f} ({:.3f})")


if __name__ == "__main__":
    main()
