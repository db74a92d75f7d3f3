"""`CollapseGuard`: in fits of a model whose diversity follows a script, and of a tiny DCGAN."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import pdist

import kerasgen
from kerasgen.callbacks import CollapseGuard
from kerasgen.generative_model import GenerativeModel

STEPS = 4  # an epoch
COUNT = 32  # pictures
MOST = 400  # steps


class Scripted(GenerativeModel):
    """Two weights with an optimizer each; diversity by epoch and losses by step are given.

    A loss that isn't finite spoils the weights, and these spoil all losses after it.
    """

    def __init__(self, diversity=(1.0,), losses=(), real=0.7, fake=0.3, held_out=0.7):
        super().__init__(loss_names=("generator_loss", "real_score", "fake_score"))
        self.diversity = tuple(diversity)
        losses = [*losses, *[1.0] * (MOST - len(losses))]
        self.loss_script = tf.constant(losses, tf.float32)
        self.real, self.fake, self.held_out = (by_step(s) for s in (real, fake, held_out))
        self.first = self.add_weight(shape=(3,), initializer="ones", name="first")
        self.second = self.add_weight(shape=(2,), initializer="zeros", name="second")
        self.built = True
        self.compile()

    def compile(self, first=None, second=None):
        super().compile(optimizer=None)
        self.first_optimizer = first or keras.optimizers.Adam(0.1)
        self.second_optimizer = second or keras.optimizers.SGD(0.01, momentum=0.5)
        self.first_optimizer.build([self.first])
        self.second_optimizer.build([self.second])

    def train_step(self, data):
        loss = self.loss_script[self.step.value] + 0 * tf.reduce_sum(self.first)
        self.first_optimizer.apply([loss * self.first], [self.first])
        self.second_optimizer.apply([loss * tf.ones(2)], [self.second])
        real, fake = self.real[self.step.value], self.fake[self.step.value]
        self.step.assign_add(1)
        return self.track(generator_loss=loss, real_score=real, fake_score=fake)

    def test_step(self, data):
        held_out = self.held_out[self.step.value - 1]
        return self.track(generator_loss=1.0, real_score=held_out, fake_score=0.0)

    def generate(self, num_images, seed=None):
        epoch = int(self.step) // STEPS
        return spread(self.diversity[min(epoch, len(self.diversity)) - 1])[:num_images]


class Recorder(keras.callbacks.Callback):
    """State and logs after each epoch, and the state after each step."""

    def on_train_begin(self, logs=None):
        self.start = state(self.model)
        self.states, self.logs, self.rates, self.by_step = [], [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.by_step.append(state(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.states.append(state(self.model))
        self.logs.append(dict(logs))
        self.rates.append(rates(self.model))


class BeforeStep(keras.callbacks.Callback):
    """Calls `function(model)` before training step `number`, counted from 1."""

    def __init__(self, number, function):
        super().__init__()
        self.number, self.function = number, function

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.step) == self.number - 1:
            self.function(self.model)


def by_step(epochs):
    """A value a step, from one an epoch or one for all."""
    epochs = [epochs] if np.ndim(epochs) == 0 else list(epochs)
    return tf.constant(np.resize(np.repeat(epochs, STEPS), MOST), tf.float32)


def pictures(count=COUNT, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(70, 187, (count, 8, 8, 1)).astype(np.uint8)


def spread(diversity):
    """Pictures whose distances, in features and in pixels, are the real ones' times this."""
    return np.round(128 + diversity * (pictures() - 128.0)).astype(np.uint8)


def state(model):
    """Copies of the weights and of both optimizers' variables; no step, no learning rates."""
    variables = [v for v in model.weights if v is not model.step]
    for optimizer in model.optimizers:
        variables += [v for v in optimizer.variables if not v.path.endswith("learning_rate")]
    return [np.array(variable) for variable in variables]


def rates(model):
    return [float(optimizer.learning_rate) for optimizer in model.optimizers]


def same_state(one, other):
    assert len(one) >= 7
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def extractor():
    """Features that are linear in the pixels: the mean grey of each quarter."""
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(inputs))
    return kerasgen.metrics.get_extractor(keras.Model(inputs, outputs, name="quarters"))


