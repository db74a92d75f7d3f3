"""`EvaluateSamples`: in fits of a tiny DCGAN, and of a model whose best epoch is known."""

import json
import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasgen
from kerasgen.callbacks import EvaluateSamples
from kerasgen.generative_model import GenerativeModel
from kerasgen.metrics import Evaluator

NAMES = ("fd", "kd", "kd_standard_error", "precision", "recall", "density", "coverage")
STEPS = 4  # an epoch

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Scripted(GenerativeModel):
    """Two weights with an optimizer each; in epoch e its pictures are real ones + `shifts[e]`.

    The further the shift from 0, the worse every measure of quality.
    """

    def __init__(self, shifts):
        super().__init__()
        self.shifts = tuple(shifts)
        self.asked_for = []
        self.first = self.add_weight(shape=(3,), initializer="ones", name="first")
        self.second = self.add_weight(shape=(2,), initializer="zeros", name="second")
        self.built = True
        self.compile()

    def compile(self):
        super().compile(optimizer=None)
        self.first_optimizer = keras.optimizers.Adam(0.1)
        self.second_optimizer = keras.optimizers.SGD(0.1, momentum=0.5)
        self.first_optimizer.build([self.first])
        self.second_optimizer.build([self.second])

    def train_step(self, data):
        self.first_optimizer.apply([2.0 * self.first], [self.first])
        self.second_optimizer.apply([tf.ones(2)], [self.second])
        self.step.assign_add(1)
        return self.track(loss=tf.reduce_sum(self.first))

    def generate(self, num_images, seed=None):
        epoch = math.ceil(int(self.step) / STEPS)
        return pictures(num_images, seed=seed + 100, shift=self.shifts[epoch - 1])

    def evaluation_samples(self, num_images, seed=0, data=None):
        self.asked_for.append((num_images, seed, data))
        return super().evaluation_samples(num_images, seed, data)


class Recorder(keras.callbacks.Callback):
    """What a callback finds at the end of each epoch: pictures, logs, and all variables."""

    def __init__(self, count=None, seed=0):
        super().__init__()
        self.count, self.seed = count, seed
        self.images, self.logs, self.states = [], [], []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))
        self.states.append(state(self.model))
        if self.count is not None:
            self.images.append(self.model.generate(self.count, seed=self.seed))


class EveryStep(keras.callbacks.Callback):
    """Something to do before each step."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def on_train_batch_begin(self, batch, logs=None):
        self.function(self.model)


def pictures(count, seed=0, shift=0):
    """Grey pictures of different brightness and slope."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(-1, 1, 8)[:, None, None]
    levels = rng.uniform(90, 150, (count, 1, 1, 1)) + rng.uniform(-30, 30, (count, 1, 1, 1)) * slope
    noise = rng.normal(0, 5, (count, 8, 8, 1))
    return np.clip(levels + noise + shift, 0, 255).astype(np.uint8)


def state(model):
    """Copies of the weights and of both optimizers' variables; not the step."""
    variables = [v for v in model.weights if v is not model.step]
    variables += [v for optimizer in model.optimizers for v in optimizer.variables]
    return [np.array(variable) for variable in variables]


def same_state(one, other):
    assert len(one) >= 9  # two weights, Adam's four variables, SGD's three
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def extractor():
    """Four features, the mean grey of each quarter: few pictures suffice."""
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(inputs))
    return kerasgen.metrics.get_extractor(keras.Model(inputs, outputs, name="quarters"))


@pytest.fixture
def evaluator(extractor):
    return Evaluator(pictures(120), extractor, num_samples=40, num_reference=80)


@pytest.fixture(scope="module")
def data():
    return tf.data.Dataset.from_tensors(tf.zeros((2, 8, 8, 1))).repeat(STEPS)


def dcgan(**kwargs):
    sizes = {"latent_dim": 4, "generator_filters": 4, "discriminator_filters": 4}
    model = kerasgen.DCGAN((8, 8, 1), **sizes, **kwargs)
    model.compile(learning_rate=5e-3)
    return model


def pipeline(count=64, **kwargs):
    return kerasgen.data.load_images(pictures(count, seed=9), image_size=8, batch_size=8, **kwargs)


