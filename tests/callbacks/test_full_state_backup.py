"""Trainings that are killed and resumed end as those that never were, bit for bit."""

import json
import pathlib
import signal
import subprocess
import sys
import types

import keras
import ml_dtypes
import numpy as np
import pytest

import kerasgen
from kerasgen import files
from kerasgen.callbacks import FullStateBackup, backup_file, callback_states

FAMILIES = ("dcgan", "autoencoder", "convlstm")


class Trainer:
    """Runs trainings of `trainer.py`, each in a process of its own."""

    def __init__(self, folder):
        program = pathlib.Path(__file__).with_name("trainer.py")
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.folder = folder

    def train(self, family, name, kill_at=None):
        """What a training ended with; or None, as it had to be killed."""
        result = self.folder / f"{name}.json"
        line = {
            "family": family,
            "directory": str(self.folder / name),
            "kill_at": kill_at,
            "result": str(result),
        }
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        while not answer.strip().lstrip("-").isdigit():  # what the training prints
            assert answer, self.log.read_text()[-3000:]
            answer = self.process.stdout.readline()
        if kill_at is None:
            assert int(answer) == 0, self.log.read_text()[-3000:]
            return json.loads(result.read_text())
        assert int(answer) == -signal.SIGKILL, self.log.read_text()[-3000:]
        return None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    trainer = Trainer(tmp_path_factory.mktemp("trainings"))
    yield trainer
    trainer.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_and_resumed_is_as_never_interrupted(trainer, family):
    whole = trainer.train(family, f"{family}-whole")
    assert len(whole["epochs"]) == 4 and "fd" in whole["history"]
    # Twice on the way; within the first epoch, after a backup; at the very last step.
    scenarios = {"twice": [9, 22], "early": [5], "last": [24]}
    for name, kills in list(scenarios.items())[: 3 if family == "dcgan" else 1]:
        for kill in kills:
            trainer.train(family, f"{family}-{name}", kill)
        resumed = trainer.train(family, f"{family}-{name}")
        for key in whole:
            assert resumed[key] == whole[key], (name, key)


# === In one process: an error ends the first training ===


class Crash(Exception):
    pass


class CrashAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.step.numpy()) == self.step:
            raise Crash


def small(latent_dim=4, **compile_kwargs):
    model = kerasgen.ConvAutoencoder((8, 8, 1), latent_dim=latent_dim, filters=2)
    model.compile(**compile_kwargs)
    return model


def pictures(batch_size=4):
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1)).astype(np.uint8)
    return kerasgen.data.load_images(images, image_size=8, batch_size=batch_size)


def weights_of(model):
    return [variable.numpy() for part in (model, *model.optimizers) for variable in part.variables]


