"""Trains small models, named in the arguments, and writes what became of them.

    trainings.py OUT one|two|workers NAME ... [--watch DIRECTORY [--kill-at STEP]] [--facts]

"one" trains on one device, "two" on two logical CPUs, "workers" as `TF_CONFIG` says. OUT is a
directory; each training leaves `<name>.npz` there, all variables and optimizers, and
`<name>.json`. With --watch all callbacks are there, and write to the directory; with --kill-at
the process kills itself after that step; with --facts `facts.json` tells what replicas draw, what
is refused, and what Keras' own models fail at. Random draws of trainings are replaced by rows of a
table, those of a replica's place in the global batch, so that all can be compared.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal

import keras
import numpy as np
import tensorflow as tf

import kerasgen
from kerasgen.models.dcgan import clusters

clusters.PICTURES_EACH = 8  # four clusters of these few
PICTURES = np.random.default_rng(0).integers(0, 256, (32, 16, 16, 1)).astype(np.uint8)
CLIPS = np.random.default_rng(1).integers(0, 256, (8, 3, 16, 16, 1)).astype(np.uint8)
TABLE = np.random.default_rng(2).standard_normal((8, 16 * 16)).astype(np.float32)


def autoencoder(optimizer, count=32, **kwargs):
    model = kerasgen.ConvAutoencoder((16, 16, 1), latent_dim=4, filters=4, **kwargs)
    model.compile(optimizer)
    return model, kerasgen.data.load_images(PICTURES[:count], image_size=16, batch_size=8)


def convlstm(optimizer=None, **kwargs):
    model = kerasgen.ConvLSTMGenerator(
        (16, 16, 1), filters=(4,), scheduled_sampling=((0, 0.0), (10**6, 0.0)), **kwargs
    )
    model.compile(optimizer)
    return model, kerasgen.data.load_frames(CLIPS, num_frames=3, batch_size=4)


def dcgan(optimizer, labels=False, loss="non_saturating", penalty=None, **kwargs):
    model = kerasgen.DCGAN(
        (16, 16, 1),
        latent_dim=4,
        generator_filters=4,
        discriminator_filters=4,
        num_classes=2 if labels else None,
        synchronized_batch_norm=True,
        instance_noise=0.1,
        **kwargs,
    )
    model.compile(optimizer(), optimizer(), loss=loss, penalty=penalty)
    classes = np.arange(32, dtype=np.int64) % 2
    source = (PICTURES, classes) if labels else PICTURES
    return model, kerasgen.data.load_images(source, image_size=16, batch_size=8, labels=labels)


def sgd(**kwargs):
    return keras.optimizers.SGD(0.05, **kwargs)


def adam():
    return keras.optimizers.Adam(0.002)


TRAININGS = {
    "autoencoder-adam": lambda: autoencoder(adam()),
    "autoencoder-partial-batch": lambda: autoencoder(sgd(), count=30),
    "autoencoder-variational": lambda: autoencoder(adam(), variational=True),
    "autoencoder-float16": lambda: autoencoder(sgd(), dtype="mixed_float16"),
    "convlstm-muon": convlstm,
    "convlstm-clipped": lambda: convlstm(sgd(global_clipnorm=0.01)),
    "dcgan-adam": lambda: dcgan(adam, penalty="r1_r2", loss="relativistic_paired"),
    "dcgan-labels": lambda: dcgan(
        sgd, labels=True, discriminator_normalization="spectral", loss="hinge"
    ),
    "dcgan-adaptive": lambda: dcgan(sgd, augment="flip", augment_probability="adaptive"),
}


@contextlib.contextmanager
def rows_of_a_table():
    """Replaces normal draws for batches; uniform ones are 0.25 throughout."""
    normal, uniform = tf.random.stateless_normal, tf.random.stateless_uniform

    def table(shape, seed=None, **kwargs):
        shape = tf.stack(shape)
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * shape[0]
        rows = tf.gather(tf.constant(TABLE), (first + tf.range(shape[0])) % len(TABLE))
        return tf.reshape(rows[:, : tf.reduce_prod(shape[1:])], shape)

    def quarters(shape, seed=None, **kwargs):
        return tf.fill(shape, 0.25)

    tf.random.stateless_normal, tf.random.stateless_uniform = table, quarters
    try:
        yield
    finally:
        tf.random.stateless_normal, tf.random.stateless_uniform = normal, uniform


class KillAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.step.numpy()) == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def watchers(directory, kill_at):
    if directory is None:
        return []
    return [
        kerasgen.callbacks.EvaluateSamples(
            PICTURES,
            num_samples=10,
            num_reference=20,
            monitor=None,
            path=directory / "evaluations.jsonl",
        ),
        kerasgen.callbacks.CollapseGuard(
            PICTURES, num_samples=10, path=directory / "verdicts.jsonl"
        ),
        kerasgen.callbacks.SampleImages(directory / "samples"),
        kerasgen.callbacks.TimeLimit(60),
        kerasgen.callbacks.FullStateBackup(directory / "backup", steps=2),
        KillAt(kill_at),
    ]


def train(name, out, strategy, directory, kill_at):
    with strategy.scope():
        model, data = TRAININGS[name]()
    with rows_of_a_table():
        history = model.fit(
            data,
            epochs=2,
            validation_data=None if directory else data,
            callbacks=watchers(directory, kill_at),
            verbose=0,
            shuffle=False,
        )
    variables = [v for part in (model, *model.optimizers) for v in part.variables]
    arrays = {str(number): v.numpy() for number, v in enumerate(variables)}
    np.savez(out / f"{name}.npz", **arrays)
    logs = {key: [float(v) for v in values] for key, values in history.history.items()}
    (out / f"{name}.json").write_text(json.dumps(logs))


def facts(strategy):
    with strategy.scope():
        model, _ = autoencoder("sgd")

        def draw():
            return tf.random.stateless_normal((1, 4096), model.step_seed(0))

        return {
            "draws": strategy.gather(strategy.run(draw), axis=0).numpy().tolist(),
            "refused": {
                "jit_compile": failure(lambda: model.compile(jit_compile=True)),
                "steps_per_execution": failure(lambda: model.compile(steps_per_execution=2)),
                "gradient_accumulation_steps": failure(
                    lambda: model.compile(sgd(gradient_accumulation_steps=2))
                ),
            },
            "keras": {
                "tuples": failure(lambda: stock_model().fit(stock_data(tuples=True), verbose=0)),
                "scalars": failure(lambda: stock_model().fit(stock_data(), verbose=0)),
            },
        }


def failure(function):
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def stock_model():
    class Model(keras.Model):
        def train_step(self, data):
            return {"value": tf.reduce_mean(data[0] if isinstance(data, tuple) else data)}

    model = Model()
    model.built = True
    model.compile("sgd", jit_compile=False)
    return model


def stock_data(tuples=False):
    rows = np.ones((8, 3), np.float32)
    return tf.data.Dataset.from_tensor_slices((rows, rows) if tuples else rows).batch(4)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("how", choices=["one", "two", "workers"])
    parser.add_argument("names", nargs="+", choices=TRAININGS)
    parser.add_argument("--watch", type=pathlib.Path)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--facts", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.how == "workers":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    elif asked.how == "two":
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = tf.distribute.get_strategy()
    for name in asked.names:
        train(name, asked.out, strategy, asked.watch, asked.kill_at)
    if asked.facts:
        (asked.out / "facts.json").write_text(json.dumps(facts(strategy)))


if __name__ == "__main__":
    main()