def nan_equal(values, expected):
    np.testing.assert_array_equal(np.array(values, float), np.array(expected, float))


# === What it measures, and when ===


def test_logs_hold_what_the_evaluator_says_of_each_epochs_pictures():
    real = pictures(270)
    settings = {"num_samples": 130, "num_reference": 140}
    model, recorder = dcgan(), Recorder(count=130, seed=7)
    evaluate = EvaluateSamples(real, seed=7, **settings)
    history = model.fit(pipeline(), epochs=3, verbose=0, callbacks=[evaluate, recorder]).history
    evaluator = Evaluator(real, **settings)
    by_hand = [evaluator.evaluate(images) for images in recorder.images]
    assert set(by_hand[0]) == set(NAMES)
    for name in NAMES:
        nan_equal(history[name], [values[name] for values in by_hand])
    assert len(set(history["fd"])) == 3
    assert [record["step"] for record in evaluate.evaluations] == [8, 16, 24]
    assert evaluate.evaluations[1]["fd"] == by_hand[1]["fd"]


@pytest.mark.parametrize(
    "every, epochs, evaluated",
    [(2, 6, [1, 2, 2, 4, 4, 6]), (3, 7, [1, 1, 3, 3, 3, 6, 7]), (9, 2, [1, 2])],
)
def test_values_between_evaluations(evaluator, data, every, epochs, evaluated):
    """Epochs whose values each epoch's logs hold: the first and the last are evaluated."""
    model, recorder = Scripted([10 * e for e in range(epochs)]), Recorder(count=40)
    evaluate = EvaluateSamples(evaluator, every=every, monitor=None)
    history = model.fit(data, epochs=epochs, verbose=0, callbacks=[evaluate, recorder]).history
    by_hand = [evaluator.evaluate(images) for images in recorder.images]
    for name in NAMES:
        nan_equal(history[name], [by_hand[e - 1][name] for e in evaluated])
    assert [record["epoch"] for record in evaluate.evaluations] == sorted(set(evaluated))


def test_minutes_evaluate_within_an_epoch(evaluator, data, monkeypatch):
    model, recorder = Scripted([0, 20, 40]), Recorder()
    clock = types.SimpleNamespace(monotonic=lambda: 20.0 * int(model.step))
    monkeypatch.setattr("kerasgen.callbacks.evaluate_samples.time", clock)
    evaluate = EvaluateSamples(evaluator, minutes=5 / 3, every=1, monitor=None)  # five steps
    history = model.fit(data, epochs=3, verbose=0, callbacks=[evaluate, recorder]).history
    taken = [(r["step"], r["epoch"], r["minutes"]) for r in evaluate.evaluations]
    assert taken == [(4, 1, 1.3333), (9, 3, 3.0), (12, 3, 4.0)]
    by_hand = [evaluator.evaluate(pictures(40, 100, shift))["fd"] for shift in (0, 40, 40)]
    assert [record["fd"] for record in evaluate.evaluations] == by_hand
    nan_equal(history["fd"], [by_hand[0], by_hand[0], by_hand[2]])


@pytest.mark.parametrize("every", [1, 9])
def test_a_training_that_ends_early_is_evaluated_once_at_its_end(evaluator, data, every):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    model = Scripted(range(0, 90, 10))
    evaluate = EvaluateSamples(evaluator, every=every)
    model.fit(data, epochs=9, verbose=0, callbacks=[evaluate, Stop()])
    assert [r["step"] for r in evaluate.evaluations] == ([4, 8, 12] if every == 1 else [4, 12])
    expected = evaluator.evaluate(pictures(40, 100, 20))
    assert {name: evaluate.evaluations[-1][name] for name in NAMES} == expected


def test_nothing_is_evaluated_where_nothing_is_trained(evaluator, data):
    model = Scripted([0])
    evaluate = EvaluateSamples(evaluator)
    model.fit(data, epochs=2, initial_epoch=2, verbose=0, callbacks=[evaluate])
    assert evaluate.evaluations == [] and evaluate.best is None and model.asked_for == []