def assert_equal_weights(a, b):
    for ours, theirs in zip(weights_of(a), weights_of(b), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def crashed(directory, step=6, model=None, **kwargs):
    model = small() if model is None else model
    backup = FullStateBackup(directory, **{"steps": 1, **kwargs})
    with pytest.raises(Crash):
        model.fit(pictures(), epochs=3, verbose=0, callbacks=[backup, CrashAt(step)])


def resume(directory, epochs=3, model=None, callbacks=(), **kwargs):
    model = small() if model is None else model
    backup = FullStateBackup(directory, **{"steps": 1, **kwargs})
    return model, model.fit(pictures(), epochs=epochs, verbose=0, callbacks=[*callbacks, backup])


def test_nothing_is_left_of_a_training_that_ended(tmp_path):
    whole = small()
    whole.fit(pictures(), epochs=3, verbose=0)
    crashed(tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == [
        ".lock",
        "state-previous.kgb",
        "state.kgb",
    ]
    model, history = resume(tmp_path / "b")
    assert_equal_weights(model, whole)
    assert history.epoch == [0, 1, 2]
    assert not (tmp_path / "b").exists()
    # A later `fit` begins at its first epoch, as always.
    assert model.fit(pictures(), epochs=2, verbose=0).epoch == [0, 1]


def test_a_finished_training_is_not_trained_on(tmp_path):
    model, history = resume(tmp_path / "b", delete_when_done=False)
    again, later = resume(tmp_path / "b", delete_when_done=False)
    assert_equal_weights(again, model)
    assert later.history == history.history and later.epoch == [0, 1, 2]
    longer, _ = resume(tmp_path / "b", epochs=5, delete_when_done=False)
    whole = small()
    whole.fit(pictures(), epochs=5, verbose=0)
    assert_equal_weights(longer, whole)


def test_a_stopped_training_stays_stopped(tmp_path):
    class StopAt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    model, _ = resume(tmp_path / "b", callbacks=[StopAt()], delete_when_done=False)
    assert int(model.step) == 8
    again, history = resume(tmp_path / "b", delete_when_done=False)
    assert int(again.step) == 8 and history.epoch == [0, 1]


def test_keras_own_callbacks_remember(tmp_path):
    def watchers():
        return [
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1e9, factor=0.5),
            keras.callbacks.EarlyStopping("loss", patience=3, min_delta=1e9),
            keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "loss", save_best_only=True),
        ]

    def rate(model):
        return float(model.optimizers[0].learning_rate)

    def model():
        return small(optimizer=keras.optimizers.Adam(0.01))

    whole = model()
    history = whole.fit(pictures(), epochs=9, verbose=0, callbacks=watchers())
    assert history.epoch == [0, 1, 2, 3] and rate(whole) == pytest.approx(0.01 / 8)
    for step in (3, 9, 14):
        again = model()
        for kills in (True, False):
            again = model()
            callbacks = [*watchers(), FullStateBackup(tmp_path / "b", steps=1)]
            if kills:
                with pytest.raises(Crash):
                    again.fit(
                        pictures(), epochs=9, verbose=0, callbacks=[*callbacks, CrashAt(step)]
                    )
            else:
                resumed = again.fit(pictures(), epochs=9, verbose=0, callbacks=callbacks)
        assert resumed.history == history.history
        assert_equal_weights(again, whole)


def test_steps_that_are_executed_together(tmp_path):
    whole = small(steps_per_execution=2)
    history = whole.fit(pictures(), epochs=3, verbose=0)
    with pytest.raises(Crash):
        small(steps_per_execution=2).fit(
            pictures(),
            epochs=3,
            verbose=0,
            callbacks=[FullStateBackup(tmp_path, steps=3), CrashAt(8)],
        )
    facts, _ = backup_file.read(tmp_path / "state.kgb")
    assert (facts["epoch"], facts["step"]) == (1, 0)
    again = small(steps_per_execution=2)
    backup = FullStateBackup(tmp_path, steps=3)
    with pytest.raises(Crash):
        again.fit(pictures(), epochs=3, verbose=0, callbacks=[backup, CrashAt(10)])
    again = small(steps_per_execution=2)
    resumed = again.fit(pictures(), epochs=3, verbose=0, callbacks=[backup])
    assert resumed.history == history.history
    assert_equal_weights(again, whole)


