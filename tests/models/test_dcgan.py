"""DCGAN: the shared checks, and what is its own."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from dcgan_parts import SMALL, DCGANChecks, small

import kerasgen
from kerasgen import losses
from kerasgen.generative_model import GENERATE_BATCH, draw_latents
from kerasgen.layers import DoubledConv2D
from kerasgen.models.dcgan import defaults
from kerasgen.models.dcgan.augmentation import augment


class TestDCGAN(DCGANChecks):
    init_kwargs = SMALL


class WithOptions(TestDCGAN):
    """The same checks, of which some are called below, with every option at once."""

    __test__ = False
    init_kwargs = {
        **SMALL,
        "image_shape": (8, 8, 1),
        "residual": True,
        "discriminator_normalization": "spectral",
        "minibatch_stddev": True,
        "augment": ("translation", "cutout", "flip"),
        "augment_probability": "adaptive",
    }

    def compile_kwargs(self):
        return {
            "loss": "relativistic_paired",
            "penalty": losses.R1R2(0.1),
            "discriminator_steps": 2,
        }


def test_options_survive_saving(tmp_path):
    WithOptions().test_saved_model_continues_as_if_never_saved(tmp_path)


def test_options_train_in_half_precision():
    checks = WithOptions()
    history = checks.make().fit(checks.data(), verbose=0).history
    checks.test_mixed_precision_trains("mixed_float16", types.SimpleNamespace(history=history))


def batch(count=8, shape=(16, 16, 1), seed=0):
    images = np.random.default_rng(seed).uniform(-1, 1, (count, *shape))
    return tf.constant(images, tf.float32)


def test_one_step_is_two_adam_updates_from_one_generator_pass():
    """An independent step: own gradients by hand, own Adam formula, own moving average."""
    model = small()
    images = batch()
    networks = [model.generator, model.discriminator]
    before = [[v.numpy() for v in network.trainable_variables] for network in networks]
    statistics = [v.numpy() for v in model.generator.non_trainable_variables]
    average = [v.numpy() for v in model.ema_generator.variables]
    latents = tf.random.stateless_normal((8, 8), model.step_seed(0), alg="philox")
    with tf.GradientTape(persistent=True) as tape:
        fakes = model.generator(latents, training=True)
        real_noise, fake_noise = (
            0.2 * tf.random.stateless_normal(images.shape, model.step_seed(stream), alg="philox")
            for stream in (1, 2)
        )
        real = model.discriminator(images + real_noise, training=True)
        fake = model.discriminator(fakes + fake_noise, training=True)
        losses = [
            tf.reduce_mean(tf.math.log1p(tf.exp(-fake))),
            tf.reduce_mean(tf.math.log1p(tf.exp(-real)) + tf.math.log1p(tf.exp(fake))),
        ]
    gradients = [
        tape.gradient(loss, [v.value for v in network.trainable_variables])
        for loss, network in zip(losses, networks, strict=True)
    ]
    for variable, value in zip(model.generator.non_trainable_variables, statistics, strict=True):
        variable.assign(value)  # the pass above moved the batch statistics

    logs = model.train_step(images)

    np.testing.assert_allclose(logs["generator_loss"], losses[0], rtol=1e-5)
    np.testing.assert_allclose(logs["discriminator_loss"], losses[1], rtol=1e-5)
    np.testing.assert_allclose(logs["real_score"], tf.reduce_mean(tf.sigmoid(real)), rtol=1e-5)
    np.testing.assert_allclose(logs["fake_score"], tf.reduce_mean(tf.sigmoid(fake)), rtol=1e-5)
    rates = (2e-3, 1e-3)
    for network, rate, olds, grads in zip(networks, rates, before, gradients, strict=True):
        for variable, old, gradient in zip(network.trainable_variables, olds, grads, strict=True):
            # Adam's first step: bias correction leaves gradient / (|gradient| + epsilon).
            g = gradient.numpy()
            scale = np.sqrt(0.001) / (1 - 0.5)
            update = rate * scale * (0.5 * g) / (np.sqrt(0.001 * g**2) + 1e-7)
            np.testing.assert_allclose(variable, old - update, atol=2e-6)
    decay = 1 / 10  # (1 + step) / (10 + step) at step 0, below ema_decay
    for mean, old, value in zip(
        model.ema_generator.variables, average, model.generator.variables, strict=True
    ):
        np.testing.assert_allclose(mean, decay * old + (1 - decay) * value.numpy(), atol=1e-6)


def slopes(model, pictures):
    """Gradients of the logits, differentiable themselves."""
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        logits = model.discriminator(pictures, training=True)
    return tape.gradient(logits, pictures)


def squares(values):
    return tf.reduce_sum(values**2, axis=[1, 2, 3])


# name -> the penalty by its paper's formula, of real and fake pictures and places between
PENALTIES = {
    "r1": lambda model, real, fake, between: 3 / 2 * squares(slopes(model, real)),
    "r2": lambda model, real, fake, between: 3 / 2 * squares(slopes(model, fake)),
    "r1_r2": lambda model, real, fake, between: (
        3 / 2 * (squares(slopes(model, real)) + squares(slopes(model, fake)))
    ),
    "wgan_gp": lambda model, real, fake, between: (
        3 * (tf.sqrt(squares(slopes(model, between))) - 1) ** 2
    ),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_the_discriminator_goes_down_its_loss_and_the_penalty(name):
    """An independent step with plain gradient descent, which shows the whole gradient."""
    penalty = type(losses.get_penalty(name))(weight=3.0)
    optimizers = {
        f"{side}_optimizer": keras.optimizers.SGD(0.1) for side in ("generator", "discriminator")
    }
    model = small(
        {"loss": "wasserstein", "penalty": penalty, **optimizers},
        discriminator_normalization=None,
        instance_noise=0.0,
    )
    images = batch()
    # Penalties on the initial weights, which are small, would be lost in rounding.
    for variable in model.discriminator.trainable_variables:
        variable.assign(4 * variable)
    latents = tf.random.stateless_normal((8, 8), model.step_seed(0), alg="philox")
    statistics = [v.numpy() for v in model.generator.non_trainable_variables]
    fakes = model.generator(latents, training=True)
    for variable, value in zip(model.generator.non_trainable_variables, statistics, strict=True):
        variable.assign(value)
    share = tf.random.stateless_uniform((8, 1, 1, 1), model.step_seed(7), alg="philox")
    between = (1 - share) * images + share * fakes
    variables = model.discriminator.trainable_variables
    before = [v.numpy() for v in variables]
    with tf.GradientTape() as tape:
        expected = PENALTIES[name](model, images, fakes, between)
        difference = model.discriminator(fakes) - model.discriminator(images)
        loss = tf.reduce_mean(difference) + tf.reduce_mean(expected)
    gradients = tape.gradient(loss, [v.value for v in variables])

    logs = model.train_step(images)

    np.testing.assert_allclose(logs["penalty"], tf.reduce_mean(expected), rtol=1e-4)
    np.testing.assert_allclose(logs["discriminator_loss"], tf.reduce_mean(difference), rtol=1e-4)
    for variable, old, gradient in zip(variables, before, gradients, strict=True):
        if gradient is None:  # the last bias: shifts all logits alike
            np.testing.assert_allclose(variable, old, atol=1e-6)
            continue
        scale = np.abs(gradient).max()
        np.testing.assert_allclose((old - variable) / 0.1, gradient, atol=1e-3 * scale + 1e-6)


def test_a_second_fit_goes_on_with_larger_batches_and_falling_rates(tmp_path):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2, 3], [4e-3, 2e-3, 1e-3])
    models = [small({"learning_rate": (schedule, 5e-4), "run_eagerly": True}) for _ in range(2)]
    images = batch(28)
    models[0].fit(images[:12], batch_size=4, shuffle=False, verbose=0)
    models[0].fit(images[12:], batch_size=8, shuffle=False, verbose=0)
    rates = []
    for start, end in ((0, 4), (4, 8), (8, 12), (12, 20), (20, 28)):
        rates.append(float(models[1].generator_optimizer.learning_rate))
        models[1].train_step(images[start:end])
    np.testing.assert_allclose(rates, [4e-3, 4e-3, 4e-3, 2e-3, 1e-3], rtol=1e-6)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    models[0].save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert int(again.step) == 5
    assert float(again.generator_optimizer.learning_rate) == pytest.approx(1e-3)
    assert float(again.discriminator_optimizer.learning_rate) == pytest.approx(5e-4)


def test_a_lazy_penalty_is_as_heavy_as_the_steps_it_stands_for():
    model = small({"penalty": losses.R1(2.0, interval=3)}, discriminator_normalization=None)
    data = tf.data.Dataset.from_tensors(batch()).repeat()
    found = model.fit(data, steps_per_epoch=1, epochs=7, verbose=0).history["penalty"]
    assert [value > 0 for value in found] == [True, False, False, True, False, False, True]
    same = small({"penalty": losses.R1(2.0)}, discriminator_normalization=None)
    each = same.fit(data, steps_per_epoch=1, epochs=1, verbose=0).history["penalty"]
    np.testing.assert_allclose(found[0], 3 * each[0], rtol=1e-5)


def test_further_discriminator_steps_see_other_fakes():
    once, twice = small(), small({"discriminator_steps": 2})
    kernels = [model.discriminator.trainable_variables[0].numpy() for model in (once, twice)]
    for model in (once, twice):
        model.train_step(batch())
    assert int(twice.discriminator_optimizer.iterations) == 2
    assert int(twice.generator_optimizer.iterations) == int(twice.step) == 1
    # The first of the two is the only one of the other; then Adam moves on by as much again.
    moves = [
        np.abs(model.discriminator.trainable_variables[0] - kernel)
        for model, kernel in zip((once, twice), kernels, strict=True)
    ]
    assert moves[1].max() > 1.5 * moves[0].max()
    means = [
        next(v for v in model.generator.non_trainable_variables if "moving_mean" in v.path)
        for model in (once, twice)
    ]
    assert (means[0].numpy() != means[1].numpy()).any()  # two passes, of other latents


def test_spectral_norms_take_one_iteration_a_discriminator_step():
    model = small({"discriminator_steps": 2}, discriminator_normalization="spectral")
    layer = model._spectral_norms[0]
    optimizer = model.discriminator_optimizer = keras.optimizers.SGD(0.0)  # the kernel stays
    optimizer.build(model.discriminator.trainable_variables)
    matrix = layer.layer.kernel.numpy().reshape(-1, 8).T
    left, kernel = layer.left.numpy(), layer.layer.kernel.numpy()
    for _ in range(2):
        right = left @ matrix / np.linalg.norm(left @ matrix)
        left = right @ matrix.T / np.linalg.norm(right @ matrix.T)
    model.train_step(batch())
    np.testing.assert_allclose(layer.left, left, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.layer.kernel, kernel)
    assert len(model._spectral_norms) == 3  # two stages and the logit


def rates_of(model):
    optimizers = (model.generator_optimizer, model.discriminator_optimizer)
    return tuple(optimizer.learning_rate.numpy() for optimizer in optimizers)


def test_what_is_left_open_is_chosen_and_explained():
    lines = []
    model = kerasgen.DCGAN((8, 8, 3))
    model.compile()
    model.summary(print_fn=lines.append)
    values = {
        "generator_filters": 32,
        "discriminator_filters": 32,
        "upsampling": "resize",
        "augment": ("color", "translation", "cutout"),
        "num_clusters": 100,
        "learning_rate": (0.002, 0.001),
    }
    assert list(model.choices) == list(values)
    for line, (name, value) in zip(lines[-len(values) :], values.items(), strict=True):
        assert f"By default {name}={value!r}, " in line
    assert model.augment == values["augment"] and model.upsampling == "resize"
    assert kerasgen.DCGAN((8, 8, 1)).upsampling == "transposed"
    assert rates_of(model) == (np.float32(0.002), np.float32(0.001))
    # Alpha has no colours, and many stages are wide enough.
    assert kerasgen.DCGAN((8, 8, 4)).augment == ("translation", "cutout")
    assert defaults.complete((128, 256, 3), generator_filters=None)[0] == [16]


def test_what_is_asked_for_is_not_chosen():
    model = small(augment=None, upsampling="transposed")
    model.compile(learning_rate=2e-4)
    assert model.choices == {} and model.augment == ()
    assert rates_of(model) == (np.float32(2e-4), np.float32(2e-4))
    model.compile(learning_rate=[3e-4, 1e-4])
    assert model.choices == {} and rates_of(model) == (np.float32(3e-4), np.float32(1e-4))
    model.compile(generator_optimizer="sgd", discriminator_optimizer="sgd")
    assert model.choices == {}
    model.compile(generator_optimizer="sgd")  # the other one is chosen
    assert list(model.choices) == ["learning_rate"]
    same = kerasgen.DCGAN.from_config(kerasgen.DCGAN((8, 8, 1)).get_config())
    assert same.choices == {} and same.augment == ("translation", "cutout")


def test_augmentation_follows_how_sure_the_discriminator_is():
    model = small(augment="flip", augment_probability="adaptive")
    steps = []
    for scores in ([0.9] * 8, [0.9] * 7 + [0.1], [0.9] * 6 + [0.1] * 2, [0.1] * 8, [0.1] * 8):
        before = float(model._probability)
        model._adapt(tf.constant(scores))
        steps.append((float(model._probability) - before) * 100_000 / 8)
    # Seven of eight right are 0.75 more right than wrong; six are 0.5, below the target of 0.6.
    np.testing.assert_allclose(steps, [1, 1, -1, -1, 0], atol=1e-3)
    for _ in range(3):
        model._probability.assign(1.0 - 1e-6)
        model._adapt(tf.constant([0.9] * 8))
    assert float(model._probability) == 1.0
    logs = model.fit(model_data(), epochs=1, verbose=0).history
    assert logs["augment_probability"][0] > 0.99
    plain = small(augment=None)  # the probability is adaptive, of nothing
    assert "augment_probability" not in plain.train_step(batch())


def test_truncation_draws_latents_nearer_to_the_middle():
    model = small()
    for variable in model.ema_generator.variables:
        if "kernel" in variable.path:  # the initial ones draw pictures that hardly differ
            variable.assign(5 * variable)
    latents = draw_latents(tf.constant([[5, i] for i in range(4)], tf.int64), 8).numpy()
    np.testing.assert_array_equal(
        model.generate(4, seed=5, truncation=0.5), model.generate(latents=0.5 * latents)
    )
    spread = [model.generate(64, seed=0, truncation=t).std(0).mean() for t in (1.0, 0.5, 0.1)]
    assert spread[0] > spread[1] > spread[2] > 0


@pytest.mark.parametrize("options", [{"upsampling": "resize"}, {"residual": True}])
def test_resized_pictures_have_no_checkerboard(options):
    """Of constant features, every pixel that isn't near the border is the same."""
    for model, even in (
        (small(image_shape=(32, 32, 1), **options), True),
        (small(image_shape=(32, 32, 1)), False),
    ):
        dense = next(v for v in model.generator.trainable_variables if v.path.endswith("kernel"))
        assert len(dense.shape) == 2
        dense.assign(tf.ones_like(dense))
        inner = model.generator(tf.ones((1, 8)), training=False)[0, 14:18, 14:18, 0].numpy()
        assert (np.ptp(inner) < 1e-3 * np.abs(inner).max()) == even


