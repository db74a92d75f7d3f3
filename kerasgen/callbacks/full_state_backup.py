"""`FullStateBackup`: a training that is interrupted goes on as if it had never been."""

import importlib.metadata
import math
import os
import pathlib
import platform
import signal
import threading
import time
import warnings

import keras
import numpy as np
import tensorflow as tf

from kerasgen import distribution
from kerasgen.callbacks import backup_file, callback_states
from kerasgen.files import hold

PACKAGES = ("kerasgen", "keras", "tensorflow", "numpy")


class FullStateBackup(keras.callbacks.Callback):
    """Saves everything that decides what comes next, and resumes from it at the next `fit`.

    That is all variables of the model, its step and its running means; every optimizer; the epoch,
    the step within it and the order of the data; the history; and what the other callbacks
    remember. (Keras' and kerasgen's own are known; another one has `get_state`, which returns a
    dict of plain values and arrays, and `set_state`, which takes it.)

    A training that was killed and is started again by the same program ends with the same weights,
    bit for bit, and the same history as one that never was: on the same machine, with the same
    versions and number of threads, which the backup records and compares.

    SIGTERM, by which machines are taken away, saves after the running step and ends the program
    with code 143.

    Where several machines train, the chief writes, all of them read, and a SIGTERM to one ends
    them all: the directory has to be one that they share.

    It works with `fit` of the models of the zoo. The data has to be a `tf.data` pipeline; exact
    is a pipeline of `kerasgen.data`, whose order is a function of seed and epoch, or one with the
    same order in each epoch.

    Args:
        directory: str or path. Where the backup is kept, for this training alone.
        minutes: float or None. Minutes between backups; the first is made at once. Defaults to 2.
        steps: int or None. Steps between backups, instead of `minutes`. Defaults to None.
        delete_when_done: bool. Whether `fit` removes the backup at its end, as Keras'
            `BackupAndRestore` does. Otherwise the next `fit` finds the training finished.
            Defaults to True.

    Raises:
        ValueError: intervals that aren't positive; at `fit`, a backup of a model with other
            settings or variables, or one that not all machines see.
        kerasgen.files.DirectoryInUse: at `fit`, another training uses the directory.
        OSError: a backup can't be written; the last one stays.

    Example:

    ```python
    backup = kerasgen.callbacks.FullStateBackup("backup")
    model.fit(dataset, epochs=60, callbacks=[backup])  # once more after a crash: it goes on
    ```
    """

    def __init__(self, directory, minutes=2.0, steps=None, delete_when_done=True):
        super().__init__()
        if steps is not None and (not isinstance(steps, (int, np.integer)) or steps < 1):
            raise ValueError(f"`steps` must be at least 1. Received: steps={steps!r}")
        if steps is None and not (minutes is not None and 0 < minutes < math.inf):
            raise ValueError(f"`minutes` must be positive. Received: minutes={minutes!r}")
        self.directory = pathlib.Path(directory)
        self.minutes = minutes
        self.steps = steps
        self.delete_when_done = delete_when_done
        self._list = None

    def callback_list(self, model, data, callbacks, **params):
        """What `fit` of a `GenerativeModel` calls instead of the callbacks themselves.

        Args:
            model: `GenerativeModel`.
            data: what `fit` was given.
            callbacks: list of callbacks, this one among them.
            **params: what `keras.callbacks.CallbackList` takes.

        Returns:
            `keras.callbacks.CallbackList`.
        """
        if not isinstance(data, tf.data.Dataset):
            raise ValueError(
                "FullStateBackup resumes trainings on a `tf.data.Dataset`, such as "
                f"`kerasgen.data.load_images` returns. Received: {type(data).__name__}"
            )
        self._lock = None
        if distribution.is_chief(model.distribute_strategy):
            self._lock = hold(self.directory)
        self._data = data
        self._train_function = None
        self._terminated = False
        self._handler = None
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, self._on_signal)
        self._list = _Callbacks(self, callbacks, model=model, **params)
        return self._list

    def fit_ended(self):
        """What `fit` calls in the end, whatever happened in it."""
        if self._lock is not None:
            self._lock.release()
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
        # Keras would begin later calls of `fit` there too.
        self.model._initial_epoch = None
        if self._train_function is not None:
            self.model.train_function = self._train_function
        self._list = self._state = self._arrays = None

    def _on_signal(self, number, frame):
        self._terminated = True

    def on_train_begin(self, logs=None):
        if self._list is None:
            raise ValueError(
                "FullStateBackup works with `fit` of a `kerasgen.GenerativeModel`. "
                f"Received: {type(self.model).__name__}"
            )

    # === Called by the list, after all callbacks ===

    def begin(self):
        """Looks for a backup and goes back to it."""
        self._epoch, self._last = None, time.monotonic()
        self._first_step, self._saved, self._saved_step = 0, False, 0
        self._state, arrays, problems = backup_file.read_latest(self.directory)
        self._strategy = self.model.distribute_strategy
        self._check_shared()
        for problem in problems:
            older = "" if self._state is None else " The backup before it is used."
            warnings.warn(f"{problem}{older}", stacklevel=2)
        if self._state is None:
            return
        self._arrays, self._saved = arrays, True
        self._check(self._state["about"])
        self._resumed, self._first_step = self._state["epoch"], self._state["step"]
        self._skip(self._first_step)
        self._restore()
        where = f"epoch {self._resumed + 1}, step {self._first_step} of it"
        if self._state["finished"]:
            where = "the end of the training"
            self._epoch = self._resumed
            epochs = self.params["epochs"]
            self._resumed = epochs if self._state["stopped"] else self._resumed + 1
            self._state = self._arrays = None
        self.model._initial_epoch = self._resumed
        print(f"Resuming from {str(self.directory)!r}: {where}.")

    def epoch_begun(self, epoch):
        self._epoch = epoch
        if self._state is not None and epoch == self._resumed:
            self._restore()  # after Keras and other callbacks have begun the epoch anew
        else:
            self._first_step = 0
        self._state = self._arrays = None
        self._data_epoch = self._order()

    def skips(self, step):
        """Whether a step of this epoch was taken before the backup."""
        return step < self._first_step

    def before_step(self, step):
        due, terminated = distribution.sum_of_workers(
            self._strategy, [self._is_due(), float(self._terminated)]
        )
        if terminated:
            self._save(step)
            print(
                f"\nTerminated: everything is saved in {str(self.directory)!r}; the same program "
                "goes on from there.",
                flush=True,
            )
            raise SystemExit(128 + signal.SIGTERM)
        if due:
            self._save(step)

    def _is_due(self):
        """1 where the time for a backup has come, by the chief's clock, else 0."""
        if not distribution.is_chief(self._strategy):
            return 0.0
        if not self._saved:  # at the start, so that there always is one
            return 1.0
        if self.steps is None:
            return float(time.monotonic() - self._last >= 60 * self.minutes)
        # Steps that are executed together may pass over a multiple.
        return float(int(self.model.step.numpy()) - self._saved_step >= self.steps)

    def before_end(self):
        if not self.delete_when_done:
            self._save(0, finished=True)

    def done(self):
        if self.delete_when_done and distribution.is_chief(self._strategy):
            backup_file.remove(self.directory)

    # === State ===

    def _order(self):
        """Which epoch's order the next iteration over the data takes, or None."""
        epoch = getattr(self._data, "epoch", None)
        return None if epoch is None else int(epoch.numpy())

    def _skip(self, steps):
        """Lets the next steps only pass over their batches."""
        model, taken, each = self.model, 0, self.model.steps_per_execution
        self._train_function = compiled = model.train_function

        def train_function(iterator):
            nonlocal taken
            if taken >= steps:
                model.train_function = compiled
                return compiled(iterator)
            for _ in range(each):
                next(iterator)
            taken += each
            return {}

        if steps:
            model.train_function = train_function

    def _save(self, step, finished=False):
        values = distribution.read(self._strategy, self._variables())
        arrays = {f"model/{i}": value for i, value in enumerate(values)}
        states = {
            name: callback_states.pack(callback_states.get_state(callback), arrays, name)
            for name, callback in self._others().items()
        }
        facts = {
            "epoch": self._epoch,
            "step": step,
            "finished": finished,
            "stopped": self.model.stop_training,
            "data_epoch": self._order() if finished else self._data_epoch,
            "callbacks": states,
            "about": self._about(),
        }
        if distribution.is_chief(self._strategy):
            backup_file.write(self.directory, facts, arrays)
        self._last, self._saved = time.monotonic(), True
        self._saved_step = int(self.model.step.numpy())

    def _restore(self):
        variables = self._variables()
        values = [self._arrays[f"model/{i}"] for i in range(len(variables))]
        distribution.write(self._strategy, variables, values)
        self._saved_step = int(self.model.step.numpy())
        if self._state["data_epoch"] is not None and hasattr(self._data, "epoch"):
            self._data.epoch.assign(self._state["data_epoch"])
        for name, callback in self._others().items():
            state = self._state["callbacks"].get(name)
            if state is not None:
                callback_states.set_state(callback, callback_states.unpack(state, self._arrays))

    def _check_shared(self):
        """Refuses a directory that isn't the same one on all machines."""
        mine = [0.0, 0.0, 0.0]
        if self._state is not None:
            mine = [1.0, float(self._state["epoch"]), float(self._state["step"])]
        workers = distribution.num_workers(self._strategy)
        total = distribution.sum_of_workers(self._strategy, mine)
        if total != [workers * value for value in mine]:
            raise ValueError(
                "The machines don't see the same backup: the directory must be one that they "
                f"share. Received: directory={str(self.directory)!r}"
            )

    def _others(self):
        """All other callbacks, by class and number within it."""
        found = {}
        for callback in self._list.callbacks:
            if callback is not self:
                kind = type(callback).__name__
                found[f"{kind}-{sum(name.startswith(f'{kind}-') for name in found)}"] = callback
        return found

    def _variables(self):
        """All variables of the model, its metrics and its optimizers, once each."""
        found = list(self.model.variables)
        for part in (*self.model.metrics, *self.model.optimizers):
            found += part.variables
        return list({id(variable): variable for variable in found}.values())

    def _about(self):
        """What the training is, and what it runs on."""
        return {
            "model": type(self.model).__name__,
            "config": callback_states.pack(self.model.get_config(), {}, ""),
            "variables": [list(v.shape) for v in self._variables()],
            "data": getattr(self._data, "fingerprint", None),
            "machine": {
                **{name: importlib.metadata.version(name) for name in PACKAGES},
                "processor": platform.processor() or platform.machine(),
                "threads": [
                    tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
                    tf.config.threading.get_inter_op_parallelism_threads() or os.cpu_count(),
                ],
                "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
                "devices": [d.device_type for d in tf.config.list_logical_devices()],
                "replicas": self.model.distribute_strategy.num_replicas_in_sync,
            },
        }

    def _check(self, theirs):
        """Refuses the backup of another training, and names what may change the last bits."""
        ours = self._about()
        for what in ("model", "config", "variables"):
            if theirs[what] != ours[what]:
                raise ValueError(
                    f"The backup in {str(self.directory)!r} is of a training with another {what}: "
                    "give this one a directory of its own, or remove the backup. "
                    f"Received: {_difference(theirs[what], ours[what])}"
                )
        if theirs["data"] != ours["data"]:
            warnings.warn(
                "The training that is resumed had other data: it goes on with these.",
                stacklevel=2,
            )
        changed = [
            f"{key} {theirs['machine'].get(key)!r}, now {value!r}"
            for key, value in ours["machine"].items()
            if theirs["machine"].get(key) != value
        ]
        if changed:
            warnings.warn(
                "The training that is resumed ran on another machine or other versions, so that "
                f"the last bits may differ: {'; '.join(changed)}.",
                stacklevel=2,
            )


class _Callbacks(keras.callbacks.CallbackList):
    """All callbacks of a `fit`, and the backup after them; steps taken before aren't theirs."""

    def __init__(self, backup, callbacks, **kwargs):
        self.backup = backup
        super().__init__(callbacks, add_history=True, **kwargs)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.backup.begin()

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.backup.epoch_begun(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        if not self.backup.skips(batch):
            self.backup.before_step(batch)
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if not self.backup.skips(batch):
            super().on_train_batch_end(batch, logs)

    def on_train_end(self, logs=None):
        self.backup.before_end()
        super().on_train_end(logs)
        self.backup.done()


def _difference(theirs, ours):
    """The first places where two packed values differ, for people."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        theirs, ours = dict(theirs["dict"]), dict(ours["dict"])
        names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
        return ", ".join(f"{name}={ours.get(name)!r}, not {theirs.get(name)!r}" for name in names)
    if isinstance(theirs, list):
        return f"{len(ours)} variables, not {len(theirs)}, or of other shapes"
    return f"{ours!r}, not {theirs!r}"
