"""What every model of the zoo must pass: a model's test class inherits it and hands over kwargs.

class TestDCGAN(ModelChecks):
    model_class = DCGAN
    init_kwargs = {"image_shape": (16, 16, 1), ...}
"""

import secrets
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasgen
from kerasgen.data.pictures import encode_png

SHAPES = [(16, 16, 1), (16, 24, 3), (28, 20, 4), (12, 36, 2)]


class ModelChecks:
    """The contract as tests. Subclasses set `model_class`, `init_kwargs`, and what differs.

    Attributes:
        model_class: class under test.
        init_kwargs: dict of small settings; must set `shape_name`.
        shape_name: str. Name of the first argument, the shape of one example.
        shapes: list of tuples. Example shapes that must train: odd sizes, 1 to 4 channels.
        wrong_shapes: list of values that the model must refuse, beside those that all do.
        networks: list of str. Attributes that hold trained sub-networks.
        batch_statistics: bool. Whether the networks have moving averages of them.
        falling: str. A value in the logs that falls as training goes on.
        optimizers: list of str. Attributes that hold the optimizers.
        epochs: int. Length of the training that several checks look at, `trained_once`.
    """

    model_class = None
    init_kwargs = {}
    shape_name = "image_shape"
    shapes = SHAPES
    wrong_shapes = [(17, 16, 1)]
    networks = []
    batch_statistics = True
    optimizers = []
    falling = "loss"
    epochs = 10

    # === What the checks need ===

    def make(self, **changes):
        model = self.model_class(**{**self.init_kwargs, **changes})
        model.compile(**self.compile_kwargs())
        return model

    def compile_kwargs(self):
        return {}

    def data(self, shape=None, count=64, batch_size=8, seed=0):
        """Pictures that a small network can learn: bright discs on a dark ground."""
        height, width, channels = shape or self.init_kwargs[self.shape_name]
        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[:height, :width]
        centres = rng.uniform(0.3, 0.7, (count, 2, 1, 1)) * np.array([height, width])[:, None, None]
        radius = min(height, width) / 4
        discs = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < radius**2
        images = np.where(discs, 230, 25).astype(np.uint8)[..., None].repeat(channels, -1)
        return kerasgen.data.load_images(images, batch_size=batch_size, image_size=(height, width))

    def train(self, model, data, epochs=1):
        """Makes a model ready to generate, as `kerasgen train` does; returns its history."""
        history = model.fit(data, epochs=epochs, verbose=0).history
        model.prepare_to_generate(data)
        return history

    def images_of(self, model, count, seed):
        return model.generate(count, seed=seed)

    def changing(self, model, name):
        """Variables of a sub-network that a training changes: moving statistics, and weights."""
        network = getattr(model, name)
        moving = [v for v in network.non_trainable_variables if "moving" in v.path]
        return moving, network.trainable_variables

    def train_once(self):
        """A trained model, its history and what its networks began with, for `trained_once`."""
        model, data = self.make(), self.data()
        before = {
            name: [v.numpy() for part in self.changing(model, name) for v in part]
            for name in self.networks
        }
        history = model.fit(
            data,
            epochs=self.epochs,
            validation_data=self.data(seed=1),
            validation_freq=self.epochs,
            verbose=0,
        ).history
        model.prepare_to_generate(data)
        return types.SimpleNamespace(model=model, history=history, before=before)

    # === The contract ===

    def test_config_round_trip(self):
        model = self.make(seed=3)
        config = model.get_config()
        again = self.model_class.from_config(config)
        assert again.get_config() == config
        for name, value in self.init_kwargs.items():
            assert config[name] == value
        assert config["seed"] == 3
        for ours, theirs in zip(model.variables, again.variables, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_saved_model_continues_as_if_never_saved(self, tmp_path):
        model = self.make()
        data = self.data()
        self.train(model, data)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert type(again) is self.model_class
        assert again.get_config() == model.get_config()
        assert again.get_compile_config() == model.get_compile_config()
        for name in self.optimizers:
            ours, theirs = getattr(model, name), getattr(again, name)
            assert int(theirs.iterations) == int(ours.iterations) > 0
            for a, b in zip(ours.variables, theirs.variables, strict=True):
                np.testing.assert_array_equal(a, b)
        for a, b in zip(model.variables, again.variables, strict=True):
            np.testing.assert_array_equal(a, b)
        data.epoch.assign(1)
        model.fit(data, epochs=1, verbose=0)
        data.epoch.assign(1)
        again.fit(data, epochs=1, verbose=0)
        for a, b in zip(model.weights, again.weights, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_same_seed_same_training(self):
        weights = []
        for seed in (0, 0, 1):
            keras.utils.set_random_seed(secrets.randbelow(2**31))  # must not matter
            model = self.make(seed=seed)
            model.fit(self.data(), epochs=1, verbose=0)
            weights.append(np.concatenate([np.ravel(w) for w in model.get_weights()]))
        np.testing.assert_array_equal(weights[0], weights[1])
        assert np.abs(weights[0] - weights[2]).max() > 1e-3

    def test_fit_lowers_the_loss(self, trained_once):
        losses = trained_once.history[self.falling]
        assert np.mean(losses[-2:]) < 0.9 * losses[0]
        assert len(losses) == self.epochs
        assert int(trained_once.model.step) == 8 * self.epochs

    def test_evaluate_is_repeatable_and_changes_nothing(self, trained_once):
        model = trained_once.model
        data = self.data()
        before = model.get_weights()
        first = model.evaluate(data, verbose=0, return_dict=True)
        assert set(first) == {m.name for m in model.metrics}
        assert all(np.isfinite(value) for value in first.values())
        data.epoch.assign_sub(1)
        second = model.evaluate(data, verbose=0, return_dict=True)
        assert first == second
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_generate_is_seeded_and_independent_of_its_batch(self, trained_once):
        model = trained_once.model
        images = self.images_of(model, 70, seed=5)
        assert images.dtype == np.uint8
        assert len(images) == 70
        np.testing.assert_array_equal(images, self.images_of(model, 70, seed=5))
        for count in (1, 3, 33):
            np.testing.assert_array_equal(images[:count], self.images_of(model, count, seed=5))
        assert (images != self.images_of(model, 70, seed=6)).any()
        assert (self.images_of(model, 4, None) != self.images_of(model, 4, None)).any()

    def test_preview_is_steady_and_grids_are_uint8(self):
        model = self.make()
        batch = next(iter(self.data()))
        first, second = model.preview(batch), model.preview(batch)
        assert first and first.keys() == second.keys()
        for name, grid in first.items():
            assert grid.dtype == np.uint8 and grid.ndim == 5
            np.testing.assert_array_equal(grid, second[name])
        films, again = model.moving_preview(batch), model.moving_preview(batch)
        assert films.keys() == again.keys() and not films.keys() & first.keys()
        for name, film in films.items():
            assert film.dtype == np.uint8 and film.ndim == 6
            np.testing.assert_array_equal(film, again[name])

    def test_training_reaches_every_network(self, trained_once):
        for name in self.networks:
            moving, weights = self.changing(trained_once.model, name)
            assert bool(moving) == self.batch_statistics, name
            before = trained_once.before[name]
            for variable, old in zip([*moving, *weights], before, strict=True):
                assert np.abs(variable.numpy() - old).max() > 0, variable.path

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_mixed_precision_trains(self, policy, trained_once):
        model = self.make(dtype=policy)
        history = self.train(model, self.data(), epochs=3)
        assert all(np.isfinite(values).all() for values in history.values())
        assert all(np.isfinite(w).all() for w in model.get_weights())
        for name, values in history.items():
            float32 = trained_once.history[name][0]
            assert abs(values[0] - float32) < 0.25 * max(1, abs(float32)), name
        for name in self.optimizers:
            optimizer = getattr(model, name)
            scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            assert scales == (policy == "mixed_float16")
            steps = optimizer.inner_optimizer.iterations if scales else optimizer.iterations
            assert int(steps) > 12
        assert self.images_of(model, 2, seed=0).std() > 0

    def test_any_shape_trains_and_generates(self):
        for shape in self.shapes:
            model = self.make(**{self.shape_name: shape})
            before = [v.numpy() for v in model.trainable_variables]
            self.train(model, self.data(shape, count=16))
            moved = [
                np.abs(v.numpy() - old).max() > 0
                for v, old in zip(model.trainable_variables, before, strict=True)
            ]
            assert all(moved)
            assert self.images_of(model, 3, seed=0).shape[-3:] == shape

    def test_wrong_shapes_are_named(self):
        for shape in (
            (0, 16, 1),
            (-16, 16, 1),
            (16, 16, 5),
            (16, 16),
            16,
            (16.0, 16, 1),
            *self.wrong_shapes,
        ):
            with pytest.raises(ValueError, match="Received"):
                self.model_class(**{**self.init_kwargs, self.shape_name: shape})

    def test_served_endpoints_answer_row_by_row(self, trained_once):
        signatures = trained_once.model.serving_signatures()
        assert "generate_png" in signatures
        for name, signature in signatures.items():
            function = signature.as_graph()
            rows = {key: tf.constant(values) for key, values in signature.example(3).items()}
            assert list(rows) == [taken.name for taken in signature.inputs]
            together = function(*rows.values())
            assert set(together) == set(signature.outputs), name
            for row in range(3):
                alone = function(*(values[row : row + 1] for values in rows.values()))
                for key, values in together.items():
                    assert values.shape[0] == 3
                    if values.dtype == tf.string:
                        assert values[row] == alone[key][0]
                    else:  # of uint8 pixels one step, should one lie between two
                        atol = 1e-5 if values.dtype.is_floating else 1
                        ours, theirs = (np.float32(v) for v in (values[row], alone[key][0]))
                        np.testing.assert_allclose(ours, theirs, atol=atol)
            for wrong, message in self.refused(signature):
                with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                    function(*(tf.constant(values) for values in wrong.values()))

    def refused(self, signature):
        """Requests that an endpoint has to refuse, and words of why."""
        good = signature.example(2)
        yield {key: values[:0] for key, values in good.items()}, "at least one row"
        first, *others = good
        for key in others:
            yield {**good, key: good[key][:1]}, f"`{key}` must have as many rows as `{first}`"
        for taken in signature.inputs:
            values = good[taken.name]
            if None in taken.shape:
                yield {**good, taken.name: values[:, :0]}, f"`{taken.name}` must have at least one"
            if taken.check and values.dtype.kind == "f":
                yield {**good, taken.name: np.full_like(values, np.nan)}, f"`{taken.name}` must"
            elif taken.check:
                for wrong in (-1, 1000):
                    yield {**good, taken.name: np.full_like(values, wrong)}, "must be from . to"

    def test_served_pictures_are_generate_s(self, trained_once):
        model = trained_once.model
        pngs = model.serving_signatures()["generate_png"](tf.constant([7, 8], tf.int64))
        for seed, png in zip((7, 8), pngs["image_bytes"].numpy(), strict=True):
            decoded = tf.io.decode_image(png).numpy()
            np.testing.assert_array_equal(decoded, self.images_of(model, 1, seed)[0])
        assert encode_png(decoded)[:8] == png[:8]
