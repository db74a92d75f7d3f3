"""Samplers against scipy, scikit-learn and closed forms; then what all four have in common."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import multivariate_normal, norm
from sklearn.datasets import make_blobs, make_moons
from sklearn.mixture import GaussianMixture

from kerasgen import samplers
from kerasgen.generative_model import draw_latents, row_seeds
from kerasgen.samplers.gaussian import choose

SMALL = {
    "normal": (samplers.NormalSampler, {}),
    "gaussian": (samplers.GaussianSampler, {"reg_covar": 1e-4}),
    "mixture": (samplers.MixtureSampler, {"components": 3, "reg_covar": 1e-4}),
    "flow": (samplers.FlowSampler, {"couplings": 4, "hidden_units": 32}),
}
EACH = pytest.mark.parametrize("name", SMALL)
EACH_FITTED_ONE = pytest.mark.parametrize("name", [name for name in SMALL if name != "normal"])


def small(name, latent_dim=2):
    sampler_class, kwargs = SMALL[name]
    return sampler_class(latent_dim, **kwargs)


def moons(count=3000, seed=0):
    return make_moons(count, noise=0.08, random_state=seed)[0]


def ring(count=3000, seed=0):
    rng = np.random.default_rng(seed)
    angles, radii = rng.uniform(0, 2 * np.pi, count), rng.normal(1, 0.1, count)
    return 3 + np.stack([radii * np.cos(angles), 2 * radii * np.sin(angles)], axis=1)


def oblong(count=500, seed=0):
    """Codes of length 3 with correlations and a mean."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3)) @ [[2, 1, 0], [0, 0.5, 0.3], [0, 0, 0.1]] + [1, -2, 30]