def test_intervals(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(backup_file, "write", lambda _, facts, arrays: saved.append(facts))
    small().fit(pictures(), epochs=3, verbose=0, callbacks=[FullStateBackup(tmp_path, steps=5)])
    assert [(facts["epoch"], facts["step"]) for facts in saved] == [(0, 0), (1, 1), (2, 2)]
    saved.clear()
    clock = iter(np.arange(0, 1000, 31.0))
    stopped = types.SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("kerasgen.callbacks.full_state_backup.time", stopped)
    small().fit(pictures(), epochs=2, verbose=0, callbacks=[FullStateBackup(tmp_path, minutes=1)])
    assert [(facts["epoch"], facts["step"]) for facts in saved] == [(0, 0), (0, 2), (1, 0), (1, 2)]


# === Bad input ===


def test_torn_and_foreign_files_are_named_and_the_one_before_is_used(tmp_path):
    whole = small()
    whole.fit(pictures(), epochs=3, verbose=0)
    crashed(tmp_path / "b")
    latest = tmp_path / "b" / "state.kgb"
    content = latest.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for wrong, word in (
        (content[: len(content) // 2], "torn"),
        (content[:20], "torn"),
        (bytes(flipped), "torn"),
        (b"", "isn't a backup"),
        (b"a letter to a friend", "isn't a backup"),
    ):
        latest.write_bytes(wrong)
        backup = FullStateBackup(tmp_path / "b", steps=100, delete_when_done=False)
        model = small()
        with pytest.warns(UserWarning, match=f"state.kgb.*{word}.*The backup before it is used"):
            model.fit(pictures(), epochs=3, verbose=0, callbacks=[backup, CrashLater()])
        assert_equal_weights(model, whole)
        (tmp_path / "b" / "state-previous.kgb").write_bytes(content)
    (tmp_path / "b" / "state-previous.kgb").write_bytes(b"nothing")
    latest.write_bytes(b"nothing")
    model = small()
    with pytest.warns(UserWarning, match="isn't a backup"):
        model.fit(pictures(), epochs=3, verbose=0, callbacks=[FullStateBackup(tmp_path / "b")])
    assert_equal_weights(model, whole)


class CrashLater(keras.callbacks.Callback):
    """Stands for nothing: callbacks may differ from the training before."""


def test_a_directory_that_another_training_writes_to_is_refused(tmp_path):
    class Second(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.step.numpy()) == 2:
                with pytest.raises(files.DirectoryInUse, match="Another training"):
                    small().fit(pictures(), verbose=0, callbacks=[FullStateBackup(tmp_path)])
                raise Crash

    for _ in range(2):  # and the lock is gone with its training
        with pytest.raises(Crash):
            small().fit(pictures(), verbose=0, callbacks=[FullStateBackup(tmp_path), Second()])


def test_a_backup_that_can_not_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    crashed(tmp_path / "b", step=3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(backup_file.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            resume(tmp_path / "b")
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == before
    resume(tmp_path / "b")


def test_another_training_s_backup_is_refused(tmp_path):
    crashed(tmp_path / "b")
    before = (tmp_path / "b" / "state.kgb").read_bytes()
    with pytest.raises(ValueError, match="another config.*Received: latent_dim=5, not 4"):
        resume(tmp_path / "b", model=small(latent_dim=5))
    with pytest.raises(ValueError, match="another variables"):
        resume(tmp_path / "b", model=small(optimizer="sgd"))
    assert (tmp_path / "b" / "state.kgb").read_bytes() == before


def test_another_machine_and_other_data_are_warned_of(tmp_path, monkeypatch):
    crashed(tmp_path / "b")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    with pytest.warns(UserWarning, match="TF_ENABLE_ONEDNN_OPTS '1', now '0'"):
        resume(tmp_path / "b")
    crashed(tmp_path / "b")
    zeros = np.zeros((16, 8, 8, 1), np.uint8)
    other = kerasgen.data.load_images(zeros, image_size=8, batch_size=4)
    with pytest.warns(UserWarning, match="other data"):
        small().fit(
            other, epochs=3, verbose=0, callbacks=[FullStateBackup(tmp_path / "b", steps=1)]
        )


def test_bad_arguments():
    for wrong in ({"minutes": 0}, {"minutes": None}, {"steps": 0}, {"steps": 1.5}):
        with pytest.raises(ValueError, match="Received"):
            FullStateBackup("b", **wrong)
    with pytest.raises(ValueError, match="tf.data.Dataset.*ndarray"):
        small().fit(np.zeros((4, 8, 8, 1)), callbacks=[FullStateBackup("b")])
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="GenerativeModel.*Sequential"):
        plain.fit(np.zeros((4, 2)), np.zeros((4, 1)), callbacks=[FullStateBackup("b")], verbose=0)


def test_states_are_packed_without_loss():
    arrays = {}
    state = {
        "numbers": [1, 2.5, float("inf"), True, None, "word"],
        "nested": {3: [np.arange(3), {"deep": np.float32(0.1)}]},
        "halves": np.array([0.5], ml_dtypes.bfloat16),
    }
    packed = json.loads(json.dumps(callback_states.pack(state, arrays, "x")))
    found = callback_states.unpack(packed, arrays)
    assert found["numbers"] == state["numbers"]
    np.testing.assert_array_equal(found["nested"][3][0], np.arange(3))
    assert found["nested"][3][1]["deep"] == np.float32(0.1)
    assert found["halves"].dtype == ml_dtypes.bfloat16