def test_the_average_includes_batch_statistics_and_draws_the_pictures():
    model = small()
    model.fit(model_data(), epochs=2, verbose=0)
    assert any("moving_mean" in v.path for v in model.ema_generator.variables)
    seeds = tf.constant([[4, i] for i in range(GENERATE_BATCH)], tf.int64)
    latents = draw_latents(seeds, 8)
    images = model.ema_generator(latents, training=False).numpy()
    expected = np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(model.generate(GENERATE_BATCH, seed=4), expected)
    assert (model.generator(latents, training=False).numpy() != images).any()


POLICIES = ("color", "translation", "cutout", "flip")


@pytest.mark.parametrize("policies, probability", [((), 1.0), (POLICIES, 0.7)])
def test_evaluate_is_the_loss_of_the_averaged_generator_distorted_and_under_noise(
    policies, probability
):
    model = small(instance_noise=0.5, augment=policies, augment_probability=probability)
    model.fit(model_data(), epochs=1, verbose=0)
    images = batch()

    def seed(stream):
        return model.step_seed(-1 - stream, 0)

    def normal(shape, stream):
        return tf.random.stateless_normal(shape, seed(stream), alg="philox")

    def seen(pictures, number):
        pictures = augment(pictures, policies, probability, seed(4 + number))
        return pictures + 0.5 * normal(pictures.shape, 1 + number)

    fakes = model.ema_generator(normal((8, 8), 0), training=False)
    real, fake = (
        model.discriminator(seen(pictures, number), training=False)
        for number, pictures in enumerate((images, fakes))
    )
    logs = model.evaluate(tf.data.Dataset.from_tensors(images), verbose=0, return_dict=True)
    np.testing.assert_allclose(
        logs["discriminator_loss"],
        tf.reduce_mean(tf.math.log1p(tf.exp(-real)) + tf.math.log1p(tf.exp(fake))),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        logs["generator_loss"], tf.reduce_mean(tf.math.log1p(tf.exp(-fake))), rtol=1e-5
    )


