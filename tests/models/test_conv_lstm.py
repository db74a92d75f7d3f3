"""The ConvLSTM frame generator: the shared checks, and what is its own."""

import math
import secrets

import keras
import numpy as np
import pytest
import tensorflow as tf
from frame_parts import SMALL, as_floats, as_uint8, lively, moving_discs, noise_clips, small
from model_checks import ModelChecks

import kerasgen
from kerasgen.data.pictures import encode_png
from kerasgen.models.conv_lstm.cell import ConvLSTMCell
from kerasgen.models.conv_lstm.networks import clip_frames, gaussian_divergence
from kerasgen.models.conv_lstm.objective import WeightedLoss
from kerasgen.models.conv_lstm.rollout import draw_noise
from kerasgen.models.conv_lstm.sampling import own_frames, probability

OPTIONS = [
    {},
    {"residual": "blend"},
    {"residual": None, "patch_size": 2, "filters": (4,)},
    {"latent_dim": 3},
    {"patch_size": 1, "frame_shape": (6, 9, 3), "kernel_size": 4},
    {"sprites": 2},
    {"sprites": 3, "frame_shape": (8, 12, 3), "latent_dim": 6, "dtype": "mixed_bfloat16"},
    {"dtype": "mixed_bfloat16", "latent_dim": 2},
    {"ema_decay": 0.0, "reverse_time": True, "scheduled_sampling": 0.5},
]


class FrameChecks(ModelChecks):
    model_class = kerasgen.ConvLSTMGenerator
    shape_name = "frame_shape"
    networks = ["network"]
    batch_statistics = False
    optimizers = ["optimizer"]
    frames = 4  # each is a part of the graph

    def compile_kwargs(self):
        return {"learning_rate": 5e-3}

    def data(self, shape=None, count=64, batch_size=8, seed=0):
        shape = shape or self.init_kwargs["frame_shape"]
        clips = moving_discs(count, self.frames, shape, seed)
        data = tf.data.Dataset.from_tensor_slices(as_floats(clips)).batch(batch_size)
        data.epoch = tf.Variable(0, dtype=tf.int64)
        return data

    def images_of(self, model, count, seed):
        """What follows on a fixed past, or without latents on one that the seed decides."""
        if model.latent_dim:
            context = np.repeat(moving_discs(1, 3, model.image_shape), count, axis=0)
        else:
            start = 1000 * (secrets.randbits(20) if seed is None else seed)
            pasts = [moving_discs(1, 3, model.image_shape, start + i) for i in range(count)]
            context = np.concatenate(pasts)
        return model.generate(context, num_frames=3, seed=seed)

    def test_served_pictures_are_generate_s(self, trained_once):
        model = trained_once.model
        context = moving_discs(2, 3, model.image_shape, seed=9)
        seeds, horizons = tf.constant([7, 8], tf.int64), tf.constant([4, 2])
        signatures = model.serving_signatures()
        pngs = signatures["generate_png"](tf.constant(context), horizons, seeds)
        for row, png in enumerate(pngs["image_bytes"].numpy()):
            strip = tf.io.decode_image(png).numpy().astype(int)
            frames = model.generate(context[row : row + 1], (4, 2)[row], seed=7 + row)[0]
            assert np.abs(strip - np.concatenate(list(frames), axis=1)).max() <= 1
        expected = model.predict_frames(context, 4).astype(int)
        expected[1, 2:] = 0
        served = signatures["predict_frames_uint8"](tf.constant(context), horizons)["frames"]
        assert np.abs(served.numpy().astype(int) - expected).max() <= 1
        served = signatures["predict_frames"](tf.constant(context / np.float32(255)), horizons)
        np.testing.assert_allclose(served["frames"] * 255, expected, atol=0.51)
        files = [[encode_png(frame) for frame in clip] for clip in context]
        strips = signatures["predict_frames_png"](tf.constant(files), horizons)["image_bytes"]
        for row, png in enumerate(strips.numpy()):
            strip = tf.io.decode_image(png).numpy().astype(int)
            frames = expected[row, : horizons[row]]
            assert np.abs(strip - np.concatenate(list(frames), axis=1)).max() <= 1


class TestDeterministic(FrameChecks):
    init_kwargs = {**SMALL, "scheduled_sampling": ((0, 0.0), (400, 0.5))}


