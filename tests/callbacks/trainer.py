"""Trains a small model for each line of standard input, in a process each: a dict as JSON.

"family", "directory", "kill_at" (steps after which the process kills itself, or null) and
"result" (a file for what the training ended with). Each process is a fork of this one, made before
TensorFlow starts, so that only one imports it; the line that answers is its number.
"""

import hashlib
import json
import os
import pathlib
import signal
import sys
import traceback

import keras
import numpy as np

from kerasgen import DCGAN, ConvAutoencoder, ConvLSTMGenerator, callbacks, data

EPOCHS = 4


class KillAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.step.numpy()) == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def prepare(family):
    """Model, pipeline, and real pictures with what a model generates from, for evaluations."""
    rng = np.random.default_rng(0)
    if family == "convlstm":
        clips = rng.integers(0, 256, (12, 6, 16, 16, 1)).astype(np.uint8)
        model = ConvLSTMGenerator(
            (16, 16, 1), filters=(4,), latent_dim=2, scheduled_sampling=((0, 0.0), (9, 1.0))
        )
        model.compile()
        clips_data = data.load_frames(clips, num_frames=6, batch_size=2)
        return model, clips_data, {"real": clips.reshape(-1, 16, 16, 1), "data": clips}
    pictures = rng.integers(0, 256, (42, 16, 16, 1)).astype(np.uint8)
    pipeline = data.load_images(pictures, image_size=16, batch_size=7, augment="flip")
    if family == "dcgan":
        model = DCGAN(
            (16, 16, 1),
            latent_dim=4,
            generator_filters=4,
            discriminator_filters=4,
            augment=["translation"],
            augment_probability="adaptive",
            dtype="mixed_bfloat16",
        )
    else:
        model = ConvAutoencoder(
            (16, 16, 1), latent_dim=4, filters=4, variational=True, dtype="mixed_float16"
        )
    model.compile()
    return model, pipeline, {"real": pictures, "data": pictures}


def train(family, directory, kill_at, result):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    model, pipeline, real = prepare(family)
    watchers = [
        callbacks.EvaluateSamples(
            **real, num_samples=30, num_reference=40, path=directory / "evaluations.jsonl"
        ),
        keras.callbacks.EarlyStopping("fd", mode="min", patience=9),
        keras.callbacks.CSVLogger(directory / "history.csv"),
        callbacks.FullStateBackup(directory / "backup", steps=4),
        KillAt(kill_at),
    ]
    if family != "convlstm":
        guard = callbacks.CollapseGuard(
            real["real"], num_samples=20, grace=1, patience=1, drop=0.9, max_retries=20
        )
        watchers.insert(1, guard)
    history = model.fit(pipeline, epochs=EPOCHS, callbacks=watchers, verbose=0, shuffle=False)
    digest = hashlib.sha256()
    for part in (model, *model.optimizers):
        for variable in part.variables:
            digest.update(np.asarray(variable).tobytes())
    lines = (directory / "evaluations.jsonl").read_text().splitlines()
    measured = [json.loads(line) for line in lines]
    for record in measured:
        del record["minutes"], record["evaluation_seconds"]  # the clock's
    found = {
        "hash": digest.hexdigest(),
        "history": {name: [float(v) for v in vs] for name, vs in history.history.items()},
        "epochs": history.epoch,
        "csv": (directory / "history.csv").read_text(),
        "evaluations": measured,
        "order": int(pipeline.epoch.numpy()),
        "verdicts": guard.verdicts if family != "convlstm" else [],
        "left": sorted(path.name for path in directory.iterdir()),
    }
    pathlib.Path(result).write_text(json.dumps(found))


for line in sys.stdin:
    child = os.fork()
    if not child:
        status = 1
        try:
            train(**json.loads(line))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