def test_without_averaging_the_average_is_the_generator():
    model = small(ema_decay=0.0)
    model.fit(model_data(), epochs=1, verbose=0)
    for mean, value in zip(model.ema_generator.variables, model.generator.variables, strict=True):
        np.testing.assert_array_equal(mean, value)


def model_data(count=32):
    return kerasgen.data.load_images(
        np.random.default_rng(0).integers(0, 256, (count, 16, 16, 1)).astype(np.uint8),
        batch_size=8,
    )


def test_generated_pictures_approach_the_data():
    """Two flat grey levels: training moves the pictures' levels towards both of them."""
    images = np.concatenate([np.full((64, 8, 8, 1), 40), np.full((64, 8, 8, 1), 210)])
    data = kerasgen.data.load_images(images.astype(np.uint8), image_size=8, batch_size=16)
    # Pictures without any structure: under noise nothing would tell the two levels' mixture.
    model = kerasgen.DCGAN(
        (8, 8, 1),
        latent_dim=4,
        generator_filters=16,
        discriminator_filters=16,
        instance_noise=0.0,
        num_clusters=1,
    )
    model.compile(learning_rate=1e-3)

    def distance():
        """Wasserstein distance between the pictures' mean levels and the data's."""
        levels = np.sort(model.generate(256, seed=0).mean((1, 2, 3)))
        return np.abs(levels - np.repeat([40, 210], 128)).mean()

    before = distance()
    model.fit(data, epochs=40, verbose=0)
    assert before > 75
    assert distance() < 0.5 * before


