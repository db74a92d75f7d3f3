"""The small extractor that ships with the package, trained on Fashion-MNIST."""

import pathlib

import keras
from keras import layers

SIDE = 32
WEIGHTS = pathlib.Path(__file__).with_name("fashion_cnn.weights.h5")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def build_fashion_cnn():
    """Builds the classifier, with new weights.

    Returns:
        `keras.Model` from float pictures `(B, 32, 32, 1)` in [-1, 1] to features `(B, 128)`,
        which are means over the picture of non-negative activations, and logits `(B, 10)`.
    """
    image = keras.Input((SIDE, SIDE, 1))
    x = image
    for filters, strides in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        x = layers.Conv2D(
            filters, 3, strides=strides, padding="same", use_bias=False, dtype="float32"
        )(x)
        x = layers.BatchNormalization(dtype="float32")(x)
        x = layers.ReLU(dtype="float32")(x)
    features = layers.GlobalAveragePooling2D(dtype="float32")(x)
    logits = layers.Dense(len(CLASSES), dtype="float32")(features)
    return keras.Model(image, [features, logits], name="fashion_cnn")