def test_each_evaluation_is_a_line_of_json(tmp_path, evaluator, data, capsys):
    path = tmp_path / "new" / "evaluations.jsonl"
    model = Scripted([30, 10, 20])
    evaluate = EvaluateSamples(evaluator, path=str(path), verbose=False)
    model.fit(data, epochs=2, verbose=0, callbacks=[evaluate])
    first = evaluate.evaluations
    model.fit(data, epochs=3, initial_epoch=2, verbose=0, callbacks=[evaluate])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == first + evaluate.evaluations and len(lines) == 3
    assert [(line["step"], line["epoch"]) for line in lines] == [(4, 1), (8, 2), (12, 3)]
    for line, shift in zip(lines, (30, 10, 20), strict=True):
        assert {name: line[name] for name in NAMES} == evaluator.evaluate(pictures(40, 100, shift))
        assert line["floor"] == evaluator.floor
        assert line["protocol"] == evaluator.protocol == f"{evaluator.extractor.id}, 40 vs 80"
        assert 0 <= line["minutes"] < 5 and 0 < line["evaluation_seconds"] < 60
    assert capsys.readouterr().out == ""


def test_what_it_prints(evaluator, data, capsys):
    evaluate = EvaluateSamples(evaluator)
    Scripted([30, 0, 20]).fit(data, epochs=3, verbose=0, callbacks=[evaluate])
    *lines, last = capsys.readouterr().out.strip().split("\n\n")
    last, restored = last.splitlines()
    for line, values in zip((*lines, last), evaluate.evaluations, strict=True):
        marked = "; the best so far" if values["epoch"] == 2 else ""
        assert line == f"Step {values['step']}: {evaluator.describe(values)}{marked}"
        assert f"FD {values['fd']:.4g} (floor {evaluator.floor['fd']:.4g})" in line
    assert restored == "Restored the best weights by fd: those of step 8, epoch 2."


# === The best weights ===


@pytest.mark.parametrize("monitor", ["fd", "kd", "precision", "recall", "density", "coverage"])
def test_the_best_weights_and_both_optimizers_come_back(evaluator, data, monitor):
    model, recorder = Scripted([60, 30, 0, 35, 70]), Recorder()
    evaluate = EvaluateSamples(evaluator, monitor=monitor)
    history = model.fit(data, epochs=5, verbose=0, callbacks=[evaluate, recorder]).history
    values = history[monitor]
    assert values[2] == (min(values) if monitor in ("fd", "kd") else max(values))
    assert sorted(values).count(values[2]) == 1
    assert evaluate.best is evaluate.evaluations[2] and evaluate.best["epoch"] == 3
    assert same_state(state(model), recorder.states[2])
    assert not any(same_state(recorder.states[2], recorder.states[e]) for e in (0, 1, 3, 4))
    assert int(model.step) == 5 * STEPS
    assert int(model.first_optimizer.iterations) == 3 * STEPS


@pytest.mark.parametrize("monitor", ["fd", "coverage"])
def test_of_equal_values_the_first_is_best(evaluator, data, monitor):
    model, recorder = Scripted([90, 90, 90]), Recorder()
    evaluate = EvaluateSamples(evaluator, monitor=monitor)
    model.fit(data, epochs=3, verbose=0, callbacks=[evaluate, recorder])
    assert evaluate.best["epoch"] == 1
    assert same_state(state(model), recorder.states[0])


def test_best_weights_of_a_dcgan(extractor):
    """Real training: the moving average and both Adams are those of the best epoch."""
    model, recorder = dcgan(), Recorder(count=60)
    evaluate = EvaluateSamples(pictures(120), extractor=extractor, num_samples=60)

    def spoil_from_epoch_3_on(model):
        if int(model.step) == 17:
            model.generator_optimizer.learning_rate = 1.0

    callbacks = [EveryStep(spoil_from_epoch_3_on), evaluate, recorder]
    history = model.fit(pipeline(), epochs=6, verbose=0, callbacks=callbacks).history
    best = int(np.argmin(history["fd"]))
    assert best < 5 and evaluate.best["epoch"] == best + 1
    assert same_state(state(model), recorder.states[best])
    assert not same_state(state(model), recorder.states[-1])
    np.testing.assert_array_equal(model.generate(60, seed=0), recorder.images[best])
    assert evaluate.evaluator.evaluate(model.generate(60, seed=0))["fd"] == min(history["fd"])
    assert int(model.step) == 48