def test_noise_differs_from_step_to_step_and_between_streams():
    model = small()
    first = model.step_seed(0).numpy()
    assert (first != model.step_seed(1).numpy()).any()
    model.step.assign_add(1)
    assert (first != model.step_seed(0).numpy()).any()
    assert (first != small(seed=1).step_seed(0).numpy()).any()
    np.testing.assert_array_equal(first, small().step_seed(0).numpy())


def test_replicas_draw_different_noise():
    devices = tf.config.list_logical_devices("CPU")
    assert len(devices) == 1
    model = small()
    context = tf.distribute.get_replica_context
    assert context().replica_id_in_sync_group == 0
    seed = tf.random.experimental.stateless_fold_in(
        tf.constant([0, 0]), tf.cast(model.step.value, tf.int32)
    )
    draws = [tf.random.experimental.stateless_fold_in(seed, replica) for replica in (0, 1)]
    np.testing.assert_array_equal(draws[0], model.step_seed(0))
    assert (draws[0].numpy() != draws[1].numpy()).any()


def test_interpolation_goes_from_one_picture_to_the_other():
    model = small()
    model.fit(model_data(), epochs=1, verbose=0)
    path = model.interpolate(3, 4, steps=5)
    assert len(path) == 5
    np.testing.assert_array_equal(path[0], model.generate(1, seed=3)[0])
    a, b = np.eye(8)[0] * 2, np.eye(8)[1] * 2
    middle = model.generate(latents=[(a + b) / np.sqrt(2)])  # spherical: as long as the ends
    difference = model.interpolate(a, b, steps=3)[1].astype(int) - middle[0]
    assert np.abs(difference).max() <= 1


