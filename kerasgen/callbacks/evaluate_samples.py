"""`EvaluateSamples`: how good the pictures are while the model trains, and the best weights."""

import json
import math
import operator
import pathlib
import time

import keras
import numpy as np

from kerasgen import distribution
from kerasgen.callbacks.callback_states import cut_file, file_size
from kerasgen.callbacks.snapshot import Snapshot
from kerasgen.metrics.evaluator import Evaluator

LOWER_IS_BETTER = ("fd", "kd")
HIGHER_IS_BETTER = ("precision", "recall", "density", "coverage")


class EvaluateSamples(keras.callbacks.Callback):
    """Measures the model's samples against real pictures, and keeps the best weights.

    Each evaluation generates the same latents' pictures (of the moving average, where the model
    has one), prints a line, appends it to a file, and puts `fd` (Fréchet distance), `kd`
    (kernel distance), `precision`, `recall`, `density` and `coverage` into the epoch's logs, so
    that any callback after this one can monitor them. Between evaluations the logs repeat the
    last values. Every value stands beside its floor, what real pictures get in its place. Where
    several machines train, the chief measures and writes.

    Args:
        real: real pictures: a pipeline of `kerasgen.data` (held-out pictures where there are
            some), a uint8 array, or a `kerasgen.metrics.Evaluator`.
        every: int. Epochs between evaluations; the first and the last are always evaluated.
            Defaults to 1.
        minutes: float or None. Minutes between evaluations, instead of `every`, wherever in an
            epoch that is; the end of the first and of the last epoch are evaluated too.
            Defaults to None.
        monitor: str or None. The value that says which weights are best: they are restored at
            the end, optimizers included. None keeps the last ones. Defaults to "fd".
        path: str, path or None. A file that gets one JSON object a line for each evaluation.
            Defaults to None.
        extractor, num_samples, num_reference: as in `kerasgen.metrics.Evaluator`.
        seed: int. What the samples are generated from. Defaults to 0.
        data: what a model that generates from data may use: the training's, where `real` is held
            out. Defaults to None: `real`.
        verbose: bool. Whether to print. Defaults to True.

    Attributes:
        evaluations: list of dicts, one for each evaluation of the last `fit`.
        best: the dict of the best one, or None.

    Raises:
        ValueError: intervals that aren't positive, an unknown value to monitor, or too few
            pictures.

    Example:

    ```python
    dataset = kerasgen.data.load_images("digits", image_size=32)
    evaluate = kerasgen.callbacks.EvaluateSamples(dataset, every=5, path="evaluations.jsonl")
    model.fit(dataset, epochs=60, callbacks=[evaluate])
    ```
    """

    def __init__(
        self,
        real,
        every=1,
        minutes=None,
        monitor="fd",
        path=None,
        extractor="fashion-cnn",
        num_samples=2000,
        num_reference=5000,
        seed=0,
        verbose=True,
        data=None,
    ):
        super().__init__()
        if not isinstance(every, (int, np.integer)) or every < 1:
            raise ValueError(f"`every` must be at least 1. Received: every={every!r}")
        if minutes is not None and not 0 < minutes < math.inf:
            raise ValueError(f"`minutes` must be positive. Received: minutes={minutes!r}")
        known = (*LOWER_IS_BETTER, *HIGHER_IS_BETTER)
        if monitor is not None and monitor not in known:
            raise ValueError(
                f"`monitor` must be one of {known} or None. Received: monitor={monitor!r}"
            )
        if isinstance(real, Evaluator):
            self.evaluator = real
        else:
            self.evaluator = Evaluator(real, extractor, num_samples, num_reference)
        self.data = real if data is None and not isinstance(real, Evaluator) else data
        self.every = every
        self.minutes = minutes
        self.monitor = monitor
        self.path = None if path is None else pathlib.Path(path)
        self.seed = seed
        self.verbose = verbose

    def on_train_begin(self, logs=None):
        self.evaluations = []
        self.best = self._best_state = None
        self._start = self._last = time.monotonic()
        self._epoch = 0
        self._stale = True

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        self._stale = True
        if self.minutes is None:
            return
        strategy, minutes = self.model.distribute_strategy, (time.monotonic() - self._last) / 60
        (due,) = distribution.from_chief(strategy, lambda: [minutes >= self.minutes], 1)
        if due:
            self._evaluate()

    def on_epoch_end(self, epoch, logs=None):
        due = self.minutes is None and self._epoch % self.every == 0
        last = self.model.stop_training or self._epoch == self.params.get("epochs")
        if due or not self.evaluations or (last and self._stale):
            self._evaluate()
        if logs is not None:
            logs.update({name: self.evaluations[-1][name] for name in self.evaluator.floor})

    def on_train_end(self, logs=None):
        if self._epoch and self._stale:
            self._evaluate()
        if self._best_state is not None:
            self._best_state.restore()  # another callback may have changed even the last ones
            if self.verbose and self.best is not self.evaluations[-1]:
                print(
                    f"Restored the best weights by {self.monitor}: those of step "
                    f"{self.best['step']}, epoch {self.best['epoch']}."
                )

    def get_state(self):
        best = [place for place, record in enumerate(self.evaluations) if record is self.best]
        now = time.monotonic()
        return {
            "evaluations": self.evaluations,
            "best": best[0] if best else None,
            "best_state": self._best_state and self._best_state.arrays,
            "since_start": now - self._start,
            "since_last": now - self._last,
            "epoch": self._epoch,
            "stale": self._stale,
            "file_size": file_size(self.path),
        }

    def set_state(self, state):
        self.evaluations = state["evaluations"]
        self.best = self._best_state = None
        if state["best"] is not None:
            self.best = self.evaluations[state["best"]]
            self._best_state = Snapshot(self.model, state["best_state"])
        now = time.monotonic()
        self._start, self._last = now - state["since_start"], now - state["since_last"]
        self._epoch, self._stale = state["epoch"], state["stale"]
        cut_file(self.path, state["file_size"])

    def _evaluate(self):
        start, strategy = time.monotonic(), self.model.distribute_strategy
        names = list(self.evaluator.floor)
        measured = distribution.from_chief(strategy, self._measure, len(names))
        values = dict(zip(names, measured, strict=True))
        self._last = time.monotonic()
        self._stale = False
        record = {
            "step": int(self.model.step.numpy()),
            "epoch": self._epoch,
            "minutes": round((start - self._start) / 60, 4),
            **values,
            "floor": self.evaluator.floor,
            "protocol": self.evaluator.protocol,
            "evaluation_seconds": round(self._last - start, 3),
        }
        self.evaluations.append(record)
        chief = distribution.is_chief(strategy)
        if self.path is not None and chief:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a") as file:
                file.write(json.dumps(record) + "\n")
        best = self._is_best(values)
        if best:
            self.best, self._best_state = record, Snapshot(self.model)
        if self.verbose and chief:
            mark = "; the best so far" if best and len(self.evaluations) > 1 else ""
            print(f"\nStep {record['step']}: {self.evaluator.describe(values)}{mark}")

    def _measure(self):
        images = self.model.evaluation_samples(
            self.evaluator.num_samples, seed=self.seed, data=self.data
        )
        return list(self.evaluator.evaluate(images).values())

    def _is_best(self, values):
        if self.monitor is None or not math.isfinite(values[self.monitor]):
            return False
        better = operator.lt if self.monitor in LOWER_IS_BETTER else operator.gt
        return self.best is None or better(values[self.monitor], self.best[self.monitor])
