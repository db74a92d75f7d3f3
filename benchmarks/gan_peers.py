"""The GANs that others publish, written here from their published settings, for pictures of 32x32.

`tensorflow`: the TensorFlow tutorial's DCGAN (28x28 there; here the smallest map has 8x8 positions
instead of 7x7). `keras`: the Keras documentation's DCGAN (64x64 there; here 4x4 instead of 8x8).
`pytorch`: the PyTorch examples' DCGAN (64x64 there; here without the innermost stage), if PyTorch
is installed. Where a setting isn't about the size, it is the published one.

Each is an object with `train(minutes)` and `sample(count)`, which returns uint8 pictures.
"""

import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import kerasgen

SIDE = 32


class KerasPeer(keras.Model):
    """What both Keras peers share: two networks, and sampling in batches."""

    batch_size = None
    latent_dim = None
    rate = 1e-4

    def __init__(self, channels, seed):
        super().__init__()
        keras.utils.set_random_seed(seed)
        self.generator = self.make_generator(channels)
        self.discriminator = self.make_discriminator(channels)
        self.built = True
        self.compile(optimizer=None)
        self.optimizers_of = [keras.optimizers.Adam(self.rate) for _ in range(2)]
        for optimizer, network in zip(self.optimizers_of, self.networks, strict=True):
            optimizer.build(network.trainable_variables)
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.steps = 0

    @property
    def networks(self):
        return self.generator, self.discriminator

    def load(self, **where):
        self.dataset = kerasgen.data.load_images(batch_size=self.batch_size, **where)

    def train(self, minutes):
        limit = kerasgen.callbacks.TimeLimit(minutes)
        self.fit(self.dataset, epochs=10**6, callbacks=[limit], verbose=0, shuffle=False)
        self.steps = int(self.optimizers_of[0].iterations)

    def sample(self, count, seed=0):
        latents = np.random.default_rng(seed).normal(size=(count, self.latent_dim))
        pictures = self.generator.predict(latents.astype(np.float32), batch_size=250, verbose=0)
        return np.clip(np.round((self.to_signed(pictures) + 1) * 127.5), 0, 255).astype(np.uint8)

    def to_signed(self, pictures):
        return pictures

    def learn(self, tape, index, loss):
        variables = self.networks[index].trainable_variables
        self.optimizers_of[index].apply(tape.gradient(loss, variables), variables)


class TensorFlowPeer(KerasPeer):
    """One generator pass a step, batch normalisation in the generator, dropout in the other."""

    batch_size, latent_dim = 256, 100

    def make_generator(self, channels):
        def block(filters, stride):
            return [
                layers.Conv2DTranspose(
                    filters, 5, strides=stride, padding="same", use_bias=False
                ),
                layers.BatchNormalization(),
                layers.LeakyReLU(0.3),
            ]  # fmt: skip

        return keras.Sequential(
            [
                keras.Input((self.latent_dim,)),
                layers.Dense(8 * 8 * 256, use_bias=False),
                layers.BatchNormalization(),
                layers.LeakyReLU(0.3),
                layers.Reshape((8, 8, 256)),
                *block(128, 1),
                *block(64, 2),
                layers.Conv2DTranspose(
                    channels, 5, strides=2, padding="same", use_bias=False, activation="tanh"
                ),
            ]
        )

    def make_discriminator(self, channels):
        parts = [keras.Input((SIDE, SIDE, channels))]
        for filters in (64, 128):
            parts += [
                layers.Conv2D(filters, 5, strides=2, padding="same"),
                layers.LeakyReLU(0.3),
                layers.Dropout(0.3),
            ]
        return keras.Sequential([*parts, layers.Flatten(), layers.Dense(1)])

    def train_step(self, real):
        with tf.GradientTape(persistent=True) as tape:
            fakes = self.generator(tf.random.normal((tf.shape(real)[0], 100)), training=True)
            judged = [self.discriminator(x, training=True) for x in (real, fakes)]
            ones, zeros = tf.ones_like(judged[0]), tf.zeros_like(judged[1])
            generator_loss = self.cross_entropy(ones, judged[1])
            loss = self.cross_entropy(ones, judged[0]) + self.cross_entropy(zeros, judged[1])
        self.learn(tape, 0, generator_loss)
        self.learn(tape, 1, loss)
        return {"discriminator_loss": loss}