def test_without_a_monitor_the_last_weights_stay(evaluator, data):
    model, recorder = Scripted([0, 30, 60]), Recorder()
    evaluate = EvaluateSamples(evaluator, monitor=None)
    history = model.fit(data, epochs=3, verbose=0, callbacks=[evaluate, recorder]).history
    assert history["fd"] == sorted(history["fd"])
    assert same_state(state(model), recorder.states[-1]) and evaluate.best is None


def test_the_best_is_restored_over_what_a_later_callback_did(evaluator, data):
    """A guard that restores at the last epoch's end must not make `best` untrue."""

    class Tamper(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.first.assign([7.0, 7.0, 7.0])

    model, recorder = Scripted([30, 0]), Recorder()
    evaluate = EvaluateSamples(evaluator)
    model.fit(data, epochs=2, verbose=0, callbacks=[evaluate, recorder, Tamper()])
    assert evaluate.best["epoch"] == 2
    assert same_state(state(model), recorder.states[1])


def test_each_fit_looks_for_its_own_best(evaluator, data):
    model, recorder = Scripted([0, 50, 30, 60]), Recorder()
    evaluate = EvaluateSamples(evaluator)
    model.fit(data, epochs=2, verbose=0, callbacks=[evaluate])
    assert evaluate.best["epoch"] == 1
    model.fit(data, epochs=4, initial_epoch=2, verbose=0, callbacks=[evaluate, recorder])
    assert [record["epoch"] for record in evaluate.evaluations] == [3, 4]
    assert evaluate.best["epoch"] == 3
    assert same_state(state(model), recorder.states[0])


# === What it leaves alone ===


@pytest.mark.parametrize("often", [{"every": 1}, {"minutes": 1e-9}])
def test_evaluating_does_not_change_the_training(extractor, often):
    states, logs, epochs = [], [], []
    for watched in (False, True):
        data, model = pipeline(shuffle=True, seed=3), dcgan()
        callbacks = [Recorder()]
        if watched:
            kwargs = {"extractor": extractor, "num_samples": 30, "monitor": None, **often}
            callbacks = [EvaluateSamples(data, **kwargs), *callbacks]
        model.fit(data, epochs=2, callbacks=callbacks, validation_data=pipeline(16), verbose=0)
        states.append(state(model))
        logs.append([{k: v for k, v in e.items() if k not in NAMES} for e in callbacks[-1].logs])
        epochs.append(int(data.epoch))
    assert len(callbacks[0].evaluations) == (2 if "every" in often else 16)
    assert same_state(*states)
    assert logs[0] == logs[1]
    assert epochs == [2, 2]
    # Another order of the pictures would have shown.
    data, model = pipeline(shuffle=True, seed=3), dcgan()
    data.epoch.assign(1)
    model.fit(data, epochs=2, verbose=0)
    assert not same_state(state(model), states[0])


def test_the_moving_average_is_what_is_evaluated(extractor):
    """Spoiling the raw generator changes nothing, spoiling its average does."""
    real, found = pictures(120), {}
    for spoilt in (None, "generator", "ema_generator"):

        class Spoil(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None, network=spoilt):
                for weight in getattr(self.model, network).weights if network else ():
                    weight.assign(weight + 0.5)

        evaluate = EvaluateSamples(real, extractor=extractor, num_samples=60, monitor=None)
        dcgan().fit(pipeline(), epochs=1, verbose=0, callbacks=[Spoil(), evaluate])
        found[spoilt] = {name: evaluate.evaluations[0][name] for name in NAMES}
    assert found[None] == found["generator"]
    assert found[None]["fd"] != found["ema_generator"]["fd"]


# === With Keras' own callbacks ===


def test_early_stopping_and_checkpoints_can_monitor_the_values(tmp_path, evaluator, data):
    path = str(tmp_path / "best.weights.h5")
    model, recorder = Scripted([60, 30, 0, 35, 70, 80, 90, 99]), Recorder()
    callbacks = [
        EvaluateSamples(evaluator, monitor=None),
        keras.callbacks.ModelCheckpoint(
            path, monitor="coverage", mode="max", save_best_only=True, save_weights_only=True
        ),
        recorder,
        keras.callbacks.EarlyStopping(monitor="fd", mode="min", patience=2),
    ]
    history = model.fit(data, epochs=8, verbose=0, callbacks=callbacks).history
    assert len(history["fd"]) == 5  # the best in epoch 3, two worse ones
    saved = Scripted([0])
    saved.load_weights(path)
    for ours, theirs in zip((saved.first, saved.second), recorder.states[2][:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(saved.step) == 3 * STEPS


# === Real pictures of every kind ===


@pytest.mark.parametrize("kind", ["pipeline", "labelled", "evaluator", "frames"])
def test_kinds_of_real_pictures(extractor, data, kind):
    """All the same 120 pictures, so all give what the array gives."""
    array = pictures(120)
    labels = np.arange(120) % 3
    frames = (array.astype(np.float32) / 127.5 - 1).reshape(24, 5, 8, 8, 1)
    settings = {"extractor": extractor, "num_samples": 40, "num_reference": 80}
    unshuffled = {"image_size": 8, "batch_size": 16, "shuffle": False}
    real = {
        "pipeline": lambda: kerasgen.data.load_images(array, **unshuffled),
        "labelled": lambda: kerasgen.data.load_images((array, labels), labels=True, **unshuffled),
        "evaluator": lambda: Evaluator(array, **settings),
        "frames": lambda: tf.data.Dataset.from_tensor_slices(frames).batch(7),
    }[kind]()
    evaluate = EvaluateSamples(real, seed=5, **({} if kind == "evaluator" else settings))
    model = Scripted([20])
    model.fit(data, epochs=1, verbose=0, callbacks=[evaluate])
    record, by_hand = evaluate.evaluations[0], Evaluator(array, **settings)
    expected = by_hand.evaluate(pictures(40, 105, 20))
    assert {name: record[name] for name in NAMES} == expected
    assert (record["floor"], record["protocol"]) == (by_hand.floor, by_hand.protocol)
    ((count, seed, given),) = model.asked_for
    assert (count, seed) == (40, 5)
    assert given is (None if kind == "evaluator" else real)


def test_few_pictures_are_parted_in_halves(extractor, data):
    evaluate = EvaluateSamples(pictures(31), extractor=extractor)
    Scripted([20]).fit(data, epochs=1, verbose=0, callbacks=[evaluate])
    record = evaluate.evaluations[0]
    assert record["protocol"] == f"{extractor.id}, 15 vs 16"
    expected = Evaluator(pictures(31), extractor).evaluate(pictures(15, 100, 20))
    assert {name: record[name] for name in NAMES} == expected


# === Mistakes ===


@pytest.mark.parametrize(
    "arguments",
    [
        {"every": 0},
        {"every": 1.5},
        {"minutes": 0},
        {"minutes": -1.0},
        {"minutes": math.inf},
        {"minutes": math.nan},
        {"monitor": "FID"},
        {"monitor": "kd_standard_error"},
    ],
)
def test_bad_arguments_are_named_before_any_work(arguments):
    with pytest.raises(ValueError, match=f"Received: {next(iter(arguments))}="):
        EvaluateSamples(real="not even looked at", **arguments)


@pytest.mark.parametrize(
    "real, message",
    [
        (pictures(19), "at least 20 real pictures. Received: 19"),
        (pictures(30) / 255.0, "dtype=float64"),
        (pictures(30)[..., 0], r"shape=\(30, 8, 8\)"),
    ],
)
def test_real_pictures_that_cannot_be_measured_against(real, message):
    with pytest.raises(ValueError, match=message):
        EvaluateSamples(real)


def test_samples_too_few_to_say_anything():
    with pytest.raises(ValueError, match="Received: num_samples=9"):
        EvaluateSamples(pictures(30), num_samples=9)