class TestStochastic(FrameChecks):
    init_kwargs = {**SMALL, "latent_dim": 3, "beta": 1e-3, "scheduled_sampling": 0.0}
    shapes = [(12, 20, 3)]


class TestOptions(FrameChecks):
    init_kwargs = {
        **SMALL,
        "sprites": 2,
        "context_frames": 2,
        "scheduled_sampling": 0.25,
        "reverse_scheduled_sampling": ((0, 0.5), (8, 0.0)),
        "reverse_time": True,
        "ema_decay": 0.0,
    }
    shapes = [(8, 12, 4)]

    def compile_kwargs(self):
        return {"loss": {"mse": 1.0, "mae": 0.1, "ssim": 0.05}, "learning_rate": 5e-3}

    def test_any_shape_trains_and_generates(self):
        model = self.model_class(**{**self.init_kwargs, "frame_shape": (8, 12, 4)})
        model.compile()  # without "ssim", which needs larger frames
        model.fit(self.data((8, 12, 4), count=16), verbose=0)
        assert self.images_of(model, 3, seed=0).shape == (3, 3, 8, 12, 4)


# === Precision and patches ===


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_memory_stays_float32(policy):
    """In half precision a memory of 300 would lose what each step adds."""
    cell = ConvLSTMCell(1, 2, 3, dtype=policy)
    assert cell.kernel.dtype == "float32"
    hidden, memory = cell.initial_state(1, 4, 4)
    hidden, after = cell(tf.ones((1, 4, 4, 1)), (hidden, memory + 300.0))
    assert hidden.dtype.name == cell.compute_dtype and after.dtype == tf.float32
    model = small(dtype=policy, latent_dim=2)
    frames = model(noise_clips())
    assert frames.dtype == tf.float32
    assert model.network.cells[0].compute_dtype == policy.removeprefix("mixed_")
    state = model.network.initial_state(2)
    state = model.network.predict(model.network.fold(noise_clips()[:, 0]), state)[1]
    assert {memory.dtype for _, memory in state["cells"]} == {tf.float32}
    assert {tensor.dtype for tensor in state["prior"]} == {tf.float32}


@pytest.mark.parametrize("channels, patch_size", [(1, 4), (3, 2), (2, 1)])
def test_pixels_are_folded_into_patches_and_back(channels, patch_size):
    network = small(frame_shape=(8, 16, channels), patch_size=patch_size).network
    frames = noise_clips(2, 3, (8, 16, channels))
    patches = network.fold(frames)
    expected = frames[:, 1]
    if patch_size > 1:
        expected = tf.nn.space_to_depth(expected, patch_size)
    np.testing.assert_array_equal(patches[:, 1], expected)
    np.testing.assert_array_equal(network.unfold(patches), frames)


# === Causality ===


@pytest.fixture(scope="module")
def model(request):
    """A lively one with some of the `OPTIONS`. Tests must not change it."""
    return lively(**request.param)


@pytest.mark.parametrize("model", OPTIONS, indirect=True)
def test_no_prediction_depends_on_a_later_frame(model):
    clips = noise_clips(shape=model.image_shape)
    before = model(clips).numpy()
    assert before.shape == clips.shape
    compiled = model.predict_next(clips)
    for step in range(1, 5):
        changed = clips.copy()
        changed[:, step] = -changed[:, step]
        after = model(changed).numpy()
        np.testing.assert_array_equal(after[:, :step], before[:, :step])
        for later in range(step, 5):
            assert (after[:, later] != before[:, later]).any(), later  # none is forgotten
        np.testing.assert_array_equal(model.predict_next(changed)[:, :step], compiled[:, :step])


@pytest.mark.parametrize("model", OPTIONS, indirect=True)
def test_a_rollout_begins_as_teacher_forcing_ends(model):
    clips = noise_clips(3, shape=model.image_shape)
    together = model.predict_next(clips)
    for known in range(1, 6):
        np.testing.assert_array_equal(model.predict_next(clips[:, :known]), together[:, :known])
        rollout = model.predict_frames(clips[:, :known], 4)
        np.testing.assert_array_equal(rollout[:, 0], together[:, known - 1])