def blobs(count=600, seed=0):
    """Three clusters, a sixth, a third and a half of the codes."""
    counts = [count // 6, count // 3, count // 2]
    return make_blobs(counts, centers=[[0, 0], [6, 1], [-1, 8]], random_state=seed)[0]


@functools.cache
def fitted(name):
    """Shared by tests, which leave it as it is."""
    return small(name).fit(moons(), seed=1)


def assert_same_weights(sampler, weights):
    for value, expected in zip(sampler.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(value, expected)


@keras.saving.register_keras_serializable("kerasgen_tests")
class Holder(keras.Model):
    """A model with a sampler, as the autoencoder is one."""

    def __init__(self, sampler, **kwargs):
        super().__init__(**kwargs)
        self.sampler = samplers.get(sampler, 2)
        self.built = True

    def call(self, seeds):
        return self.sampler(seeds)

    def get_config(self):
        return {"sampler": keras.saving.serialize_keras_object(self.sampler), "name": self.name}


# === Normal ===


def test_normal_is_scipy_s_from_the_start():
    sampler = samplers.NormalSampler(3)
    codes = oblong(20)
    assert sampler.fitted
    expected = multivariate_normal(np.zeros(3)).logpdf(codes)
    np.testing.assert_allclose(sampler.log_density(codes), expected, rtol=1e-12)


def test_normal_draws_the_latents_that_models_draw():
    codes = samplers.NormalSampler(5).sample(40, seed=3)
    np.testing.assert_array_equal(codes, draw_latents(row_seeds(40, 3), 5))


def test_fitting_the_normal_changes_nothing_but_checks():
    sampler = samplers.NormalSampler(3)
    before, weights = sampler.sample(8, seed=0), sampler.get_weights()
    sampler.fit(oblong()).fit(oblong(1))
    np.testing.assert_array_equal(sampler.sample(8, seed=0), before)
    assert_same_weights(sampler, weights)


# === Gaussian ===


@pytest.mark.parametrize("reg_covar", [1e-6, 0.2])
def test_gaussian_has_numpy_s_moments(reg_covar):
    codes = oblong()
    sampler = samplers.GaussianSampler(3, reg_covar=reg_covar).fit(codes)
    covariance = np.cov(codes.T) + reg_covar * codes.var(0).mean() * np.eye(3)
    scale_tril = sampler.scale_tril.numpy()
    np.testing.assert_allclose(sampler.mean.numpy(), codes.mean(0), rtol=1e-6)
    np.testing.assert_allclose(scale_tril @ scale_tril.T, covariance, rtol=1e-5, atol=1e-6)

    expected = multivariate_normal(codes.mean(0), covariance).logpdf(codes)
    np.testing.assert_allclose(sampler.log_density(codes), expected, rtol=1e-4)


def test_gaussian_samples_have_the_codes_moments():
    codes = oblong()
    samples = samplers.GaussianSampler(3).fit(codes).sample(20_000, seed=0)
    standard_errors = codes.std(0) / np.sqrt(20_000)
    assert (np.abs(samples.mean(0) - codes.mean(0)) < 4 * standard_errors).all()
    np.testing.assert_allclose(samples.std(0), codes.std(0), rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(samples.T), np.corrcoef(codes.T), atol=0.03)


# === Mixture ===


def test_mixture_is_scikit_learns():
    codes = blobs()
    sampler = samplers.MixtureSampler(2, components=4, reg_covar=0.01).fit(codes, seed=5)
    expected = GaussianMixture(4, reg_covar=0.01 * codes.var(0).mean(), random_state=5).fit(codes)
    scale_trils = sampler.scale_trils.numpy()
    covariances = scale_trils @ scale_trils.transpose(0, 2, 1)
    np.testing.assert_allclose(sampler.mixing.numpy(), expected.weights_, rtol=1e-6)
    np.testing.assert_allclose(sampler.means.numpy(), expected.means_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(covariances, expected.covariances_, rtol=1e-5, atol=1e-6)

    far = np.concatenate([codes, codes + 20])
    np.testing.assert_allclose(sampler.log_density(far), expected.score_samples(far), rtol=1e-4)


def test_mixture_samples_each_cluster_in_its_share():
    codes = blobs()
    sampler = samplers.MixtureSampler(2, components=3).fit(codes)
    samples = sampler.sample(5000, seed=0)
    judge = GaussianMixture(3, random_state=0).fit(codes)
    clusters = judge.predict(samples)
    shares = np.bincount(clusters) / 5000
    np.testing.assert_allclose(np.sort(shares), [1 / 6, 1 / 3, 1 / 2], atol=0.025)
    for cluster in range(3):
        members = samples[clusters == cluster]
        np.testing.assert_allclose(members.mean(0), judge.means_[cluster], atol=0.15)
        np.testing.assert_allclose(np.cov(members.T), judge.covariances_[cluster], atol=0.2)


def test_a_choice_is_where_the_normal_s_quantile_falls():
    quantiles = np.array([0.0, 0.05, 0.19, 0.21, 0.69, 0.71, 1.0])
    probabilities = tf.constant([0.2, 0.0, 0.5, 0.3])
    chosen = choose(tf.constant(norm.ppf(quantiles), tf.float32), probabilities)
    np.testing.assert_array_equal(chosen, [0, 0, 0, 2, 2, 3, 3])


def test_mixture_needs_a_code_for_each_component():
    with pytest.raises(ValueError, match="at least 10 codes.*Received: 9 codes"):
        samplers.MixtureSampler(2).fit(moons(9))


# === Flow ===


@pytest.mark.parametrize("data", [moons, ring])
def test_flow_is_denser_than_the_gaussian_on_codes_it_has_not_seen(data):
    flow = small("flow").fit(data())
    gaussian = small("gaussian").fit(data())
    unseen = data(2000, seed=1)
    assert flow.log_density(unseen).mean() > gaussian.log_density(unseen).mean() + 0.4


def test_flow_s_density_is_1_in_total():
    x, y = np.linspace(-3, 4, 281), np.linspace(-3, 3, 241)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    density = np.exp(fitted("flow").log_density(grid))
    np.testing.assert_allclose(density.sum() * (x[1] - x[0]) * (y[1] - y[0]), 1, atol=0.02)


def test_flow_samples_have_the_entropy_of_its_density():
    """A mean over samples against an integral over a grid."""
    x, y = np.linspace(-3, 4, 281), np.linspace(-3, 3, 241)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    flow = fitted("flow")
    log_density = flow.log_density(grid)
    expected = np.average(log_density, weights=np.exp(log_density))
    drawn = flow.log_density(flow.sample(5000, seed=0))
    np.testing.assert_allclose(drawn.mean(), expected, atol=4 * drawn.std() / np.sqrt(5000))


@pytest.mark.parametrize("name", ["normal", "gaussian", "flow"])
def test_density_is_the_noise_s_over_the_volume_of_the_map(name):
    sampler = fitted(name)
    noise = draw_latents(row_seeds(32, 7), 2)
    with tf.GradientTape() as tape:
        tape.watch(noise)
        codes = sampler._transform(noise)
    jacobian = tape.batch_jacobian(codes, noise).numpy().astype(np.float64)
    expected = multivariate_normal(np.zeros(2)).logpdf(noise) - np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(sampler.sample(32, seed=7), codes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sampler.log_density(codes), expected, atol=2e-3)


def test_flow_over_one_number_is_a_gaussian():
    codes = np.random.default_rng(0).normal(5, 0.3, (2000, 1))
    sampler = small("flow", latent_dim=1).fit(codes)
    x = np.linspace(4.4, 5.6, 50)
    log_density = sampler.log_density(x[:, None])
    parabola = np.polynomial.Polynomial.fit(x, log_density, 2)
    np.testing.assert_allclose(parabola(x), log_density, atol=1e-3)
    np.testing.assert_allclose(log_density, norm(codes.mean(), codes.std()).logpdf(x), atol=0.1)
    samples = sampler.sample(5000, seed=0)
    np.testing.assert_allclose([samples.mean(), samples.std()], [5, 0.3], atol=0.03)


# === All four ===


@EACH
def test_the_seed_makes_the_codes(name):
    sampler = fitted(name)
    codes = sampler.sample(70, seed=5)
    assert codes.shape == (70, 2) and codes.dtype == np.float32
    np.testing.assert_array_equal(sampler.sample(70, seed=5), codes)
    np.testing.assert_array_equal(sampler.sample(33, seed=5), codes[:33])
    assert (sampler.sample(70, seed=6) != codes).all(axis=1).all()
    assert (sampler.sample(4) != sampler.sample(4)).all()
    assert len(np.unique(codes, axis=0)) == 70


@EACH
def test_a_row_is_the_same_alone_and_in_any_batch(name):
    sampler = fitted(name)
    seeds = row_seeds(40, 5)
    codes = sampler.sample_rows(tf.constant(seeds)).numpy()
    assert codes.shape == (40, 2)
    np.testing.assert_array_equal(sampler.sample_rows(tf.constant(seeds[::-1])), codes[::-1])
    for i in (0, 17, 39):
        np.testing.assert_array_equal(
            sampler.sample_rows(tf.constant(seeds[i : i + 1]))[0], codes[i]
        )
    assert sampler.sample_rows(tf.zeros((0, 2), tf.int64)).shape == (0, 2)
    np.testing.assert_allclose(codes, sampler.sample(40, seed=5), rtol=1e-5, atol=1e-6)


@EACH
def test_a_second_fit_forgets_the_first_and_the_same_seed_fits_the_same(name):
    sampler = small(name).fit(ring(500), seed=3)
    sampler.sample(4)  # traced before the second fit
    sampler.fit(moons(), seed=1)
    assert_same_weights(sampler, fitted(name).get_weights())
    np.testing.assert_array_equal(sampler.sample(40, seed=2), fitted(name).sample(40, seed=2))


@EACH
def test_a_model_keeps_its_sampler_in_its_file(name, tmp_path):
    model = Holder(fitted(name))
    seeds = tf.constant(row_seeds(5, 3))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.sampler) is type(fitted(name)) and again.sampler.fitted
    assert_same_weights(again.sampler, fitted(name).get_weights())
    np.testing.assert_array_equal(again(seeds), model(seeds))
    codes = moons(20, seed=1)
    expected = fitted(name).log_density(codes)
    np.testing.assert_allclose(again.sampler.log_density(codes), expected, rtol=1e-6)


@EACH
def test_a_config_makes_a_sampler_of_the_same_kind_unfitted(name):
    sampler = fitted(name)
    again = samplers.get(keras.saving.serialize_keras_object(sampler), 2)
    assert again is not sampler and type(again) is type(sampler)
    assert again.get_config() == sampler.get_config()
    kwargs = SMALL[name][1]
    assert kwargs.items() <= again.get_config().items()
    assert again.fitted == (name == "normal")
    assert [w.shape for w in again.weights] == [w.shape for w in sampler.weights]


@EACH
def test_get_takes_names_and_samplers(name):
    sampler = samplers.get(name, 7)
    assert type(sampler) is SMALL[name][0]
    assert sampler.latent_dim == 7 and sampler.name == name
    assert samplers.get(sampler, 7) is sampler


@EACH
def test_an_exported_sampler_draws_the_same_codes(name, tmp_path):
    sampler = fitted(name)
    module = tf.Module()
    module.sampler = sampler
    module.sample = tf.function(
        sampler.sample_rows, input_signature=[tf.TensorSpec((None, 2), tf.int64)]
    )
    tf.saved_model.save(module, str(tmp_path))
    served = tf.saved_model.load(str(tmp_path))
    for count in (1, 40):
        codes = served.sample(tf.constant(row_seeds(count, 3)))
        np.testing.assert_array_equal(codes, sampler.sample(count, seed=3))


@EACH
def test_precision_policies_leave_it_at_float32(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = Holder(small(name))
        model.sampler.set_weights(fitted(name).get_weights())
        assert model.compute_dtype == "bfloat16"
        assert {w.dtype for w in model.sampler.weights} == {"float32"}
        assert not model.trainable_variables
        codes = model(tf.constant(row_seeds(40, 3)))
        assert codes.dtype == tf.float32
        np.testing.assert_allclose(codes, fitted(name).sample(40, seed=3), rtol=1e-5, atol=1e-6)
    finally:
        keras.config.set_dtype_policy("float32")


@EACH
def test_batches_of_densities_are_joined(name):
    codes = moons(2100, seed=1)
    parts = [fitted(name).log_density(part) for part in np.split(codes, [0, 1, 1024, 1500])]
    together = fitted(name).log_density(codes)
    assert together.dtype == np.float64
    np.testing.assert_allclose(np.concatenate(parts), together, rtol=1e-4, atol=1e-4)


@EACH_FITTED_ONE
def test_constant_dimensions_do_no_harm(name):
    codes = np.insert(moons(), 1, 5, axis=1)
    sampler = small(name, latent_dim=3).fit(codes)
    samples = sampler.sample(500, seed=0)
    np.testing.assert_allclose(samples[:, 1], 5, atol=0.05)
    np.testing.assert_allclose(samples.mean(0), codes.mean(0), atol=0.15)
    np.testing.assert_allclose(samples.std(0), codes.std(0), atol=0.15)
    density = sampler.log_density(codes)
    assert np.isfinite(density).all()
    assert (density > sampler.log_density(codes + [0, 0.1, 0])).all()


@EACH_FITTED_ONE
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_codes_that_are_all_equal_are_drawn_again(name, value):
    codes = np.full((100, 2), value)
    sampler = small(name).fit(codes)
    np.testing.assert_allclose(sampler.sample(100, seed=0), codes, atol=1e-3)
    assert np.isfinite(sampler.log_density(codes)).all()


# === Bad input ===


@EACH_FITTED_ONE
def test_without_a_fit_all_calls_say_how_to_fit(name):
    sampler = small(name)
    seeds = tf.constant(row_seeds(2, 0))
    assert not sampler.fitted
    for call in (
        lambda: sampler.sample(2),
        lambda: sampler.log_density(moons(2)),
        lambda: sampler.sample_rows(seeds),
        lambda: tf.function(sampler.sample_rows)(seeds),
    ):
        with pytest.raises(ValueError, match=r"isn't fitted.*model\.fit_sampler\(dataset\)"):
            call()
    sampler.fit(moons(100))
    assert sampler.sample(2).shape == (2, 2)  # the failed call left nothing behind


@EACH
def test_bad_codes_are_named_and_change_nothing(name):
    sampler = fitted(name)
    weights = sampler.get_weights()
    some_bad = moons(6)
    some_bad[1, 0], some_bad[4] = np.nan, np.inf
    for codes, message in (
        (np.zeros((8, 3)), r"\(N, 2\).*shape=\(8, 3\)"),
        (np.zeros(8), r"\(N, 2\).*shape=\(8,\)"),
        (np.zeros((4, 2, 2)), r"\(N, 2\).*shape=\(4, 2, 2\)"),
        (some_bad, "finite.*Received: 2 of 6 codes"),
        ([["a", "b"]] * 8, "must be numbers.*dtype=<U1"),
    ):
        for call in (sampler.fit, sampler.log_density):
            with pytest.raises(ValueError, match=message):
                call(codes)
    for seed in (0.5, "1", None):
        with pytest.raises(ValueError, match=f"`seed` must be a whole number.*seed={seed!r}"):
            sampler.fit(moons(50), seed=seed)
    assert_same_weights(sampler, weights)


@EACH_FITTED_ONE
def test_too_few_codes_are_counted_and_change_nothing(name):
    sampler, fresh = fitted(name), small(name)
    weights = sampler.get_weights()
    for call in (sampler.fit, fresh.fit):
        with pytest.raises(ValueError, match="at least 3 codes.*Received: 2 codes"):
            call(moons(2))
    assert_same_weights(sampler, weights)
    assert not fresh.fitted
    assert np.isfinite(fresh.fit(moons(3)).sample(4)).all()


@EACH
def test_bad_requests_are_named(name):
    for num, seed, message in (
        (0, 0, "num_images=0"),
        (-1, 0, "num_images=-1"),
        (2.0, 0, "num_images=2.0"),
        (2, 0.5, "seed=0.5"),
        (2, "1", "seed='1'"),
        (2, 2**63, "64-bit.*seed=9223372036854775808"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted(name).sample(num, seed=seed)


def test_bad_arguments_are_named():
    for name, kwargs in (
        *((name, {"latent_dim": value}) for name in SMALL for value in (0, -1, 2.5, "2", None)),
        *(("mixture", {"components": value}) for value in (0, 1.5)),
        *(("flow", {"couplings": value}) for value in (0, "8")),
        *(("flow", {"hidden_units": value}) for value in (0, 8.0)),
        *(
            (name, {"reg_covar": value})
            for name in ("gaussian", "mixture")
            for value in (0, -1e-6, float("nan"), float("inf"), "1", None)
        ),
    ):
        [(argument, value)] = kwargs.items()
        with pytest.raises(ValueError, match=f"`{argument}`.*Received: {argument}={value!r}"):
            SMALL[name][0](**{"latent_dim": 2, **kwargs})


def test_get_names_what_it_does_not_know():
    for identifier, message in (
        ("mixtur", "Did you mean 'mixture'.*sampler='mixtur'"),
        ("gausian", "Did you mean 'gaussian'"),
        ("zzz", "'normal', 'gaussian', 'mixture', 'flow'"),
        (None, "Unknown sampler.*sampler=None"),
        (keras.layers.Dense(2), "Unknown sampler"),
        (samplers.FlowSampler, "Unknown sampler"),
        (keras.saving.serialize_keras_object(samplers.GaussianSampler(3)), "length 3.* 2"),
        (samplers.NormalSampler(3), "for codes of length 3, and these have 2"),
    ):
        with pytest.raises(ValueError, match=message):
            samplers.get(identifier, 2)
    with pytest.raises(ValueError, match="latent_dim=0"):
        samplers.get("flow", 0)