class KerasDocumentationPeer(KerasPeer):
    """Real and fake pictures in one batch with noisy labels; a second generator pass."""

    batch_size, latent_dim = 32, 128

    def make_generator(self, channels):
        parts = [
            keras.Input((self.latent_dim,)),
            layers.Dense(4 * 4 * 128),
            layers.Reshape((4, 4, 128)),
        ]
        for filters in (128, 256, 512):
            parts += [
                layers.Conv2DTranspose(filters, 4, strides=2, padding="same"),
                layers.LeakyReLU(0.2),
            ]
        head = layers.Conv2D(channels, 5, padding="same", activation="sigmoid")
        return keras.Sequential([*parts, head])

    def make_discriminator(self, channels):
        parts = [keras.Input((SIDE, SIDE, channels))]
        for filters in (64, 128, 128):
            parts += [
                layers.Conv2D(filters, 4, strides=2, padding="same"),
                layers.LeakyReLU(0.2),
            ]
        return keras.Sequential([*parts, layers.Flatten(), layers.Dropout(0.2), layers.Dense(1)])

    def to_signed(self, pictures):
        return 2 * pictures - 1

    def train_step(self, real):
        count = tf.shape(real)[0]
        fakes = self.generator(tf.random.normal((count, self.latent_dim)), training=True)
        pictures = tf.concat([fakes, (real + 1) / 2], axis=0)
        labels = tf.concat([tf.ones((count, 1)), tf.zeros((count, 1))], axis=0)
        labels += 0.05 * tf.random.uniform(tf.shape(labels))
        with tf.GradientTape() as tape:
            loss = self.cross_entropy(labels, self.discriminator(pictures, training=True))
        self.learn(tape, 1, loss)
        with tf.GradientTape() as tape:
            fakes = self.generator(tf.random.normal((count, self.latent_dim)), training=True)
            judged = self.discriminator(fakes, training=True)
            loss = self.cross_entropy(tf.zeros((count, 1)), judged)  # told that they were real
        self.learn(tape, 0, loss)
        return {"generator_loss": loss}


class PyTorchPeer:
    """The discriminator learns from real and from fake pictures, then the generator, in turns."""

    batch_size, latent_dim = 64, 100

    def __init__(self, channels, seed, side=SIDE, generator_filters=64, discriminator_filters=64):
        import torch

        self.torch = torch
        torch.manual_seed(seed)
        nn, inner = torch.nn, range((side // 8).bit_length() - 1)

        def up(inputs, outputs, stride, padding):
            convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)
            return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(True)]

        def down(inputs, outputs, norm=True):
            norms = [nn.BatchNorm2d(outputs)] if norm else []
            convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
            return [convolution, *norms, nn.LeakyReLU(0.2, inplace=True)]

        wide = generator_filters << len(inner)
        self.generator = nn.Sequential(
            *up(self.latent_dim, wide, 1, 0),
            *(part for i in inner for part in up(wide >> i, wide >> i + 1, 2, 1)),
            nn.ConvTranspose2d(generator_filters, channels, 4, 2, 1, bias=False),
            nn.Tanh(),
        )
        narrow = discriminator_filters
        self.discriminator = nn.Sequential(
            *down(channels, narrow, norm=False),
            *(part for i in inner for part in down(narrow << i, narrow << i + 1)),
            nn.Conv2d(narrow << len(inner), 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )
        self.optimizers = []
        for network in (self.generator, self.discriminator):
            network.apply(self._initialise)
            adam = torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            self.optimizers.append(adam)
        self.loss = nn.BCELoss()
        self.random = np.random.default_rng(seed)
        self.steps = 0

    def _initialise(self, module):
        if isinstance(module, (self.torch.nn.Conv2d, self.torch.nn.ConvTranspose2d)):
            module.weight.data.normal_(0.0, 0.02)
        elif isinstance(module, self.torch.nn.BatchNorm2d):
            module.weight.data.normal_(1.0, 0.02)
            module.bias.data.fill_(0)

    def load(self, **where):
        dataset = kerasgen.data.load_images(batch_size=250, drop_remainder=False, **where)
        pictures = np.concatenate([batch.numpy() for batch in dataset])
        self.pictures = self.torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())

    def train(self, minutes):
        end = time.monotonic() + 60 * minutes
        while True:
            order = self.random.permutation(len(self.pictures))
            for start in range(0, len(order) - self.batch_size + 1, self.batch_size):
                self.step(self.pictures[order[start : start + self.batch_size]])
                self.steps += 1
                if time.monotonic() >= end:
                    return

    def step(self, real):
        torch = self.torch
        count = len(real)
        generator_optimizer, discriminator_optimizer = self.optimizers
        ones, zeros = torch.ones(count), torch.zeros(count)
        self.discriminator.zero_grad()
        self.loss(self.discriminator(real).view(-1), ones).backward()
        fakes = self.generator(torch.randn(count, self.latent_dim, 1, 1))
        self.loss(self.discriminator(fakes.detach()).view(-1), zeros).backward()
        discriminator_optimizer.step()
        self.generator.zero_grad()
        self.loss(self.discriminator(fakes).view(-1), ones).backward()
        generator_optimizer.step()

    def sample(self, count, seed=0):
        torch = self.torch
        latents = np.random.default_rng(seed).normal(size=(count, self.latent_dim, 1, 1))
        self.generator.eval()
        with torch.no_grad():
            parts = [
                self.generator(torch.from_numpy(part.astype(np.float32)))
                for part in np.array_split(latents, -(-count // 250))
            ]
        self.generator.train()
        pictures = torch.cat(parts).numpy().transpose(0, 2, 3, 1)
        return np.clip(np.round((pictures + 1) * 127.5), 0, 255).astype(np.uint8)


PEERS = {"tensorflow": TensorFlowPeer, "keras": KerasDocumentationPeer, "pytorch": PyTorchPeer}
