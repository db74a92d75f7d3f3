"""The convolutional autoencoder: the shared checks, and what is its own."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_checks import ModelChecks
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import kerasgen
from kerasgen import samplers
from kerasgen.data import collect_images
from kerasgen.data.collect import sample_images
from kerasgen.interpolation import path_between
from kerasgen.models.conv_autoencoder.codes import kl_divergence
from kerasgen.picture_files import decode_pictures

SMALL = {"image_shape": (16, 16, 1), "latent_dim": 8, "filters": 8}
GAUSSIAN = keras.saving.serialize_keras_object(samplers.GaussianSampler(8))


class AutoencoderChecks(ModelChecks):
    model_class = kerasgen.ConvAutoencoder
    networks = ["encoder", "decoder"]
    batch_statistics = False
    optimizers = ["optimizer"]
    falling = "loss"


class TestDeterministic(AutoencoderChecks):
    init_kwargs = {**SMALL, "sampler": GAUSSIAN}


class TestVariational(AutoencoderChecks):
    init_kwargs = {**SMALL, "variational": True, "beta": 0.5, "kl_warmup": 4}
    shapes = [(12, 20, 3)]


class TestRegularised(AutoencoderChecks):
    init_kwargs = {
        **SMALL,
        "code_penalty": 0.01,
        "decoder_penalty": "spectral",
        "corruption": ("mask", 0.1),
        "sampler": GAUSSIAN,
    }
    shapes = [(8, 12, 4)]


def small(compile_kwargs=None, **changes):
    model = kerasgen.ConvAutoencoder(**{**SMALL, **changes})
    model.compile(**(compile_kwargs or {}))
    return model


def batch(count=8, shape=(16, 16, 1), seed=0):
    images = np.random.default_rng(seed).uniform(-1, 1, (count, *shape))
    return tf.constant(images, tf.float32)


def discs(count=64, seed=0):
    return next(iter(AutoencoderChecks.data(TestDeterministic(), count=count, batch_size=count)))


def trained(count=64, epochs=30, **changes):
    model = small(**changes)
    images = discs(count)
    data = tf.data.Dataset.from_tensor_slices(images).batch(16)
    model.fit(data, epochs=epochs, verbose=0)
    return model, images


def as_uint8(images):
    return np.clip(np.round((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


# === Training ===


def test_the_default_rate_falls_with_the_steps(tmp_path):
    model = small()
    assert float(model.optimizer.learning_rate) == pytest.approx(3e-3)
    model.optimizer.iterations.assign(30_000)
    assert float(model.optimizer.learning_rate) == pytest.approx(3e-3 / 4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert float(again.optimizer.learning_rate) == pytest.approx(3e-3 / 4)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    model = small({"learning_rate": schedule})
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)


def test_one_step_is_one_adam_update():
    """An independent step: own loss by hand, own Adam formula."""
    model = small({"learning_rate": 2e-3})
    images = batch()
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    before = [v.numpy() for v in variables]
    with tf.GradientTape() as tape:
        reconstructions = model.decoder(model.encoder(images, training=True), training=True)
        loss = tf.reduce_sum((images - reconstructions) ** 2) / (8 * 16 * 16)
    gradients = tape.gradient(loss, [v.value for v in variables])

    logs = model.train_step(images)

    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(logs["reconstruction"], loss, rtol=1e-5)
    mse = np.mean((images - reconstructions) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(logs["psnr"], np.mean(10 * np.log10(4 / mse)), rtol=1e-5)
    assert int(model.step) == 1
    for variable, old, gradient in zip(variables, before, gradients, strict=True):
        # Adam's first step: bias correction leaves gradient / (|gradient| + epsilon).
        g = gradient.numpy()
        update = 2e-3 * np.sqrt(0.001) / 0.1 * 0.1 * g / (np.sqrt(0.001 * g**2) + 1e-7)
        np.testing.assert_allclose(variable, old - update, atol=2e-6)


def test_the_optimizer_has_moments_of_the_networks_alone():
    model = small(sampler="gaussian")
    assert not model.sampler.trainable_variables
    moments = sum(np.prod(v.shape) for v in model.optimizer.variables if "momentum" in v.path)
    assert moments == model.encoder.count_params() + model.decoder.count_params()


def test_everything_but_training_uses_the_moving_average():
    model = small()
    images = discs(16)
    networks = (model.encoder, model.decoder), (model.ema_encoder, model.ema_decoder)
    average = [v.numpy() for network in networks[0] for v in network.variables]
    for step in range(3):
        model.train_step(images)
        decay = (1 + step) / (10 + step)  # below ema_decay
        values = [v.numpy() for network in networks[0] for v in network.variables]
        average = [
            decay * mean + (1 - decay) * value for mean, value in zip(average, values, strict=True)
        ]
    means = [v.numpy() for network in networks[1] for v in network.variables]
    for mean, expected in zip(means, average, strict=True):
        np.testing.assert_allclose(mean, expected, atol=1e-6)
    assert not model.ema_encoder.trainable_variables
    outputs = model.ema_decoder(model.ema_encoder(images)).numpy()
    assert (outputs != model.decoder(model.encoder(images)).numpy()).any()
    logs = model.evaluate(tf.data.Dataset.from_tensors(images), verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], np.mean((images - outputs) ** 2), rtol=1e-5)
    assert np.abs(model.reconstruct(images.numpy()).astype(int) - as_uint8(outputs)).max() <= 1


def test_without_averaging_there_is_one_pair_of_networks(tmp_path):
    model, images = trained(ema_decay=0.0, epochs=1)
    assert model.ema_encoder is model.encoder and model.ema_decoder is model.decoder
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.ema_decoder is again.decoder
    np.testing.assert_array_equal(again.reconstruct(images), model.reconstruct(images))
    once, twice = (m.count_params() - m.sampler.count_params() for m in (model, small()))
    assert twice == 2 * once - 2  # the steps


def test_reconstructions_beat_the_mean_picture():
    model, images = trained(count=128)
    images = images.numpy()
    floats = model.reconstruct(images).astype(np.float32) / 127.5 - 1
    errors = ((images - floats) ** 2).mean((1, 2, 3))
    baseline = ((images - images.mean(0)) ** 2).mean((1, 2, 3))
    assert errors.mean() < 0.3 * baseline.mean()


def test_logs_are_skimage_s_means_over_pictures():
    model, images = trained(epochs=3)
    logs = model.evaluate(tf.data.Dataset.from_tensors(images), verbose=0, return_dict=True)
    floats = np.asarray(images, np.float64)
    outputs = np.asarray(model(images), np.float64)
    pairs = list(zip((floats + 1) / 2, (outputs + 1) / 2, strict=True))
    psnr = [peak_signal_noise_ratio(*pair, data_range=1) for pair in pairs]
    ssim = [
        structural_similarity(
            *pair,
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for pair in pairs
    ]
    np.testing.assert_allclose(logs["psnr"], np.mean(psnr), rtol=1e-6)
    np.testing.assert_allclose(logs["ssim"], np.mean(ssim), atol=1e-6)


def test_training_logs_psnr_of_all_and_ssim_of_every_twentieth_batch():
    model = small({"learning_rate": 1e-12})
    batches = tf.stack([batch(4, seed=number) for number in range(25)])
    history = model.fit(
        tf.data.Dataset.from_tensor_slices(batches).repeat(2),
        epochs=2,
        steps_per_epoch=25,
        verbose=0,
    ).history
    outputs = [model.decoder(model.encoder(images)) for images in batches]
    for epoch, steps in enumerate([(0, 20), (25, 40)]):
        ssim, psnr = kerasgen.metrics.SSIM(), kerasgen.metrics.PSNR()
        for step in steps:
            ssim.update_state(batches[step % 25], outputs[step % 25])
        for images, output in zip(batches, outputs, strict=True):
            psnr.update_state(images, output)
        np.testing.assert_allclose(history["ssim"][epoch], ssim.result(), atol=1e-6)
        np.testing.assert_allclose(history["psnr"][epoch], psnr.result(), rtol=1e-5)


def test_small_pictures_have_no_ssim():
    model = small(image_shape=(8, 16, 1))
    images = tf.data.Dataset.from_tensors(batch(4, (8, 16, 1)))
    logs = model.fit(images, validation_data=images, verbose=0).history
    assert set(logs) == {
        f"{prefix}{name}" for prefix in ("", "val_") for name in ("loss", "reconstruction", "psnr")
    }


@pytest.mark.parametrize("loss", ["ssim", "huber", keras.losses.LogCosh()])
def test_any_loss_trains_and_is_saved(loss, tmp_path):
    model = small({"loss": loss})
    images = discs()
    before = model.evaluate(tf.data.Dataset.from_tensors(images), verbose=0, return_dict=True)
    for _ in range(6):
        model.train_step(images)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    after = again.evaluate(tf.data.Dataset.from_tensors(images), verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]
    assert again.get_compile_config() == model.get_compile_config()


# === Variational ===


def test_kl_is_the_integral_over_the_densities():
    mean, log_variance = np.array([[0.7, -1.2]]), np.array([[-0.8, 0.5]])
    x = np.linspace(-12, 12, 20001)[:, None]
    variance = np.exp(log_variance)
    q = np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    p = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    expected = (q * np.log(q / p)).sum() * (x[1, 0] - x[0, 0])
    np.testing.assert_allclose(kl_divergence(mean, log_variance), [expected], rtol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "mae", "bce"])
def test_the_loss_is_the_negative_elbo_in_nats(loss):
    """Evaluated, with the code drawn as the model draws it; every density written out."""
    model = small({"loss": loss}, variational=True, beta=3.0, kl_warmup=100)
    images = discs(32)
    for _ in range(3):
        model.train_step(images)
    logs = model.evaluate(tf.data.Dataset.from_tensors(images), verbose=0, return_dict=True)

    mean, log_variance = np.split(model.ema_encoder(images).numpy().astype(np.float64), 2, axis=1)
    noise = tf.random.stateless_normal((32, 8), model.step_seed(1, 0), alg="philox").numpy()
    codes = mean + np.exp(log_variance / 2) * noise
    outputs = model.ema_decoder(codes.astype(np.float32)).numpy().astype(np.float64)
    x, scale = images.numpy().astype(np.float64), float(model.scale.numpy())
    p, t = np.clip((outputs + 1) / 2, 1e-6, 1 - 1e-6), (x + 1) / 2
    nats = {
        "mse": 0.5 * np.log(2 * np.pi * scale) + (x - outputs) ** 2 / (2 * scale),
        "mae": np.log(2 * scale) + np.abs(x - outputs) / scale,
        "bce": -(t * np.log(p) + (1 - t) * np.log(1 - p)),
    }[loss].sum((1, 2, 3))
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1)
    np.testing.assert_allclose(logs["reconstruction"], nats.mean(), rtol=1e-4)
    np.testing.assert_allclose(logs["kl"], kl.mean(), rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], nats.mean() + 3 * kl.mean(), rtol=1e-4)
    assert model.encode(images).shape == (32, 8)
    np.testing.assert_allclose(model.encode(images), mean, atol=1e-5)


def test_the_likelihood_s_scale_follows_the_mean_error():
    model = small(variational=True)
    images, scale = discs(32), 1.0
    for step in range(3):
        before = [v.numpy() for v in model.variables]
        mean, log_variance = tf.split(model.encoder(images), 2, axis=1)
        noise = tf.random.stateless_normal((32, 8), model.step_seed(1), alg="philox")
        outputs = model.decoder(mean + tf.exp(log_variance / 2) * noise)
        decay = min(0.99, (1 + step) / (10 + step))
        scale = decay * scale + (1 - decay) * np.mean((images - outputs) ** 2)
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable, value)
        model.train_step(images)
        np.testing.assert_allclose(model.scale, scale, rtol=1e-5)


def test_the_divergence_s_weight_rises_over_the_warm_up():
    model = small(variational=True, beta=2.0, kl_warmup=4)
    images = discs(16)
    weights = []
    for _ in range(6):
        model.reset_metrics()
        logs = {name: float(value) for name, value in model.train_step(images).items()}
        weights.append((logs["loss"] - logs["reconstruction"]) / logs["kl"])
    np.testing.assert_allclose(weights, [0, 0.5, 1, 1.5, 2, 2], atol=2e-3)


def test_a_variational_model_generates_at_once_from_its_prior():
    model = small(variational=True)
    codes = model.sampler.sample(64, seed=3)
    np.testing.assert_array_equal(model.generate(64, seed=3), model.decode(codes))
    assert abs(codes.mean()) < 0.15 and abs(codes.std() - 1) < 0.1
    assert "generate_png" in model.serving_signatures()


# === Denoising and regularising ===


def copying(**changes):
    """A model whose reconstructions are its inputs: encoder and decoder are the identity."""
    model = kerasgen.ConvAutoencoder((8, 8, 1), latent_dim=64, filters=2, ema_decay=0.0, **changes)
    identity = keras.layers.Dense(64, kernel_initializer=keras.initializers.Identity())
    model.encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), identity])
    model.decoder = keras.Sequential([keras.Input((64,)), keras.layers.Reshape((8, 8, 1))])
    model.ema_encoder, model.ema_decoder = model.encoder, model.decoder
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    return model


@pytest.mark.parametrize("corruption", [("gaussian", 0.1), 0.1, ("mask", 0.3)])
def test_a_copy_of_the_corrupted_input_misses_the_clean_target(corruption):
    model = copying(corruption=corruption)
    images = batch(256, (8, 8, 1)) / 3  # leaves room for noise within [-1, 1]
    power = 0.01 if corruption != ("mask", 0.3) else 0.3 * np.mean(images**2)
    losses = []
    for _ in range(2):
        model.reset_metrics()
        losses.append(float(model.train_step(images)["loss"]))
    np.testing.assert_allclose(losses, power, rtol=0.04)
    assert losses[0] != losses[1]  # a new corruption at each step
    logs = model.evaluate(tf.data.Dataset.from_tensors(images), verbose=0, return_dict=True)
    assert logs["loss"] < 1e-12
    assert model.anomaly_score(images.numpy()).max() < 1e-12


def test_masked_pixels_are_grey_in_all_channels():
    from kerasgen.models.conv_autoencoder.corruption import corrupt

    images = batch(4, (16, 16, 3)).numpy()
    masked = corrupt(tf.constant(images), ("mask", 0.25), (1, 2)).numpy()
    gone = (masked == 0).all(-1)
    np.testing.assert_array_equal(masked[~gone], images[~gone])
    assert 0.2 < gone.mean() < 0.3


def test_penalties_are_half_the_squared_length_and_the_squared_kernels():
    model = small(code_penalty=0.2, decoder_penalty="l2", decoder_penalty_weight=0.03)
    images = batch()
    codes = model.encoder(images).numpy()
    mse = np.mean((images - model(images)) ** 2)
    kernels = [w for w in model.decoder.get_weights() if w.ndim > 1]
    assert len(kernels) == 3
    lengths = (codes**2).sum(1).mean() / 2
    squares = sum((kernel**2).sum() for kernel in kernels)
    logs = model.train_step(images)
    np.testing.assert_allclose(logs["code_norm"], lengths, rtol=1e-5)
    np.testing.assert_allclose(logs["decoder_norm"], squares, rtol=1e-5)
    total = mse + (0.2 * lengths + 0.03 * squares) / 256
    np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)


def test_the_gradient_penalty_is_the_jacobian_s_squared_norm():
    model = small(decoder_penalty="gradient", decoder_penalty_weight=0.5)
    images = batch(2)
    codes = model.encoder(images)
    with tf.GradientTape() as tape:
        tape.watch(codes)
        outputs = model.decoder(codes)
    jacobian = tape.batch_jacobian(outputs, codes).numpy().reshape(2, 256, 8)
    directions = tf.random.stateless_normal((2, 16, 16, 1), model.step_seed(2, 0), alg="philox")
    slopes = np.einsum("np,npd->nd", directions.numpy().reshape(2, 256), jacobian)
    data = tf.data.Dataset.from_tensors(images)
    logs = model.evaluate(data, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["decoder_norm"], (slopes**2).sum(1).mean() / 2, rtol=1e-4)
    mse = np.mean((images - outputs) ** 2)
    np.testing.assert_allclose(logs["loss"], mse + 0.5 * logs["decoder_norm"] / 256, rtol=1e-5)
    # The mean over directions is half the Jacobian's squared Frobenius norm.
    repeated = model.evaluate(data.repeat(200), verbose=0, return_dict=True)
    expected = (jacobian**2).sum((1, 2)).mean() / 2
    np.testing.assert_allclose(repeated["decoder_norm"], expected, rtol=0.1)


def test_the_gradient_penalty_trains_the_decoder_through_the_slope():
    images, norms = discs(16), {}
    for weight in (0.0, 3.0):
        model = small(decoder_penalty="gradient", decoder_penalty_weight=weight)
        for _ in range(12):
            model.reset_metrics()
            logs = model.train_step(images)
        norms[weight] = float(logs["decoder_norm"])
    assert norms[3.0] < 0.5 * norms[0.0]


# === Codes ===


def test_encode_and_reconstruct_take_uint8_and_floats_and_rows_stand_alone():
    model, images = trained(epochs=2)
    floats = images.numpy()
    codes = model.encode(floats)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes, model.ema_encoder(images), atol=1e-5)
    np.testing.assert_array_equal(model.encode(as_uint8(floats)), model.encode(floats))
    np.testing.assert_array_equal(model.encode(floats[40:41]), codes[40:41])
    np.testing.assert_array_equal(model.reconstruct(floats), model.decode(codes))
    assert np.abs(model.decode(codes).astype(int) - as_uint8(model(images))).max() <= 1
    np.testing.assert_allclose(model.predict(floats, verbose=0), model(images), atol=1e-6)


def test_the_anomaly_score_is_the_squared_error_and_tells_strange_pictures():
    model, images = trained(epochs=30)
    expected = ((images - model(images).numpy()) ** 2).numpy().mean((1, 2, 3))
    scores = model.anomaly_score(images.numpy())
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    np.testing.assert_allclose(model.anomaly_score(as_uint8(images)), expected, atol=1e-4)
    assert model.anomaly_score(batch(16).numpy()).min() > scores.max()


@pytest.mark.parametrize("method", ["linear", "spherical"])
def test_interpolations_end_at_the_reconstructions(method):
    model, images = trained(epochs=4)
    a, b = images.numpy()[:3], as_uint8(images)[3:6]
    path = model.interpolate(a, b, steps=5, method=method)
    assert path.shape == (3, 5, 16, 16, 1)
    np.testing.assert_array_equal(path[:, 0], model.reconstruct(a))
    np.testing.assert_array_equal(path[:, -1], model.reconstruct(b))
    codes = model.encode(a), model.encode(b)
    np.testing.assert_array_equal(path, model.interpolate(*codes, steps=5, method=method))
    middle = path_between(*codes, 5, method)[:, 2]
    np.testing.assert_array_equal(path[:, 2], model.decode(middle))
    np.testing.assert_array_equal(path[1], model.interpolate(a[1], b[1], 5, method))
    np.testing.assert_array_equal(path[1], model.interpolate(codes[0][1], codes[1][1], 5, method))


# === Generation ===


def test_a_fitted_sampler_is_saved_with_the_model(tmp_path):
    model, images = trained(epochs=2)
    model.fit_sampler(images.numpy(), sampler="gaussian")
    pictures = model.generate(5, seed=1)
    codes = model.sampler.sample(2000, seed=0)
    np.testing.assert_allclose(codes.mean(0), model.encode(images).mean(0), atol=0.3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.sampler) is type(model.sampler)
    np.testing.assert_array_equal(again.generate(5, seed=1), pictures)


def test_another_sampler_replaces_the_model_s(tmp_path):
    model, images = trained(epochs=1)
    first = model.sampler
    model.fit_sampler(images.numpy(), sampler="normal")
    assert first not in model._flatten_layers()
    assert not {id(v) for v in first.variables} & {id(v) for v in model.variables}
    assert {id(v) for v in model.sampler.variables} <= {id(v) for v in model.variables}
    assert model.get_config()["sampler"]["class_name"] == type(model.sampler).__name__
    before = model.generate(4, seed=0)
    model.fit_sampler(images.numpy(), sampler=samplers.get("gaussian", 8))
    after = model.generate(4, seed=0)
    assert (before != after).any()
    model.fit(tf.data.Dataset.from_tensors(images), verbose=0)  # goes on
    model.fit_sampler(images.numpy())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.generate(4, seed=0), model.generate(4, seed=0))
    with pytest.raises(ValueError, match="Received"):
        model.fit_sampler(images.numpy()[:2], sampler="gaussian")
    np.testing.assert_array_equal(again.generate(4, seed=0), model.generate(4, seed=0))


def test_samplers_are_fitted_to_the_pipeline_s_codes():
    model = small()
    data = TestDeterministic().data(count=48)
    data.epoch.assign(3)

    class Recorder(type(samplers.get("gaussian", 8))):
        def _fit(self, codes, seed):
            self.codes = codes
            super()._fit(codes, seed)

    recorder = Recorder(8)
    labelled = data.map(lambda images: (images, tf.zeros(tf.shape(images)[0])))
    labelled.epoch = data.epoch
    model.fit_sampler(labelled, recorder)
    pictures = collect_images(data)[0]
    np.testing.assert_allclose(recorder.codes, model.encode(pictures), atol=1e-6)
    model.fit_sampler(data, max_images=20)
    np.testing.assert_allclose(recorder.codes, model.encode(sample_images(data, 20)), atol=1e-6)
    model.fit_sampler(pictures.astype(np.float32) / 127.5 - 1)
    np.testing.assert_allclose(recorder.codes, model.encode(pictures), atol=1e-6)
    assert int(data.epoch) == 3


def test_diversity_is_that_of_reconstructions():
    model = small()
    data = TestDeterministic().data(count=48)
    images = model.diversity_samples(20, seed=1, data=data)
    np.testing.assert_array_equal(images, model.reconstruct(sample_images(data, 20, seed=1)))
    model.fit_sampler(data, sampler="gaussian")
    np.testing.assert_array_equal(model.diversity_samples(9, seed=1), model.generate(9, seed=1))


def test_a_variational_sampler_learns_the_codes_that_the_decoder_knows():
    model = small(variational=True)
    images = np.repeat(discs(1).numpy(), 2000, axis=0)
    model.fit_sampler(images, sampler="gaussian")
    mean, log_variance = np.split(model.encoder(images[:1]).numpy()[0], 2)
    codes = model.sampler.sample(4000, seed=0)
    np.testing.assert_allclose(codes.mean(0), mean, atol=0.15)
    np.testing.assert_allclose(codes.std(0), np.exp(log_variance / 2), rtol=0.1)


def test_generating_before_a_sampler_is_fitted_says_how():
    model = small()
    with pytest.raises(ValueError, match=r"model\.fit_sampler\(dataset\)"):
        model.generate(4)
    assert "generate_png" not in model.serving_signatures()


def test_refined_codes_reconstruct_better_each_for_itself():
    model, images = trained(count=40)
    pictures = as_uint8(images)

    def errors(codes):
        decoded = model.ema_decoder(codes).numpy()
        return np.mean((decoded - (pictures / 127.5 - 1)) ** 2, axis=(1, 2, 3))

    codes, refined = model.encode(pictures), model.encode(pictures, refinement=50)
    assert (errors(refined) < errors(codes)).all()
    assert errors(refined).mean() < 0.92 * errors(codes).mean()
    np.testing.assert_allclose(model.encode(pictures[5:6], 50), refined[5:6], atol=1e-5)
    np.testing.assert_array_equal(model.encode(pictures, 0), codes)
    np.testing.assert_array_equal(model.reconstruct(pictures, 50), model.decode(refined))


def test_refinement_takes_adam_s_steps():
    model, images = trained(count=8)
    steps = 3
    expected = tf.Variable(model.mean_codes(images))
    size = 0.1 * tf.sqrt(tf.reduce_mean(tf.square(expected), axis=1, keepdims=True)).numpy()
    # In units of each code's own size, the steps are those of Keras' Adam.
    scaled = keras.Variable(tf.zeros_like(expected))
    start = expected.numpy()
    optimizer = keras.optimizers.Adam(1.0, beta_2=0.99, epsilon=0.0)
    optimizer.build([scaled])
    for step in range(steps):
        optimizer.learning_rate = 1 - step / steps
        with tf.GradientTape() as tape:
            decoded = model.ema_decoder(start + size * scaled.value)
            loss = tf.reduce_sum((decoded - images) ** 2)
        optimizer.apply([tape.gradient(loss, scaled.value)], [scaled])
    refined = model.encode(images.numpy(), refinement=steps)
    np.testing.assert_allclose(refined, start + size * scaled.numpy(), rtol=1e-3, atol=1e-4)


def test_evaluation_samples_follow_the_codes():
    model, images = trained(epochs=1)
    model.fit_sampler(images.numpy(), sampler="gaussian")
    first = model.evaluation_samples(6, seed=2, data=images.numpy())
    np.testing.assert_array_equal(first, model.generate(6, seed=2))
    model.fit(tf.data.Dataset.from_tensors(images), epochs=3, verbose=0)
    second = model.evaluation_samples(6, seed=2, data=images.numpy())
    assert (first != second).any()
    # The model's own sampler is as it was, until it is fitted.
    assert (second != model.evaluation_samples(6, seed=2)).any()
    model.fit_sampler(images.numpy())
    np.testing.assert_array_equal(second, model.evaluation_samples(6, seed=2))


def test_a_mixture_stands_in_for_the_flow_while_the_model_trains():
    model, images = trained(epochs=1)
    assert isinstance(model.sampler, samplers.FlowSampler)
    variables = len(model.variables)
    drawn = model.evaluation_samples(64, seed=0, data=images.numpy())
    mixture = samplers.MixtureSampler(8, components=9)
    mixture.fit(model.encode(images.numpy()), seed=model.seed)
    expected = model.decode(mixture.sample(64, seed=0))
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(model.preview()["samples"].reshape(expected.shape), expected)
    assert not model.sampler.fitted and len(model.variables) == variables
    model.fit(tf.data.Dataset.from_tensors(images), epochs=1, verbose=0)
    assert model.preview() == {}  # the codes have moved away


# === Preview and serving ===


def test_the_preview_shows_inputs_above_reconstructions_and_walks():
    model, images = trained(epochs=2, corruption=0.2)
    grids = model.preview((images[:20], tf.zeros(20)))
    assert grids.keys() == {"reconstructions", "denoised", "walk"}
    pairs = grids["reconstructions"]
    assert pairs.shape == (4, 8, 16, 16, 1)
    np.testing.assert_array_equal(pairs[0], as_uint8(images)[:8])
    np.testing.assert_array_equal(pairs[2], as_uint8(images)[8:16])
    np.testing.assert_array_equal(pairs[3], model.reconstruct(images.numpy())[8:16])
    noise = grids["denoised"][0].astype(float) - pairs[0]
    assert 5 < noise.std() < 0.2 * 127.5
    np.testing.assert_array_equal(
        grids["walk"][1], model.interpolate(images.numpy()[2], images.numpy()[3])
    )
    assert model.preview() == {}
    model.fit_sampler(images.numpy(), sampler="gaussian")
    samples = model.preview()["samples"]
    np.testing.assert_array_equal(samples.reshape(64, 16, 16, 1), model.generate(64, seed=0))
    model.fit(tf.data.Dataset.from_tensors(images), epochs=1, verbose=0)
    assert model.preview() == {}  # the codes have moved away from the sampler


def test_the_prior_s_samples_are_always_shown():
    model, images = trained(variational=True, epochs=1)
    samples = model.preview()["samples"]
    np.testing.assert_array_equal(samples.reshape(64, 16, 16, 1), model.generate(64, seed=0))


def test_served_rows_are_the_methods_results():
    model, images = trained(epochs=2)
    pictures = as_uint8(images)[:3]
    signatures = model.serving_signatures()
    assert next(iter(signatures)) == "reconstruct"
    taken = {
        "": pictures / np.float32(255),
        "_uint8": pictures,
        "_png": np.array([encoded(picture[..., 0], "PNG") for picture in pictures]),
    }
    reconstructions = model.reconstruct(pictures).astype(int)
    for kind, inputs in taken.items():
        code = signatures[f"encode{kind}"](tf.constant(inputs))["code"]
        np.testing.assert_allclose(code, model.encode(pictures), atol=1e-5)
        score = signatures[f"anomaly_score{kind}"](tf.constant(inputs))["score"]
        np.testing.assert_allclose(score, model.anomaly_score(pictures), rtol=1e-4)
        (image,) = signatures[f"reconstruct{kind}"](tf.constant(inputs)).values()
        if kind == "_png":
            image = np.stack([tf.io.decode_image(png) for png in image.numpy()])
        elif kind == "":
            assert image.dtype == tf.float32
            image = image * 255
        atol = 0.51 if kind == "" else 1
        np.testing.assert_allclose(np.float32(image), reconstructions, atol=atol)
    image = signatures["decode"](code)["image"]
    np.testing.assert_allclose(image * 255, model.decode(code.numpy()), atol=0.51)
    for png, expected in zip(
        signatures["decode_png"](code)["image_bytes"].numpy(), reconstructions, strict=True
    ):
        assert np.abs(np.asarray(Image.open(io.BytesIO(png)))[..., None] - expected).max() <= 1


def encoded(array, kind):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **({"quality": 98} if kind == "JPEG" else {}))
    return buffer.getvalue()


def decoded(array, shape, kind="PNG"):
    pixels = decode_pictures(tf.constant([encoded(np.uint8(array), kind)]), shape)
    assert pixels.shape == (1, *shape)
    return (pixels.numpy()[0] + 1) * 127.5


def test_files_become_pictures_as_pillow_reads_them():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (8, 12, 3))
    np.testing.assert_allclose(decoded(colour, (8, 12, 3)), colour, atol=1e-4)
    grey = np.asarray(Image.fromarray(np.uint8(colour)).convert("L"))
    np.testing.assert_allclose(decoded(colour, (8, 12, 1))[..., 0], grey, atol=1)
    np.testing.assert_allclose(decoded(grey, (8, 12, 3)), grey[..., None].repeat(3, -1), atol=1e-4)
    alpha = np.concatenate([colour, rng.integers(0, 256, (8, 12, 1))], -1)
    np.testing.assert_allclose(decoded(alpha, (8, 12, 4)), alpha, atol=1e-4)
    over_white = (colour * alpha[..., 3:] + 255 * (255 - alpha[..., 3:])) / 255
    np.testing.assert_allclose(decoded(alpha, (8, 12, 3)), over_white, atol=0.01)
    np.testing.assert_allclose(decoded(alpha, (8, 12, 2))[..., 1], alpha[..., 3], atol=1e-4)
    smooth = np.add.outer(np.arange(0, 128, 2), np.arange(0, 96, 2))[..., None].repeat(3, -1)
    opaque = decoded(smooth, (64, 48, 4), "JPEG")
    assert np.abs(opaque[..., :3] - smooth).mean() < 2 and (opaque[..., 3] == 255).all()


def test_files_are_cropped_to_the_proportions_and_shrunk_without_aliasing():
    stripes = np.tile([0, 255], (32, 48))  # 32 x 96, a column of each
    small = decoded(stripes, (8, 8, 1))
    assert np.abs(small[:, 1:-1] - 127.5).max() < 3
    wide = np.repeat([[0] * 32 + [200] * 32 + [0] * 32], 32, axis=0)
    np.testing.assert_allclose(decoded(wide, (8, 8, 1)), 200, atol=1e-3)
    np.testing.assert_allclose(decoded(wide.T, (16, 16, 3)), 200, atol=1e-3)


# === Shapes and bad input ===


def test_widths_follow_the_size():
    model = kerasgen.ConvAutoencoder((64, 64, 3), filters=4)
    widths = [
        layer.filters
        for layer in model.decoder.layers
        if isinstance(layer, keras.layers.Conv2DTranspose)
    ]
    assert widths == [16, 8, 4, 3]


def test_initial_activations_neither_vanish_nor_saturate():
    model = kerasgen.ConvAutoencoder((64, 64, 3))
    codes = model.encoder(batch(16, (64, 64, 3)))
    assert 0.1 < np.std(codes) < 3
    outputs = model.decoder(tf.random.stateless_normal((16, 64), [0, 1]))
    assert 0.3 < np.std(outputs) < 0.9


def test_codes_and_losses_stay_float32_under_mixed_precision():
    model = small(dtype="mixed_float16", variational=True)
    assert model.encoder.layers[1].compute_dtype == "float16"
    assert model.encoder(batch()).dtype == tf.float32
    assert model.decoder(tf.zeros((2, 8))).dtype == tf.float32
    assert model.encode(batch().numpy()).dtype == np.float32


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_dim": 0},
        {"latent_dim": 257},
        {"latent_dim": 1.5},
        {"filters": 0},
        {"beta": -1.0},
        {"beta": float("nan")},
        {"kl_warmup": -1},
        {"code_penalty": -0.1},
        {"decoder_penalty": "l1"},
        {"decoder_penalty_weight": float("inf")},
        {"ema_decay": 1.0},
        {"corruption": ("salt", 0.1)},
        {"corruption": ("mask", 1.0)},
        {"corruption": ("gaussian", 0.0)},
        {"corruption": "gaussian"},
        {"corruption": -0.5},
    ],
)
def test_bad_arguments_are_named(changes):
    with pytest.raises(ValueError, match=f"Received: {next(iter(changes))}="):
        kerasgen.ConvAutoencoder(**{**SMALL, **changes})


def test_penalties_and_a_prior_exclude_each_other():
    for penalty in ({"code_penalty": 0.1}, {"decoder_penalty": "spectral"}):
        with pytest.raises(ValueError, match="use either.*variational=True"):
            kerasgen.ConvAutoencoder(**SMALL, variational=True, **penalty)


def test_the_message_names_sizes_that_would_do():
    with pytest.raises(ValueError, match="near 30 that is 28 or 32"):
        kerasgen.ConvAutoencoder((30, 32, 3))


def test_bad_compile_arguments_are_named():
    model = kerasgen.ConvAutoencoder(**SMALL)
    with pytest.raises(ValueError, match="Did you mean 'mse'.*loss='mess'"):
        model.compile(loss="mess")
    with pytest.raises(ValueError, match="learning_rate=0"):
        model.compile(learning_rate=0)
    with pytest.raises(TypeError, match="optimizer"):
        model.compile(metrics=["mae"])
    with pytest.raises(ValueError, match="11 x 11"):
        small({"loss": "ssim"}, image_shape=(8, 16, 1))
    for loss in ("ssim", "huber"):
        with pytest.raises(ValueError, match="needs a likelihood.*Received: loss="):
            small({"loss": loss}, variational=True)


def test_bad_calls_are_named():
    model = small(variational=True)
    images = batch().numpy()
    codes = np.zeros((3, 8), np.float32)
    nan = np.where(images > 0.9, np.nan, images)
    for call, message in (
        (lambda: model.generate(0), "num_images=0"),
        (lambda: model.encode(images[0]), r"shape=\(16, 16, 1\)"),
        (lambda: model.encode(images[:, :8]), r"\(N, 16, 16, 1\).*shape=\(8, 8, 16, 1\)"),
        (lambda: model.encode(images[:0]), "at least one"),
        (lambda: model.encode(images.astype(int)), "dtype=int64"),
        (lambda: model.encode((images + 1) * 127.5), r"give uint8 for \[0, 255\]"),
        (lambda: model.encode(nan), "finite"),
        (lambda: model.reconstruct(nan), "finite"),
        (lambda: model.anomaly_score(nan), "finite"),
        (lambda: model.fit_sampler(nan), "finite"),
        (lambda: model.encode(images, refinement=-1), "refinement=-1"),
        (lambda: model.reconstruct(images, refinement=1.5), "refinement=1.5"),
        (lambda: model.fit_sampler(images, max_images=0), "max_images=0"),
        (lambda: model.fit_sampler(tf.data.Dataset.from_tensors(images).take(0)), "no pictures"),
        (lambda: model.decode(np.full((1, 8), np.nan)), "finite"),
        (lambda: model.decode(codes[:, :7]), r"\(N, 8\).*shape=\(3, 7\)"),
        (lambda: model.decode([["a"] * 8]), "numbers"),
        (lambda: model.interpolate(codes, codes[:2]), "equally many.*Received"),
        (lambda: model.interpolate(codes, codes[0]), "equally many.*Received"),
        (lambda: model.interpolate(codes * np.nan, codes), "finite"),
        (lambda: model.interpolate(codes, codes, steps=1), "steps=1"),
        (lambda: model.interpolate(codes, codes, method="cubic"), "method='cubic'"),
        (lambda: model.fit(tf.data.Dataset.from_tensors(images[:, :8])), r"\(16, 16, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
