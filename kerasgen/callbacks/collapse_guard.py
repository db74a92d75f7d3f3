"""`CollapseGuard`: says in words when a training goes wrong, and goes back to when it was well."""

import json
import math
import pathlib

import keras
import numpy as np
from scipy.spatial.distance import pdist

from kerasgen import distribution
from kerasgen.callbacks.callback_states import cut_file, file_size
from kerasgen.callbacks.snapshot import Snapshot
from kerasgen.data.collect import sample_images
from kerasgen.metrics.extractors import get_extractor

ACTIONS = ("lower", "stop", "warn")
FEWEST = 8
_HEALTHY = 0.9  # of the best diversity so far: a state to go back to
_WON = 0.98  # difference of scores at which the discriminator leaves nothing to learn from
_BY_HEART = 0.25  # difference of scores of training and held-out pictures
_STREAK = 5  # epochs before a sign that isn't fatal is mentioned
_REMEMBERED = (
    "verdicts",
    "history",
    "_retries",
    "_best",
    "_low",
    "_signs",
    "_broken",
    "_means",
    "_lost",
    "_restored",
    "_epoch",
    "_since",
    "_healthy_diversity",
)


class CollapseGuard(keras.callbacks.Callback):
    """Watches a training for collapse and breakdown, and repairs it.

    After each epoch it compares the diversity of a few samples with that of as many real
    pictures: the mean distance between two of them, in features and in pixels, as a share of the
    data's; the smaller share counts. When that falls to half of what it was, or doesn't rise at
    all, it says so and restores the last healthy weights and both optimizers. A loss that isn't
    finite is caught at its step. A discriminator that has won, or that knows its training
    pictures by heart (with `validation_data`), is mentioned. `diversity` goes into the logs.

    Args:
        real: pipeline of `kerasgen.data` or uint8 array: the training data.
        action: str. What follows a collapse or a loss that isn't finite: "lower" restores and
            multiplies the learning rates by `factor`; "stop" restores and ends the training;
            "warn" only says it. Defaults to "lower".
        factor: float in (0, 1). Defaults to 0.3.
        max_retries: int. Restorations after which the training ends. Defaults to 3.
        drop: float in (0, 1). Share of the best diversity so far below which it is a collapse.
            Defaults to 0.5.
        patience: int. Epochs below it before that is said. Defaults to 2.
        grace: int. Steps in which a training may still be without diversity. Defaults to 300.
        num_samples: int. Defaults to 128.
        extractor: what `kerasgen.metrics.get_extractor` takes. Defaults to "fashion-cnn".
        path: str, path or None. A file that gets one JSON object a line for each verdict.
            Defaults to None.
        seed: int. What the samples are generated from. Defaults to 0.

    Attributes:
        verdicts: list of dicts of `step`, `epoch`, `kind` ("collapse", "not finite",
            "discriminator won", "discriminator by heart"), `verdict` (the words) and `action`.
        history: list of the diversity after each epoch.

    Raises:
        ValueError: an argument outside what is described here.

    Example:

    ```python
    guard = kerasgen.callbacks.CollapseGuard(dataset)
    model.fit(dataset, epochs=60, callbacks=[guard])
    print(guard.verdicts)
    ```
    """

    def __init__(
        self,
        real,
        action="lower",
        factor=0.3,
        max_retries=3,
        drop=0.5,
        patience=2,
        grace=300,
        num_samples=128,
        extractor="fashion-cnn",
        path=None,
        seed=0,
    ):
        super().__init__()
        if action not in ACTIONS:
            raise ValueError(f"`action` must be one of {ACTIONS}. Received: action={action!r}")
        for name, value in (("factor", factor), ("drop", drop)):
            if not 0 < value < 1:
                raise ValueError(f"`{name}` must lie between 0 and 1. Received: {name}={value!r}")
        for name, value, least in (
            ("max_retries", max_retries, 0),
            ("patience", patience, 1),
            ("grace", grace, 1),
            ("num_samples", num_samples, FEWEST),
        ):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(
                    f"`{name}` must be a whole number of at least {least}. "
                    f"Received: {name}={value!r}"
                )
        self.data = real
        self.action = action
        self.factor = factor
        self.max_retries = max_retries
        self.drop = drop
        self.patience = patience
        self.grace = grace
        self.extractor = get_extractor(extractor)
        self.path = None if path is None else pathlib.Path(path)
        self.seed = seed
        images = sample_images(real, num_samples, seed)
        if len(images) < FEWEST:
            raise ValueError(
                f"Diversity is measured with at least {FEWEST} pictures. Received: {len(images)}"
            )
        self.num_samples = len(images)
        self._real = self._distances(images)
        if min(self._real) == 0:
            raise ValueError("All real pictures are equal: there is no diversity to compare with.")

    def on_train_begin(self, logs=None):
        self.verdicts, self.history = [], []
        self._retries = 0
        self._best = 0.0
        self._low = []  # epochs, one after another, without enough diversity
        self._signs = {}
        self._broken = []
        self._means, self._lost = {}, {}
        self._restored = False
        self._epoch = 0
        self._since = int(self.model.step.numpy())
        self._start = self._healthy = Snapshot(self.model)
        self._healthy_diversity = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch + 1
        self._means, self._lost = {}, {}

    def on_train_batch_end(self, batch, logs=None):
        logs = {} if logs is None else logs
        bad = sorted(k for k, v in logs.items() if not np.all(np.isfinite(v)))
        self._lost = {}
        if bad and not (self._broken and self.action == "warn"):
            self._repair("not finite", f"{', '.join(bad)} became NaN or infinite at this step")
            self.model.reset_metrics()
            # Should the epoch end here, its means are those before this step, not the reset ones.
            self._lost = {name: self._means.get(name, math.nan) for name in logs}
        self._broken = bad
        if not bad:
            self._means = logs

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        strategy = self.model.distribute_strategy
        (diversity,) = distribution.from_chief(strategy, lambda: [self._diversity()], 1)
        logs.update({name: float(value) for name, value in self._lost.items()})
        logs["diversity"] = diversity
        self.history.append(diversity)
        self._watch_diversity(diversity)
        self._watch_scores(logs)

    def get_state(self):
        snapshots = {"start": self._start.arrays}
        if self._healthy is not self._start:
            snapshots["healthy"] = self._healthy.arrays
        return {
            **{name: getattr(self, name) for name in _REMEMBERED},
            "snapshots": snapshots,
            "file_size": file_size(self.path),
        }

    def set_state(self, state):
        for name in _REMEMBERED:
            setattr(self, name, state[name])
        snapshots = state["snapshots"]
        self._start = self._healthy = Snapshot(self.model, snapshots["start"])
        if "healthy" in snapshots:
            self._healthy = Snapshot(self.model, snapshots["healthy"])
        cut_file(self.path, state["file_size"])

    def _diversity(self):
        images = self.model.diversity_samples(self.num_samples, seed=self.seed, data=self.data)
        found = self._distances(images)
        return float(min(mine / real for mine, real in zip(found, self._real, strict=True)))

    def _distances(self, images):
        """Mean distance of two pictures, in features and in pixels."""
        pixels = images.reshape(len(images), -1).astype(np.float32)
        return pdist(self.extractor(images)).mean(), pdist(pixels).mean()

    def _watch_diversity(self, diversity):
        steps = int(self.model.step.numpy()) - self._since
        early = steps <= self.grace
        self._best = max(self._best, min(diversity, 1.0))
        enough = diversity >= self.drop * max(self._best, 0 if early else self.drop)
        if enough:
            self._low = []
            if diversity >= max(_HEALTHY * self._best, self.drop):
                self._healthy, self._healthy_diversity = Snapshot(self.model), min(diversity, 1.0)
                self._restored = False
            return
        self._low.append(self._epoch)
        if len(self._low) != self.patience:  # said once, where nothing is restored
            return
        if self._best >= self.drop:
            words = (
                f"diversity fell from {self._best:.2f} to {diversity:.2f} of the data's since "
                f"epoch {self._low[0]}: mode collapse"
            )
        else:
            words = (
                f"after {steps} steps the samples have {diversity:.2f} of the data's diversity: "
                "they are almost all alike, mode collapse"
            )
        self._repair("collapse", words)

    def _watch_scores(self, logs):
        real, fake = logs.get("real_score", math.nan), logs.get("fake_score", math.nan)
        self._mention(
            "discriminator won",
            real - fake > _WON,
            f"the discriminator tells samples from pictures almost surely (scores {fake:.2f} and "
            f"{real:.2f}), so the generator has little to learn from: lower the discriminator's "
            "learning rate or raise `instance_noise`",
        )
        held_out = logs.get("val_real_score")
        if held_out is not None:  # an epoch without validation says nothing
            self._mention(
                "discriminator by heart",
                real - held_out > _BY_HEART,
                f"the discriminator scores its training pictures {real:.2f} and held-out ones "
                f"{held_out:.2f}: it knows them by heart; use more pictures or `augment`",
            )

    def _mention(self, kind, seen, words):
        self._signs[kind] = self._signs.get(kind, 0) + 1 if seen else 0
        if self._signs[kind] == _STREAK:
            self._say(kind, words, "warn")

    def _repair(self, kind, words):
        action = self.action
        if action == "lower" and self._retries >= self.max_retries:
            action = "stop"
            words += f"; the {self.max_retries} retries are used up"
        done = ""
        if action != "warn":
            done = " Restored the last healthy weights;"
            rates = [_rate(optimizer) for optimizer in self.model.optimizers]
            if self._restored:  # it went wrong again from there: that was too late already
                self._healthy, self._healthy_diversity = self._start, 0.0
            self._healthy.restore()
            self._best = self._healthy_diversity
            self._low = []
            self._restored = True
            self._retries += 1
            self._since = int(self.model.step.numpy())
            if action == "stop":
                self.model.stop_training = True
                done += " the training ends."
            elif all(rate is None for rate in rates):  # schedules go by their own count of steps
                done += " a schedule sets the learning rates, they stay."
            else:
                done += f" learning rates times {self.factor:g}."
                for optimizer, rate in zip(self.model.optimizers, rates, strict=True):
                    if rate is not None:
                        optimizer.learning_rate = rate * self.factor
        self._say(kind, words, action, done)

    def _say(self, kind, words, action, done=""):
        step = int(self.model.step.numpy())
        verdict = {
            "step": step,
            "epoch": self._epoch,
            "kind": kind,
            "verdict": words,
            "action": action,
        }
        self.verdicts.append(verdict)
        if not distribution.is_chief(self.model.distribute_strategy):
            return
        print(f"\nStep {step}, epoch {self._epoch}: {words}.{done}")
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a") as file:
                file.write(json.dumps(verdict) + "\n")


def _rate(optimizer):
    """The optimizer's learning rate, or None where a schedule or a function sets it."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(inner._learning_rate, keras.Variable):
        return None
    return float(inner.learning_rate.numpy())
