"""Trains the feature extractor that ships with the package, and writes its recipe card.

A small classifier of Fashion-MNIST's ten kinds of garments learns from the 60,000 training
pictures at 32x32, each moved by up to two pixels and mirrored at random; the 10,000 test pictures
say how good it is. What the package uses are its 128 features before the last layer.

The data set has to be prepared for TFDS (`--data-dir`).
"""

import argparse
import json
import pathlib
import time

import keras
import tensorflow as tf
from reporting import print_header

import kerasgen
from kerasgen.metrics.extractors.fashion_cnn import CLASSES, SIDE, WEIGHTS, build_fashion_cnn

BATCH = 128
RATE = 2e-3
SHIFT = 2


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="where TFDS finds fashion_mnist")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=WEIGHTS)
    return parser.parse_args()


def prepared(dataset, seed=None):
    """Labels as targets; with a seed every batch is moved by a random number of pixels."""

    def prepare(number, batch):
        images, labels = batch
        if seed is not None:
            edges = [[0, 0], [SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]]
            padded = tf.pad(images, edges, constant_values=-1)
            images = tf.image.stateless_random_crop(padded, tf.shape(images), (seed, number))
        return images, tf.one_hot(labels, len(CLASSES))

    return dataset.enumerate().map(prepare)


def load(split, arguments, **options):
    return kerasgen.data.load_images(
        "fashion_mnist",
        split=split,
        image_size=SIDE,
        batch_size=BATCH,
        labels=True,
        data_dir=arguments.data_dir,
        drop_remainder=False,
        **options,
    )


def main():
    arguments = parse_arguments()
    print_header("Feature extractor", **vars(arguments))
    keras.utils.set_random_seed(arguments.seed)
    train = load("train", arguments, seed=arguments.seed, augment="flip")
    test = load("test", arguments, shuffle=False)
    network = build_fashion_cnn()
    classifier = keras.Model(network.input, network.output[1])
    steps = len(train) * arguments.epochs
    classifier.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(RATE, steps), weight_decay=1e-3
        ),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy"],
    )
    start = time.monotonic()
    classifier.fit(prepared(train, arguments.seed), epochs=arguments.epochs, verbose=2)
    minutes = (time.monotonic() - start) / 60
    accuracy = classifier.evaluate(prepared(test), verbose=0, return_dict=True)["accuracy"]
    with kerasgen.files.write_beside(arguments.out) as part:
        network.save_weights(part)
    print(
        json.dumps(
            {
                "accuracy": round(accuracy, 4),
                "minutes": round(minutes, 1),
                "parameters": network.count_params(),
                "bytes": arguments.out.stat().st_size,
            }
        )
    )


if __name__ == "__main__":
    main()