def test_widths_follow_the_size():
    model = kerasgen.DCGAN((64, 64, 3))
    widths = [layer.filters for layer in model.generator.layers if isinstance(layer, DoubledConv2D)]
    assert widths == [128, 64, 32, 3]


def test_losses_stay_float32_under_mixed_precision():
    model = small(dtype="mixed_float16")
    hidden = model.discriminator.layers[1]
    assert hidden.compute_dtype == "float16"
    logits = model.discriminator(batch())
    assert logits.dtype == tf.float32
    assert model.generator(tf.zeros((2, 8))).dtype == tf.float32
    assert model.adversarial_loss.generator(logits, logits).dtype == tf.float32


def test_predict_is_the_averaged_generator():
    model = small()
    latents = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    np.testing.assert_allclose(
        model.predict(latents, verbose=0), model.ema_generator(latents), atol=1e-6
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_dim": 0},
        {"latent_dim": 1.5},
        {"generator_filters": 0},
        {"discriminator_filters": -1},
        {"num_classes": 1},
        {"upsampling": "bilinear"},
        {"discriminator_normalization": "layer"},
        {"instance_noise": -0.1},
        {"augment": "rotation"},
        {"augment_probability": 1.5},
        {"augment_probability": "adaptiv"},
        {"ema_decay": 1.0},
        {"ema_decay": -0.1},
    ],
)
def test_bad_arguments_are_named(changes):
    with pytest.raises(ValueError, match=f"Received: {next(iter(changes))}="):
        kerasgen.DCGAN(**{**SMALL, **changes})


