"""DCGANs with classes."""

import numpy as np
import tensorflow as tf
from dcgan_parts import SMALL, DCGANChecks, small

import kerasgen
from kerasgen.layers import ConditionalBatchNormalization


class TestConditionalDCGAN(DCGANChecks):
    init_kwargs = {**SMALL, "num_classes": 3}
    shapes = [(12, 20, 3)]

    def data(self, shape=None, **kwargs):
        images = super().data(shape, **kwargs)
        labelled = images.map(lambda batch: (batch, tf.range(tf.shape(batch)[0]) % 3))
        labelled.epoch = images.epoch
        return labelled

    def test_served_pictures_are_generate_s(self, trained_once):
        model = trained_once.model
        seeds, labels = tf.constant([7, 8], tf.int64), tf.constant([2, 1])
        pngs = model.serving_signatures()["generate_png"](seeds, labels)["image_bytes"]
        for seed, label, png in zip((7, 8), (2, 1), pngs.numpy(), strict=True):
            expected = model.generate(labels=[label], seed=seed)[0]
            np.testing.assert_array_equal(tf.io.decode_image(png), expected)


def fitted(images, labels, latent_dim, epochs):
    """A small DCGAN that was trained on pictures `(N, 8, 8, 1)` in [0, 255] with labels."""
    data = kerasgen.data.load_images(
        (images.astype(np.uint8), labels), image_size=8, batch_size=32, labels=True
    )
    model = kerasgen.DCGAN(
        (8, 8, 1),
        latent_dim=latent_dim,
        generator_filters=16,
        discriminator_filters=16,
        num_classes=int(labels.max()) + 1,
    )
    model.compile()
    model.fit(data, epochs=epochs, verbose=0)
    return model


def test_labels_scale_and_shift_the_generator_s_features():
    model = small(num_classes=3)
    norms = [
        layer
        for layer in model.generator.layers
        if isinstance(layer, ConditionalBatchNormalization)
    ]
    assert len(norms) == 2
    latents = np.zeros((2, 8), np.float32)
    labels = np.array([0, 2])
    model.ema_generator.set_weights(model.generator.get_weights())
    before = model.generate(latents=latents, labels=labels)
    for layer in model.ema_generator.layers:
        if isinstance(layer, ConditionalBatchNormalization):
            layer.shift.assign(layer.shift + np.array([[0.0], [0.0], [5.0]]))
    after = model.generate(latents=latents, labels=labels)
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[1] != after[1]).any()


def test_conditional_generator_and_discriminator_follow_the_labels():
    """Class 0 is dark, class 1 is bright; the labels alone decide which is drawn."""
    images = np.concatenate([np.full((64, 8, 8, 1), 40), np.full((64, 8, 8, 1), 210)])
    labels = np.repeat([0, 1], 64)
    model = fitted(images, labels, latent_dim=4, epochs=100)
    dark = model.generate(labels=np.zeros(64, int), seed=0).mean((1, 2, 3))
    bright = model.generate(labels=np.ones(64, int), seed=0).mean((1, 2, 3))
    assert np.mean(dark < bright) > 0.95
    assert dark.mean() < 90 and bright.mean() > 160
    grid = model.preview()["samples"]
    assert grid[:, 0].mean() < grid[:, 1].mean()
    np.testing.assert_array_equal(
        model.generate(3, seed=0), model.generate(labels=[0, 1, 0], seed=0)
    )


def test_pictures_of_a_class_differ():
    """A class is half of two kinds, and both are drawn of it: which of them, the latent decides."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 512)
    images = rng.integers(0, 60, (512, 8, 8, 1))
    for image, label, kind in zip(images, labels, rng.integers(0, 2, 512), strict=True):
        image[2 * label : 2 * label + 2, 4 * kind : 4 * kind + 4] += 190
    model = fitted(images, labels, latent_dim=8, epochs=40)
    for label in range(4):
        drawn = model.generate(labels=np.full(64, label), seed=0)[:, 2 * label : 2 * label + 2]
        right = drawn[:, :, 4:].mean((1, 2, 3)) > drawn[:, :, :4].mean((1, 2, 3))
        assert 0.2 < right.mean() < 0.8