@pytest.fixture(scope="module")
def data():
    return tf.data.Dataset.from_tensors(tf.zeros((2, 8, 8, 1))).repeat(STEPS)


@pytest.fixture
def fit(extractor, data):
    """Trains `model` for so many epochs under a guard; gives guard, recorder and history."""

    def fit_guarded(model, epochs, validate=None, **arguments):
        guard, recorder = CollapseGuard(pictures(), extractor=extractor, **arguments), Recorder()
        validation = {} if validate is None else {"validation_data": data.take(1), **validate}
        history = model.fit(
            data, epochs=epochs, verbose=0, callbacks=[guard, recorder], **validation
        )
        return guard, recorder, history.history

    return fit_guarded


def kinds(guard):
    return [(verdict["kind"], verdict["epoch"], verdict["action"]) for verdict in guard.verdicts]


# === Diversity ===


def test_diversity_in_the_logs_by_hand():
    """The smaller of the two shares, in fashion-cnn's features and in pixels, of a DCGAN."""
    model = dcgan()
    real = discs()
    guard = CollapseGuard(real, num_samples=len(real), seed=3)
    history = model.fit(pipeline(), epochs=2, verbose=0, callbacks=[guard]).history
    extractor = kerasgen.metrics.get_extractor("fashion-cnn")
    shares = []
    for function in (extractor, lambda images: images.reshape(len(images), -1) / 255.0):
        generated = pdist(function(model.generate(64, seed=3))).mean()
        shares.append(generated / pdist(function(real)).mean())
    assert history["diversity"][-1] == pytest.approx(min(shares), rel=1e-5)
    assert max(shares) > 1.1 * min(shares)
    assert guard.history == history["diversity"]
    assert history["diversity"][0] != history["diversity"][1]


@pytest.mark.parametrize("alike_in", ["features", "pixels"])
def test_the_smaller_share_counts(extractor, data, alike_in):
    rng = np.random.default_rng(1)
    if alike_in == "features":  # equal means of the quarters, other pixels
        checks = np.tile([[0, 60], [60, 0]], (4, 4))[..., None]
        images = np.where(rng.random((COUNT, 1, 1, 1)) < 0.5, 98 + checks, 158 - checks)
    else:  # nearly equal pictures, but all the difference there is in one quarter's mean
        images = 128 + np.zeros((COUNT, 8, 8, 1))
        images[:, :4, :4] += rng.integers(-12, 13, (COUNT, 1, 1, 1))
    images = images.astype(np.uint8)
    model = Scripted()
    model.generate = lambda num_images, seed: images[:num_images]
    guard = CollapseGuard(pictures(), extractor=extractor)
    history = model.fit(data, epochs=1, verbose=0, callbacks=[guard]).history
    quarters = [
        part.reshape(COUNT, 2, 4, 2, 4).mean((2, 4)).reshape(COUNT, 4)
        for part in (images.astype(float), pictures().astype(float))
    ]
    in_features = pdist(quarters[0]).mean() / pdist(quarters[1]).mean()
    flat = [values.reshape(COUNT, -1) for values in (images, pictures())]
    in_pixels = pdist(flat[0]).mean() / pdist(flat[1]).mean()
    assert (in_features < 0.1 < 0.3 < in_pixels) == (alike_in == "features")
    assert (in_pixels < 0.5 * in_features) == (alike_in == "pixels")
    expected = pytest.approx(min(in_features, in_pixels), rel=1e-4, abs=1e-6)
    assert history["diversity"][0] == expected


def test_real_pictures_are_any_of_an_array_and_the_first_of_a_pipeline(extractor, data):
    """Arrays may be sorted by class: here 200 equal ones come before 200 others."""
    array = np.concatenate([np.repeat(pictures(1), 200, axis=0), pictures(200)])
    pipeline = tf.data.Dataset.from_tensor_slices(array.astype(np.float32) / 127.5 - 1)
    found = {}
    for kind, real in {"array": array, "pipeline": pipeline.skip(168).batch(16)}.items():
        guard, model = CollapseGuard(real, extractor=extractor, num_samples=64), Scripted()
        model.generate = lambda num_images, seed: pictures(num_images)
        model.fit(data, epochs=1, verbose=0, callbacks=[guard])
        (found[kind],) = guard.history
    shares = []
    for function in (extractor, lambda images: images.reshape(len(images), -1) / 255.0):
        first = pdist(function(array[168:232])).mean()  # 32 equal ones and 32 others
        shares.append(pdist(function(pictures(64))).mean() / first)
    assert found["pipeline"] == pytest.approx(min(shares), rel=1e-5)
    assert found["array"] == pytest.approx(min(shares), rel=0.2) and min(shares) > 1.2