@pytest.mark.parametrize("model", OPTIONS[:3], indirect=True)
def test_a_rollout_reads_its_own_predictions(model):
    """Against the network called step by step in Python."""
    clips = noise_clips(8, 3)
    network = model.ema_network
    state, patches, expected = network.initial_state(8), None, []
    for step in range(7):
        patches = network.fold(clips[:, step]) if step < 3 else patches
        patches, state = network.predict(patches, state)
        expected.append(as_uint8(network.unfold(patches)))
    rollout = model.predict_frames(clips, 5)
    assert rollout.dtype == np.uint8
    assert np.abs(rollout.astype(int) - np.stack(expected[2:], 1)).max() <= 1
    assert np.std(rollout) > 10


def test_training_reads_and_predicts_as_generation_does():
    model = lively()
    clips = noise_clips(8, 5)
    terms, targets, predictions = model._terms(model.network, tf.constant(clips), None, (0, 0))
    np.testing.assert_array_equal(targets, clips[:, 1:].reshape(-1, 16, 16, 1))
    expected = model(clips).numpy()[:, :-1]
    np.testing.assert_allclose(predictions, expected.reshape(-1, 16, 16, 1), atol=1e-5)
    own = np.zeros((8, 4), bool)
    own[:, 2:] = True
    predictions = model._terms(model.network, tf.constant(clips), tf.constant(own), (0, 0))[2]
    predictions = as_uint8(predictions).reshape(8, 4, 16, 16, 1).astype(int)
    assert np.abs(predictions[:, 1:] - model.predict_frames(clips[:, :2], 3)).max() <= 1


# === Training ===


def test_the_loss_is_the_mean_over_predicted_frames():
    model = lively()
    clips = noise_clips(3)
    errors = (model(clips).numpy()[:, :-1] - clips[:, 1:]) ** 2
    data = tf.data.Dataset.from_tensors(clips)
    logs = model.evaluate(data, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], errors.mean(), rtol=1e-5)
    model.compile(loss={"mse": 2.0, "mae": 0.5})
    logs = model.evaluate(data, verbose=0, return_dict=True)
    expected = 2 * errors.mean() + 0.5 * np.sqrt(errors).mean()
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("latent_dim", [0, 3])
def test_evaluation_looks_at_what_is_generated_after_the_context(latent_dim):
    model = lively(latent_dim=latent_dim, context_frames=2)
    clips = noise_clips(3)
    logs = model.evaluate(tf.data.Dataset.from_tensors(clips), verbose=0, return_dict=True)
    generated = as_floats(model.predict_frames(clips[:, :2], 3))
    psnr = 10 * np.log10(4 / ((generated - clips[:, 2:]) ** 2).mean((2, 3, 4)))
    np.testing.assert_allclose(logs["psnr"], psnr.mean(), rtol=1e-4)
    ssim = tf.image.ssim((generated + 1) / 2, (clips[:, 2:] + 1) / 2, 1.0)
    np.testing.assert_allclose(logs["ssim"], tf.reduce_mean(ssim), rtol=1e-3, atol=1e-4)


def test_one_step_is_one_update_of_the_mean_loss():
    model = small({"optimizer": keras.optimizers.SGD(0.5)}, scheduled_sampling=0.0)
    clips = tf.constant(noise_clips(4))
    variables = model.network.trainable_variables
    before = [v.numpy() for v in variables]
    with tf.GradientTape() as tape:
        state, losses = model.network.initial_state(4), []
        for step in range(4):
            patches, state = model.network.predict(model.network.fold(clips[:, step]), state)
            frame = model.network.unfold(patches)
            losses.append(tf.reduce_mean((frame - clips[:, step + 1]) ** 2))
        loss = tf.add_n(losses) / 4
    gradients = tape.gradient(loss, [v.value for v in variables])
    logs = model.train_step(clips)
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    for variable, old, gradient in zip(variables, before, gradients, strict=True):
        np.testing.assert_allclose(variable, old - 0.5 * gradient, atol=1e-6)
    decay = 1 / 10
    for mean, old, new in zip(model.ema_network.variables, before, variables, strict=True):
        np.testing.assert_allclose(mean, decay * old + (1 - decay) * new.numpy(), atol=1e-6)