def test_the_message_names_sizes_that_would_do():
    with pytest.raises(ValueError, match="near 30 that is 28 or 32"):
        kerasgen.DCGAN((30, 32, 3))


def test_bad_compile_arguments_are_named():
    model = kerasgen.DCGAN(**SMALL)
    with pytest.raises(ValueError, match="non_saturating"):
        model.compile(loss="non_saturated")
    for wrong in (0, [1e-3, 0]):
        with pytest.raises(ValueError, match="learning_rate=0"):
            model.compile(learning_rate=wrong)
    with pytest.raises(ValueError, match=r"a pair of .* learning_rate=\[0.1\]"):
        model.compile(learning_rate=[0.1])
    with pytest.raises(ValueError, match="Did you mean.*'wgan_gp'"):
        model.compile(penalty="wgan-gp")
    with pytest.raises(ValueError, match="discriminator_steps=0"):
        model.compile(discriminator_steps=0)
    with pytest.raises(ValueError, match="interval=16"):
        model.compile(loss="relativistic_paired", penalty=losses.R1(interval=16))
    with pytest.raises(TypeError, match="generator_optimizer"):
        model.compile(optimizer="adam")


def test_bad_calls_are_named():
    model = small()
    conditional = small(num_classes=3)
    for call, message in (
        (lambda: model.generate(0), "num_images=0"),
        (lambda: model.generate(2, seed=0.5), "seed=0.5"),
        (lambda: model.generate(2, labels=[0, 1]), "no classes"),
        (lambda: model.generate(2, truncation=0), "truncation=0"),
        (lambda: model.generate(2, truncation=1.1), "truncation=1.1"),
        (lambda: model.generate(2, truncation="half"), "truncation='half'"),
        (lambda: model.generate(3, latents=np.zeros((2, 8))), "agree in number"),
        (lambda: model.generate(latents=np.zeros((2, 7))), r"shape=\(2, 7\)"),
        (lambda: model.generate(latents=np.full((2, 8), np.nan)), "finite"),
        (lambda: conditional.generate(labels=[0, 3]), "from 0 to 2"),
        (lambda: conditional.generate(labels=[0.5]), "from 0 to 2"),
        (lambda: model.interpolate(0, 1, steps=1), "steps=1"),
        (lambda: model.fit(model_data().map(lambda x: x[:, :8]), verbose=0), r"\(16, 16, 1\)"),
        (lambda: conditional.fit(model_data(), verbose=0), "labels=True"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