# === Collapse, and no collapse ===


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_healthy_training_draws_no_verdict(fit, seed):
    rng = np.random.default_rng(seed)
    script = np.linspace(0.2, 1.0, 12).tolist() + [1.0] * 8
    script = np.array(script) * (1 + 0.15 * rng.choice([-1, 1], 20) * rng.uniform(0.7, 1, 20))
    model = Scripted(script)
    guard, recorder, history = fit(model, 20, grace=4 * STEPS)
    assert guard.verdicts == []
    np.testing.assert_allclose(history["diversity"], script, rtol=0.02)
    assert rates(model) == pytest.approx([0.1, 0.01]) and len(history["diversity"]) == 20
    assert int(model.first_optimizer.iterations) == 20 * STEPS


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_a_fall_is_named_after_patience(fit, capsys, patience):
    model = Scripted([0.4, 0.8, 1.0, 0.95, 0.3, 0.31, 0.32, 0.33, 1.0])
    guard, _, history = fit(model, 4 + patience, patience=patience)
    now = [0.3, 0.31, 0.32, 0.33][patience - 1]
    (verdict,) = guard.verdicts
    assert verdict == {
        "step": (4 + patience) * STEPS,
        "epoch": 4 + patience,
        "kind": "collapse",
        "verdict": f"diversity fell from 1.00 to {now:.2f} of the data's since epoch 5: "
        "mode collapse",
        "action": "lower",
    }
    said = f"Step {verdict['step']}, epoch {verdict['epoch']}: {verdict['verdict']}. Restored "
    assert f"{said}the last healthy weights; learning rates times 0.3.\n" in capsys.readouterr().out
    assert len(history["diversity"]) == 4 + patience


@pytest.mark.parametrize("drop, named", [(0.25, False), (0.5, True)])
def test_how_deep_a_fall_is_a_collapse(fit, drop, named):
    guard, _, _ = fit(Scripted([0.9, 0.36, 0.36]), 3, drop=drop)
    assert bool(guard.verdicts) == named


def test_single_low_epochs_are_no_collapse(fit):
    guard, _, _ = fit(Scripted([1.0, 0.1, 0.9, 0.2, 0.8, 0.05, 1.0]), 7, patience=2)
    assert guard.verdicts == []


def test_a_training_that_never_gets_diverse_is_named_after_grace(fit):
    """Grace starts anew with each restoration."""
    guard, _, _ = fit(Scripted([0.02] + [0.1] * 9), 10, grace=3 * STEPS)
    assert kinds(guard) == [("collapse", 5, "lower"), ("collapse", 10, "lower")]
    words = "after 20 steps the samples have 0.10 of the data's diversity: they are almost all "
    assert [verdict["step"] for verdict in guard.verdicts] == [20, 40]
    assert all(v["verdict"] == f"{words}alike, mode collapse" for v in guard.verdicts)


def test_little_diversity_is_allowed_within_grace(fit):
    guard, _, _ = fit(Scripted([0.02] + [0.1] * 9), 10, grace=10 * STEPS)
    assert guard.verdicts == []


# === Restoring ===


def test_weights_and_both_optimizers_of_the_last_healthy_epoch_come_back(fit):
    """0.95 is healthy, 0.6 is neither that nor a collapse."""
    model = Scripted([0.5, 1.0, 0.95, 0.6, 0.3, 0.3])
    guard, recorder, _ = fit(model, 6, factor=0.2)
    assert kinds(guard) == [("collapse", 6, "lower")]
    assert same_state(recorder.states[5], recorder.states[2])
    assert not any(same_state(recorder.states[5], recorder.states[e]) for e in (0, 1, 3, 4))
    assert recorder.rates[4:] == [pytest.approx([0.1, 0.01]), pytest.approx([0.02, 0.002])]
    assert int(model.step) == 6 * STEPS
    assert int(model.first_optimizer.iterations) == 3 * STEPS