def test_the_default_optimizer_makes_the_cells_updates_orthogonal():
    model = small()
    variables = model.network.trainable_variables
    before = [v.numpy() for v in variables]
    model.train_step(tf.constant(noise_clips(4)))
    cells = 0
    for variable, old in zip(variables, before, strict=True):
        change = variable.numpy() - old
        if variable.path in ("cell_0/kernel", "cell_1/kernel"):
            cells += 1
            values = np.linalg.svd(change)[1] / (5e-3 * 0.2 * math.sqrt(max(change.shape)))
            assert 0.6 < np.median(values) and values.max() < 1.3, variable.path
        else:  # Adam's first step: the rate, less where a gradient is as small as its epsilon
            assert 0.5 * 5e-3 < np.abs(change).max() <= 1.001 * 5e-3, variable.path
    assert cells == 2


def test_the_default_rate_falls_and_a_schedule_is_taken_as_it_is():
    model = small()
    for step, rate in ((0, 5e-3), (3000, 2.5e-3), (9000, 1.25e-3)):
        model.optimizer.iterations.assign(step)
        np.testing.assert_allclose(model.optimizer.learning_rate, rate, rtol=1e-6)
    model.compile(learning_rate=keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5))
    model.optimizer.iterations.assign(20)
    np.testing.assert_allclose(model.optimizer.learning_rate, 0.25, rtol=1e-6)


def test_schedules_are_lines_between_points():
    schedule = ((10, 0.2), (20, 0.8), (40, 0.0))
    for step, expected in ((0, 0.2), (10, 0.2), (15, 0.5), (20, 0.8), (30, 0.4), (99, 0.0)):
        np.testing.assert_allclose(probability(schedule, tf.constant(step)), expected, atol=1e-6)
    assert float(probability(0.3, tf.constant(7))) == np.float32(0.3)


def test_own_frames_come_as_often_as_the_schedules_say():
    def shares(step, seed=(0, 0)):
        own = own_frames((4000, 6), 3, ((0, 0.0), (100, 1.0)), ((0, 0.5), (100, 0.0)), step, seed)
        return own.numpy().mean(0)

    np.testing.assert_allclose(shares(0), [0, 0.5, 0.5, 0, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(30), [0, 0.35, 0.35, 0.3, 0.3, 0.3], atol=0.03)
    np.testing.assert_allclose(shares(100), [0, 0, 0, 1, 1, 1], atol=0)
    assert (shares(30) != shares(30, (0, 1))).any()
    assert own_frames((4, 6), 3, 0.0, 0.0, 0, (0, 0)) is None


def test_a_schedule_s_end_trains_on_whole_rollouts():
    model = lively(scheduled_sampling=1.0, context_frames=2)
    clips = noise_clips(8)
    expected = [
        model.predict_next(clips[:, :2])[:, 0],
        *np.moveaxis(model.predict_frames(clips[:, :2], 3), 1, 0),
    ]
    errors = [
        (as_floats(e) - c) ** 2
        for e, c in zip(expected, np.moveaxis(clips[:, 1:], 1, 0), strict=True)
    ]
    logs = model.train_step(tf.constant(clips))
    np.testing.assert_allclose(logs["loss"], np.mean(errors), rtol=1e-2)


def test_half_of_the_clips_are_played_backwards():
    """Forwards the clips brighten."""
    model = small({"optimizer": keras.optimizers.SGD(0.0)}, reverse_time=True, ema_decay=0.0)
    seen = []
    terms = model._terms
    model._terms = lambda network, frames, *rest: (
        seen.append(frames) or terms(network, frames, *rest)
    )
    clips = np.linspace(-0.9, 0.9, 4, dtype=np.float32)[:, None, None, None]
    clips = tf.constant(np.broadcast_to(clips, (64, 4, 16, 16, 1)))
    model.train_step(clips)
    model.train_step(clips)
    backwards = [frames.numpy()[:, 0].mean((1, 2, 3)) > 0 for frames in seen]
    for share in backwards:
        assert 0.25 < share.mean() < 0.75
    assert (backwards[0] != backwards[1]).any()
    flipped = seen[0].numpy()[backwards[0]]
    np.testing.assert_array_equal(flipped, clips.numpy()[backwards[0], ::-1])
    model.test_step(clips)
    np.testing.assert_array_equal(seen[-1], clips)


def test_clipping_lets_gradients_pass():
    frames = tf.constant([-3.0, -0.5, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(frames)
        clipped = clip_frames(frames)
        loss = tf.reduce_sum((clipped - tf.constant([-1.0, 0.5, 0.0])) ** 2)
    np.testing.assert_array_equal(clipped, [-1, -0.5, 1])
    np.testing.assert_allclose(tape.gradient(loss, frames), [0, -2, 2])


@pytest.mark.parametrize("loss", ["bce", "ssim", "huber", {"mse": 1, "ssim": 0.1}])
def test_any_loss_trains_and_is_saved(loss, tmp_path):
    model = small({"loss": loss, "learning_rate": 5e-3}, scheduled_sampling=0.0)
    clips = tf.constant(as_floats(moving_discs(16)))
    data = tf.data.Dataset.from_tensors(clips)
    before = model.evaluate(data, verbose=0, return_dict=True)
    for _ in range(8):
        model.train_step(clips)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    after = again.evaluate(data, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]
    assert again.get_compile_config() == model.get_compile_config()


def test_trained_predictions_beat_the_last_frame():
    model = small({"learning_rate": 1e-2}, filters=(12,), scheduled_sampling=((0, 0.0), (60, 1.0)))
    clips = as_floats(moving_discs(128))
    model.fit(tf.data.Dataset.from_tensor_slices(clips).batch(16), epochs=12, verbose=0)
    test = moving_discs(32, seed=1)
    predicted = as_floats(model.predict_frames(test[:, :3], 3))
    errors = ((predicted - as_floats(test[:, 3:])) ** 2).mean((0, 2, 3, 4))
    copied = ((as_floats(test[:, 2:3]) - as_floats(test[:, 3:])) ** 2).mean((0, 2, 3, 4))
    assert (errors < 0.9 * copied).all(), (errors, copied)


def test_what_is_read_again_is_data_for_the_gradient():
    """The gradient is that of a training on the frames that were read, whoever drew them."""
    model = lively(scheduled_sampling=1.0, context_frames=2, residual=None)
    frames = tf.constant(as_floats(moving_discs(2, 5)))
    own = tf.constant([[False, False, True, True]] * 2)
    variables = model.network.trainable_variables
    with tf.GradientTape() as tape:
        terms, _, predictions = model._terms(model.network, frames, own, (0, 1))
    drawn = tf.reshape(predictions, (2, 4, *model.image_shape))
    read = tf.concat([frames[:, :2], drawn[:, 1:3]], axis=1)
    with tf.GradientTape() as other:
        state, losses = model.network.initial_state(2), []
        for step in range(4):
            patches = model.network.fold(read[:, step : step + 1])[:, 0]
            prediction, state = model.network.predict(patches, state)
            target = model.network.fold(frames[:, step + 1 : step + 2])[:, 0]
            losses.append(tf.reduce_mean((prediction - target) ** 2, axis=(1, 2, 3)))
        loss = tf.reduce_mean(tf.stack(losses, axis=1), axis=1)
    np.testing.assert_allclose(terms["loss"], loss, rtol=1e-5)
    expected = other.gradient(loss, variables)
    for ours, theirs in zip(tape.gradient(terms["loss"], variables), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


# === Latents ===


def test_the_divergence_is_the_integral_over_the_densities():
    first = np.array([[0.7, -1.2]]), np.array([[-0.8, 0.5]])
    second = np.array([[0.1, 0.3]]), np.array([[0.4, -0.2]])
    x = np.linspace(-15, 15, 30001)[:, None]

    def density(mean, log_variance):
        variance = np.exp(log_variance)
        return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    p, q = density(*first), density(*second)
    expected = (p * np.log(p / q)).sum() * (x[1, 0] - x[0, 0])
    np.testing.assert_allclose(gaussian_divergence(first, second), [expected], rtol=1e-6)


@pytest.mark.parametrize(
    "changes", [{"latent_dim": 2}, {"sprites": 2}, {"sprites": 2, "latent_dim": 2}]
)
def test_gradients_are_the_same_bits_at_each_call(changes):
    """Sums of three or more gradients aren't: TensorFlow orders them by what becomes free first."""
    model = small(**changes)
    frames = tf.constant(as_floats(moving_discs(2, 5)))
    variables = model.network.trainable_variables

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            terms, *_ = model._terms(model.network, frames, None, (0, 1))
        return tape.gradient(terms["loss"], variables)

    first = [gradient.numpy() for gradient in gradients()]
    for _ in range(200):
        for now, before in zip(gradients(), first, strict=True):
            np.testing.assert_array_equal(now, before)


def test_the_stochastic_loss_is_reconstruction_plus_weighted_divergence():
    model = lively(latent_dim=3, beta=0.7, scheduled_sampling=0.0)
    clips = tf.constant(noise_clips(4))
    logs = model.train_step(clips)
    assert logs["kl"] > 0.01
    total = logs["reconstruction"] + 0.7 * logs["kl"]
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)


def test_seeds_draw_different_futures_of_one_past():
    model = lively(latent_dim=3)
    context = np.repeat(noise_clips(1, 3), 10, axis=0)
    futures = model.generate(context, 5, seed=1)
    assert len({future.tobytes() for future in futures}) == 10
    np.testing.assert_array_equal(futures, model.generate(context, 5, seed=1))
    np.testing.assert_array_equal(futures[:3], model.generate(context[:3], 5, seed=1))
    np.testing.assert_array_equal(futures[:, :2], model.generate(context, 2, seed=1))
    assert (futures != model.generate(context, 5, seed=2)).any()
    mean = model.predict_frames(context, 5)
    np.testing.assert_array_equal(mean, np.repeat(mean[:1], 10, axis=0))


def test_the_seed_is_of_no_account_without_latents():
    model = lively()
    context = noise_clips(2, 3)
    expected = model.predict_frames(context, 4)
    for seed in (0, 1, None):
        np.testing.assert_array_equal(model.generate(context, 4, seed=seed), expected)


def test_noise_is_standard_normal_and_a_row_s_own():
    seeds = tf.constant([[5, i] for i in range(200)], tf.int64)
    noise = draw_noise(seeds, 20, 4).numpy()
    assert noise.shape == (200, 20, 4)
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    np.testing.assert_array_equal(draw_noise(seeds[3:5], 7, 4), noise[3:5, :7])


def test_what_is_remembered_of_known_frames_knows_what_came_of_them():
    """The latents of the context's steps are the posterior's."""
    model = lively(latent_dim=3)
    network, clips = model.ema_network, noise_clips(8, 3)
    state, patches = network.initial_state(8), network.fold(clips)
    for step in range(2):
        state = network.observe(patches[:, step], patches[:, step + 1], state)[1]
    following, _ = network.predict(patches[:, 2], state)
    expected = as_uint8(network.unfold(following)).astype(int)
    assert np.abs(model.predict_frames(clips, 1)[:, 0] - expected).max() <= 1


# === Generation ===


def test_one_graph_serves_every_length():
    model = small()
    for frames, horizon in ((1, 1), (3, 1), (2, 7), (5, 12), (4, 2)):
        model.predict_frames(noise_clips(2, frames), horizon)
        model.predict_next(moving_discs(11, frames))
    assert model._rollout.experimental_get_tracing_count() == 1


def test_uint8_and_floats_are_the_same_and_rows_stand_alone():
    model = lively(latent_dim=2)
    clips = moving_discs(11)
    frames = model.predict_frames(clips[:, :3], 4)
    assert frames.shape == (11, 4, 16, 16, 1) and frames.dtype == np.uint8
    floats = clips.astype(np.float32) * np.float32(1 / 127.5) - 1
    np.testing.assert_array_equal(model.predict_frames(floats[:, :3], 4), frames)
    np.testing.assert_array_equal(model.predict_frames(clips[9:10, :3], 4)[0], frames[9])
    predicted = model.predict(floats, verbose=0)
    np.testing.assert_allclose(predicted, model(clips), atol=1e-4)


def test_evaluation_samples_are_frames_that_follow_the_clips_beginnings():
    model = lively(context_frames=2)
    clips = moving_discs(8)
    expected = model.generate(clips[:, :2], 4, seed=3).reshape(-1, 16, 16, 1)
    data = tf.data.Dataset.from_tensor_slices(as_floats(clips)).batch(3)
    for source in (clips, as_floats(clips), data, data.map(lambda x: (x, x[:, 0, 0, 0, 0]))):
        samples = model.evaluation_samples(10, seed=3, data=source)
        assert samples.dtype == np.uint8 and samples.shape == (10, 16, 16, 1)
        assert np.abs(samples.astype(int) - expected[:10]).max() <= 1
    assert model.evaluation_samples(100, data=data).shape == (100, 16, 16, 1)
    with pytest.raises(ValueError, match="data=None"):
        model.evaluation_samples(4)


def test_the_context_of_a_clip_is_half_of_it_or_what_was_asked_for():
    assert [small().context_length(t) for t in (2, 5, 20)] == [1, 2, 10]
    assert [small(context_frames=4).context_length(t) for t in (2, 5, 20)] == [1, 4, 4]


# === Preview and serving ===


def test_the_preview_shows_the_truth_above_predictions_and_marks_the_first():
    model = lively()
    clips = moving_discs(6)
    strips = model.preview((tf.constant(as_floats(clips)), tf.zeros(6)))["predictions"]
    assert strips.shape == (8, 6, 16, 16, 1)
    np.testing.assert_array_equal(strips[::2], clips[:4])
    np.testing.assert_array_equal(strips[1::2, :3], clips[:4, :3])
    predicted = model.predict_frames(clips[:4, :3], 3)
    np.testing.assert_array_equal(strips[1::2, 4:], predicted[:, 1:])
    first = strips[1::2, 3]
    np.testing.assert_array_equal(first[:, 2:-2, 2:-2], predicted[:, 0, 2:-2, 2:-2])
    np.testing.assert_array_equal(first[:, 0], predicted[:, 0, 0])
    ring = first[:, 1:-1, 1:-1]
    for edge in (ring[:, 0], ring[:, -1], ring[:, :, 0], ring[:, :, -1]):
        assert all(len(np.unique(border)) == 1 for border in edge)
        for border, inner in zip(edge, predicted[:, 0], strict=True):
            assert abs(float(border.flat[0]) - inner[0].mean()) > 50
    assert model.preview() == {}
    np.testing.assert_array_equal(model.preview(clips)["predictions"], strips)


def test_the_moving_preview_shows_the_truth_beside_marked_predictions():
    model = lively()
    clips = moving_discs(6)
    film = model.moving_preview(as_floats(clips))["rollouts"]
    assert film.shape == (6, 4, 2, 16, 16, 1)
    np.testing.assert_array_equal(film[:, :, 0].swapaxes(0, 1), clips[:4])
    np.testing.assert_array_equal(film[:3, :, 1].swapaxes(0, 1), clips[:4, :3])
    predicted = model.predict_frames(clips[:4, :3], 3).swapaxes(0, 1)
    inside = (..., slice(2, -2), slice(2, -2), slice(None))
    np.testing.assert_array_equal(film[3:, :, 1][inside], predicted[inside])
    ring = film[3:, :, 1, 1:-1, 1:-1]
    for edge in (ring[:, :, 0], ring[:, :, -1], ring[:, :, :, 0], ring[:, :, :, -1]):
        assert (edge == 255).all()
    assert model.moving_preview() == {}


def test_the_preview_of_a_stochastic_model_shows_several_futures():
    model = lively(latent_dim=3)
    clips = moving_discs(2)
    futures = model.preview(clips)["futures"]
    assert futures.shape == (4, 6, 16, 16, 1)
    np.testing.assert_array_equal(futures[0], clips[0])
    assert (futures[1, 4:] != futures[2, 4:]).any()


def test_the_marker_is_seen_on_white_and_leaves_alpha_opaque():
    from kerasgen.models.conv_lstm.preview import _mark

    frame = np.full((6, 6, 4), 255, np.uint8)
    frame[..., 3] = 0
    _mark(frame)
    np.testing.assert_array_equal(frame[1, 1], [0, 0, 0, 255])
    np.testing.assert_array_equal(frame[2, 2], [255, 255, 255, 0])


# === Bad input ===


@pytest.mark.parametrize(
    "changes",
    [
        {"patch_size": 0},
        {"filters": ()},
        {"filters": (8, 0)},
        {"filters": 2.5},
        {"kernel_size": 0},
        {"residual": "sum"},
        {"sprites": -1},
        {"latent_dim": 3, "sprites": 2},
        {"latent_dim": -1},
        {"beta": -1.0},
        {"beta": float("nan")},
        {"context_frames": 0},
        {"scheduled_sampling": 1.5},
        {"scheduled_sampling": None},
        {"scheduled_sampling": ((0, 0.0),)},
        {"scheduled_sampling": ((5, 0.0), (5, 1.0))},
        {"reverse_scheduled_sampling": ((0, 0.0), (5, 2.0))},
        {"ema_decay": 1.0},
    ],
)
def test_bad_arguments_are_named(changes):
    with pytest.raises(ValueError, match=f"Received: {next(iter(changes))}="):
        kerasgen.ConvLSTMGenerator(**{**SMALL, **changes})


def test_the_message_names_sizes_that_would_do():
    with pytest.raises(ValueError, match="multiples of 4 and at .* near 30 that is 28 or 32"):
        kerasgen.ConvLSTMGenerator((30, 32, 3))
    assert kerasgen.ConvLSTMGenerator((30, 32, 3), patch_size=2, filters=4).filters == (4,)


def test_bad_compile_arguments_are_named():
    model = kerasgen.ConvLSTMGenerator(**SMALL)
    for loss, message in (
        ("mess", "loss='mess'"),
        ({}, "loss={}"),
        ({"mse": 0}, "loss={'mse': 0}"),
        ({"mess": 1.0}, "Did you mean 'mse'"),
    ):
        with pytest.raises(ValueError, match=message):
            model.compile(loss=loss)
    with pytest.raises(ValueError, match="learning_rate=0"):
        model.compile(learning_rate=0)
    with pytest.raises(TypeError, match="optimizer"):
        model.compile(metrics=["mae"])
    with pytest.raises(ValueError, match="11 x 11"):
        small({"loss": {"mse": 1.0, "ssim": 0.1}}, frame_shape=(8, 16, 1))
    assert WeightedLoss({"mse": 1}).get_config()["weights"] == {"mse": 1.0}


def test_bad_calls_are_named():
    model = small()
    clips = noise_clips()
    nan = np.where(clips > 0.9, np.nan, clips)
    endless = tf.data.Dataset.from_generator(
        lambda: iter([clips]), output_signature=tf.TensorSpec((2, None, 16, 16, 1), tf.float32)
    )
    for call, message in (
        (lambda: model.generate(16, seed=0), "give `context`.*context=16"),
        (lambda: model.generate(seed=0), "give `context`.*context=None"),
        (lambda: model.generate(clips, 3, seed=0.5), "seed=0.5"),
        (lambda: model.predict_frames(clips, 0), "num_frames=0"),
        (lambda: model.predict_frames(clips, -3), "num_frames=-3"),
        (lambda: model.predict_frames(clips[0], 3), r"shape=\(5, 16, 16, 1\)"),
        (lambda: model.predict_frames(clips[:, :, :8], 3), r"shape=\(2, 5, 8, 16, 1\)"),
        (lambda: model.predict_frames(clips[:0], 3), "at least one"),
        (lambda: model.predict_frames(clips[:, :0], 3), "at least 1 frame"),
        (lambda: model.predict_frames(clips.astype(int), 3), "dtype=int64"),
        (lambda: model.predict_frames((clips + 1) * 127.5, 3), r"give uint8 for \[0, 255\]"),
        (lambda: model.predict_frames(nan, 3), "finite"),
        (lambda: model.predict_next(nan), "finite"),
        (lambda: model.predict_frames([[clips[0, 0], clips[0, 0, :8]]], 3), "of one size"),
        (lambda: model.preview(clips[:, :1]), "at least 2 frames"),
        (lambda: model.evaluation_samples(4, data=clips[:, :1]), "at least 2 frames"),
        (lambda: model.evaluation_samples(4, data=endless), "one length"),
        (lambda: model.evaluation_samples(0, data=clips), "num_images=0"),
        (lambda: model.fit(tf.data.Dataset.from_tensors(clips[:, :1])), "at least two frames"),
        (lambda: model.fit(endless, verbose=0), "at least two frames"),
        (lambda: model.fit(tf.data.Dataset.from_tensors(clips[..., :8, :])), r"\(2, 5, 16, 8, 1\)"),
        (lambda: model.fit(tf.data.Dataset.from_tensors(as_uint8(clips))), "dtype=uint8"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