def test_retries_are_bounded_and_rates_fall_each_time(fit):
    model = Scripted([1.0, 0.1, 0.1] * 5)
    guard, recorder, history = fit(model, 15, max_retries=3)
    assert kinds(guard) == [("collapse", 3 * n, "lower") for n in (1, 2, 3)] + [
        ("collapse", 12, "stop")
    ]
    assert guard.verdicts[-1]["verdict"].endswith("mode collapse; the 3 retries are used up")
    assert len(history["diversity"]) == 12
    for retry in (1, 2, 3):
        assert recorder.rates[3 * retry] == pytest.approx([0.1 * 0.3**retry, 0.01 * 0.3**retry])
    for restored in (2, 5, 8, 11):  # to the healthy epoch before, each time
        assert same_state(recorder.states[restored], recorder.states[restored - 2])
    assert not same_state(recorder.states[8], recorder.states[11])


def test_without_retries_the_first_collapse_ends_the_training(fit):
    guard, recorder, history = fit(Scripted([1.0, 0.1, 0.1, 1.0]), 4, max_retries=0)
    assert kinds(guard) == [("collapse", 3, "stop")]
    assert same_state(recorder.states[-1], recorder.states[0]) and len(recorder.states) == 3


def test_a_collapse_without_a_healthy_epoch_since_goes_back_to_the_start(fit):
    model = Scripted([1.0, 0.1, 0.1, 0.6, 0.1, 0.1, 0.7, 0.1, 0.1])
    guard, recorder, _ = fit(model, 9)
    assert kinds(guard) == [("collapse", epoch, "lower") for epoch in (3, 6, 9)]
    assert same_state(recorder.states[2], recorder.states[0])
    assert same_state(recorder.states[5], recorder.start)
    assert not same_state(recorder.start, recorder.states[0])
    assert rates(model) == pytest.approx([0.1 * 0.3**3, 0.01 * 0.3**3])
    # From the start on, 0.7 is the best there was: healthy again.
    assert "fell from 0.70 to 0.10 of the data's since epoch 8" in guard.verdicts[2]["verdict"]
    assert same_state(recorder.states[8], recorder.states[6])


def test_collapses_without_a_pause_are_named_one_by_one(fit):
    guard, recorder, _ = fit(Scripted([1.0, 0.1, 0.1, 0.1, 0.1]), 5)
    assert kinds(guard) == [("collapse", 3, "lower"), ("collapse", 5, "lower")]
    assert same_state(recorder.states[4], recorder.start)


def test_the_best_of_little_is_not_healthy(fit):
    """A third of the data's diversity is no state to go back to."""
    guard, recorder, _ = fit(Scripted([0.35, 0.1, 0.1]), 3)
    (verdict,) = guard.verdicts
    assert verdict["verdict"].startswith("after 12 steps the samples have 0.10 of")
    assert same_state(recorder.states[2], recorder.start)


def test_low_epochs_before_a_restoration_do_not_count_after_it(fit):
    model = Scripted([1.0, 0.1, 0.1, 0.9], losses=[1.0] * 9 + [np.nan])
    guard, recorder, _ = fit(model, 4)
    assert kinds(guard) == [("not finite", 3, "lower")]
    assert same_state(recorder.by_step[9], recorder.states[0])


def test_more_diversity_than_the_data_has_is_no_measure(fit):
    """After a restoration to 1.14, a diversity of 0.95 is still healthy."""
    model = Scripted([1.14, 0.1, 0.1, 0.95, 0.1, 0.1])
    guard, recorder, _ = fit(model, 6)
    assert [v["verdict"][:32] for v in guard.verdicts] == ["diversity fell from 1.00 to 0.10"] * 2
    assert same_state(recorder.states[2], recorder.states[0])
    assert same_state(recorder.states[5], recorder.states[3])


def test_each_fit_starts_anew(fit):
    model = Scripted([1.0, 0.1, 0.1])
    guard, _, _ = fit(model, 3, max_retries=1)
    assert kinds(guard) == [("collapse", 3, "lower")]
    model.step.assign(0)
    guard.on_train_begin()
    assert guard.verdicts == [] and guard.history == []


def test_action_stop(fit):
    model = Scripted([0.8, 1.0, 0.1, 0.1, 1.0, 1.0])
    guard, recorder, history = fit(model, 6, action="stop")
    assert kinds(guard) == [("collapse", 4, "stop")]
    assert "retries" not in guard.verdicts[0]["verdict"]
    assert len(history["diversity"]) == 4
    assert same_state(recorder.states[3], recorder.states[1])
    assert rates(model) == pytest.approx([0.1, 0.01])


def test_action_warn_changes_nothing_and_says_it_once(fit, data):
    script = [1.0, 0.1, 0.1, 0.1, 0.1, 0.9, 0.2, 0.2, 0.2]
    model, free = Scripted(script), Scripted(script)
    guard, _, _ = fit(model, 9, action="warn")
    free.fit(data, epochs=9, verbose=0)
    assert kinds(guard) == [("collapse", 3, "warn"), ("collapse", 8, "warn")]
    found = [re.findall(r"to (\S+) .*epoch (\d+)", v["verdict"])[0] for v in guard.verdicts]
    assert found == [("0.10", "2"), ("0.20", "7")]
    assert same_state(state(model), state(free))


def test_verdicts_are_lines_of_json(fit, tmp_path):
    path = tmp_path / "new" / "verdicts.jsonl"
    guard, _, _ = fit(Scripted([1.0, 0.1, 0.1] * 2, losses=[1.0, np.nan]), 6, path=str(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == guard.verdicts
    assert [line["kind"] for line in lines] == ["not finite", "collapse", "collapse"]
    assert all(set(v) == {"step", "epoch", "kind", "verdict", "action"} for v in lines)


# === Optimizers of every kind ===


@pytest.mark.parametrize(
    "rate",
    [keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), lambda: 0.1],
    ids=["schedule", "function"],
)
def test_rates_that_cannot_be_set_are_left_alone(fit, rate):
    model = Scripted([1.0, 0.1, 0.1, 1.0])
    model.compile(first=keras.optimizers.Adam(rate))
    guard, recorder, _ = fit(model, 4)
    assert kinds(guard) == [("collapse", 3, "lower")]
    assert same_state(recorder.states[2], recorder.states[0])
    assert float(model.second_optimizer.learning_rate) == pytest.approx(0.003)
    # By its own count of steps, which went back: four steps, and four more.
    expected = 0.1 if not isinstance(rate, keras.optimizers.schedules.ExponentialDecay) else rate(8)
    assert float(model.first_optimizer.learning_rate) == pytest.approx(float(expected))


def test_it_says_so_where_only_schedules_set_the_rates(fit, capsys):
    model = Scripted([1.0, 0.1, 0.1, 1.0])
    model.compile(*(keras.optimizers.Adam(lambda: 0.1) for _ in range(2)))
    fit(model, 4)
    said = capsys.readouterr().out
    assert "Restored the last healthy weights; a schedule sets the learning rates" in said
    assert "times" not in said


def test_a_shared_optimizer_is_slowed_once(fit):
    class Shared(Scripted):
        def compile(self):
            GenerativeModel.compile(self, optimizer=None)
            self.first_optimizer = self.second_optimizer = keras.optimizers.Adam(0.1)
            self.first_optimizer.build([self.first, self.second])

        def train_step(self, data):
            self.first_optimizer.apply([self.first, tf.ones(2)], [self.first, self.second])
            self.step.assign_add(1)
            return self.track(generator_loss=1.0, real_score=0.7, fake_score=0.3)

    model = Shared([1.0, 0.1, 0.1])
    _, recorder, _ = fit(model, 3)
    assert rates(model) == pytest.approx([0.03])
    assert same_state(recorder.states[2], recorder.states[0])


def test_mixed_float16():
    """Both loss scales come back too, and the rates inside are lowered."""
    model, recorder = dcgan(dtype="mixed_float16"), Recorder()
    for optimizer in model.optimizers:
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        optimizer.dynamic_growth_steps = 5  # a scale that moves within an epoch
    script = [1.0, 0.1, 0.1, 1.0]
    model.diversity_samples = lambda count, seed, data: spread(script[int(model.step) // 8 - 1])
    guard = CollapseGuard(pictures(), num_samples=COUNT)
    history = model.fit(pipeline(), epochs=4, verbose=0, callbacks=[guard, recorder]).history
    assert kinds(guard) == [("collapse", 3, "lower")]
    assert same_state(recorder.states[2], recorder.states[0])
    assert not same_state(recorder.states[1], recorder.states[0])
    assert recorder.rates[2] == pytest.approx([0.3 * r for r in recorder.rates[1]])
    assert all(np.isfinite(values).all() for values in history.values())
    for optimizer in model.optimizers:
        assert float(optimizer.inner_optimizer.learning_rate) == pytest.approx(3e-4)
        assert int(optimizer.inner_optimizer.iterations) > 8


# === Losses that aren't finite ===


def discs(count=64, seed=0):
    """Pictures that differ little: a tiny DCGAN soon has a good share of their diversity."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:8, :8]
    centres = rng.uniform(2.5, 4.5, (count, 2, 1, 1))
    distance = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2
    return np.where(distance < 6, 180, 70).astype(np.uint8)[..., None]


def dcgan(**kwargs):
    sizes = {"latent_dim": 4, "generator_filters": 4, "discriminator_filters": 4}
    # Clusters would refuse pictures of NaN before the first step.
    model = kerasgen.DCGAN((8, 8, 1), num_clusters=1, **sizes, **kwargs)
    model.compile(learning_rate=1e-3)
    return model


def pipeline():
    return kerasgen.data.load_images(discs(), image_size=8, batch_size=8)


def spoil_generator(model):
    weight = model.generator.trainable_variables[0]
    weight.assign(weight * np.nan)


def test_nan_in_a_dcgan_is_caught_at_its_step_and_repaired():
    """Spoilt before step 21, the fifth of the third epoch: back to the end of the second."""
    model, recorder = dcgan(), Recorder()
    # So little is asked of this training's diversity that each epoch is a healthy one.
    guard = CollapseGuard(discs(), num_samples=COUNT, drop=0.01, grace=1)
    callbacks = [BeforeStep(21, spoil_generator), guard, recorder]
    history = model.fit(pipeline(), epochs=5, verbose=0, callbacks=callbacks).history
    (verdict,) = guard.verdicts
    assert (verdict["kind"], verdict["step"], verdict["epoch"]) == ("not finite", 21, 3)
    named = "discriminator_loss, fake_score, generator_loss"
    assert verdict["verdict"] == f"{named} became NaN or infinite at this step"
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(v).all() for values in recorder.by_step for v in values)
    assert same_state(recorder.by_step[20], recorder.states[1])
    assert not same_state(recorder.by_step[19], recorder.states[1])
    assert not same_state(recorder.by_step[21], recorder.by_step[20])
    assert rates(model) == pytest.approx([3e-4, 3e-4])
    assert int(model.step) == 40
    assert [int(o.iterations) for o in model.optimizers] == [16 + 19] * 2


def test_a_picture_of_nan_comes_back_each_epoch():
    floats = discs().astype(np.float32) / 127.5 - 1
    floats[37, 3, 3] = np.nan  # in the fifth batch
    data = tf.data.Dataset.from_tensor_slices(floats).batch(8)
    model = dcgan()
    guard = CollapseGuard(discs(), max_retries=2)
    history = model.fit(data, epochs=9, verbose=0, callbacks=[guard]).history
    assert [(v["step"], v["action"]) for v in guard.verdicts] == [
        (5, "lower"),
        (13, "lower"),
        (21, "stop"),
    ]
    assert len(history["generator_loss"]) == 3
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_nan_at_one_step_after_another_is_repaired_each_time(fit):
    model = Scripted(losses=[1.0, 1.0, np.nan, np.nan, np.nan])
    guard, recorder, _ = fit(model, 3)
    assert [v["step"] for v in guard.verdicts] == [3, 4, 5]
    assert all(np.isfinite(v).all() for values in recorder.by_step for v in values)
    assert all(same_state(recorder.by_step[step], recorder.start) for step in (2, 3, 4))
    assert rates(model) == pytest.approx([0.1 * 0.3**3, 0.01 * 0.3**3])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_epoch_means_are_those_of_the_steps_since(fit, value):
    model = Scripted(losses=[1.0, value, 3.0, 5.0, 2.0])
    guard, _, history = fit(model, 2)
    assert [v["step"] for v in guard.verdicts] == [2]
    assert guard.verdicts[0]["verdict"] == "generator_loss became NaN or infinite at this step"
    assert history["generator_loss"] == [4.0, 1.25]


@pytest.mark.parametrize(
    "losses, action, expected",
    [
        ([1.0, 2.0, 4.5, np.nan], "lower", [2.5, 1.0]),  # the epoch's last step
        ([1.0, 3.0, np.nan], "stop", [2.0]),
        ([np.nan], "stop", [np.nan]),  # no step to tell of
    ],
)
def test_an_epoch_that_ends_with_nan_keeps_the_means_before(fit, losses, action, expected):
    _, _, history = fit(Scripted(losses=losses), 2, action=action)
    np.testing.assert_array_equal(history["generator_loss"], expected)
    scores = [np.nan if np.isnan(value) else np.float32(0.7) for value in expected]
    np.testing.assert_allclose(history["real_score"], scores, rtol=1e-6)


def test_nan_with_action_stop_ends_at_that_step(fit):
    model = Scripted([1.0], losses=[1.0] * 5 + [np.nan])
    guard, recorder, _ = fit(model, 9, action="stop")
    assert kinds(guard) == [("not finite", 2, "stop")]
    assert int(model.step) == 6
    assert same_state(state(model), recorder.states[0])


def test_nan_with_action_warn_is_said_once(fit):
    model = Scripted([1.0], losses=[1.0] * 5 + [np.nan])
    guard, _, history = fit(model, 3, action="warn")
    assert kinds(guard) == [("not finite", 2, "warn")]
    assert guard.verdicts[0]["step"] == 6
    assert np.isnan(model.first.numpy()).all()
    assert np.isnan(history["generator_loss"][2])


# === The discriminator ===


def test_a_discriminator_that_has_won_is_mentioned_once_a_streak(fit):
    won, open_ = (0.992, 0.004), (0.9, 0.1)
    epochs = [won] * 4 + [open_] + [won] * 7 + [open_] + [won] * 5
    model = Scripted(real=[e[0] for e in epochs], fake=[e[1] for e in epochs])
    guard, recorder, history = fit(model, len(epochs))
    assert kinds(guard) == [("discriminator won", e, "warn") for e in (10, 18)]
    assert "(scores 0.00 and 0.99)" in guard.verdicts[0]["verdict"]
    assert "instance_noise" in guard.verdicts[0]["verdict"]
    assert int(model.first_optimizer.iterations) == len(epochs) * STEPS  # nothing was undone


@pytest.mark.parametrize("frequency, mentioned", [(1, [6, 17]), (2, [10])])
def test_a_discriminator_that_knows_by_heart_is_mentioned(fit, frequency, mentioned):
    """Five validated epochs one after another, such as 2, 4, 6, 8, 10; others say nothing."""
    held_out = [0.6] + [0.3] * 10 + [0.55] + [0.3] * 5
    model = Scripted(real=0.7, held_out=held_out)
    guard, _, _ = fit(model, 17, validate={"validation_freq": frequency})
    assert kinds(guard) == [("discriminator by heart", epoch, "warn") for epoch in mentioned]
    assert "its training pictures 0.70 and held-out ones 0.30" in guard.verdicts[0]["verdict"]


def test_scores_without_validation_say_nothing_of_memory(fit):
    guard, _, _ = fit(Scripted(real=0.97, fake=0.03), 7)
    assert guard.verdicts == []


# === Mistakes ===


@pytest.mark.parametrize(
    "arguments",
    [
        {"action": "restart"},
        {"factor": 0},
        {"factor": 1.0},
        {"drop": -0.1},
        {"drop": 1},
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"patience": 0},
        {"grace": 0},
        {"num_samples": 7},
    ],
)
def test_bad_arguments_are_named_before_any_work(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=re.escape(f"Received: {name}={value!r}")):
        CollapseGuard("not even looked at", **arguments)


@pytest.mark.parametrize(
    "real, message",
    [
        (np.full((20, 8, 8, 1), 7, np.uint8), "All real pictures are equal"),
        (pictures(7), "at least 8 pictures. Received: 7"),
        (pictures() / 255.0, "dtype=float64"),
    ],
)
def test_real_pictures_that_cannot_be_compared_with(real, message):
    with pytest.raises(ValueError, match=message):
        CollapseGuard(real)
