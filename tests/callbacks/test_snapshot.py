"""`Snapshot`, and the optimizers that `GenerativeModel` says it has."""

import keras
import numpy as np
import pytest

import kerasgen
from kerasgen.callbacks.snapshot import Snapshot


def dcgan(dtype="float32", **compile_arguments):
    model = kerasgen.DCGAN(
        (8, 8, 1), latent_dim=4, generator_filters=4, discriminator_filters=4, dtype=dtype
    )
    model.compile(**compile_arguments)
    return model


def pipeline():
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype(np.uint8)
    return kerasgen.data.load_images(images, image_size=8, batch_size=8)


def everything(model):
    """Copies of all variables, by identity."""
    variables = [*model.variables, *model.generator_optimizer.variables]
    variables += model.discriminator_optimizer.variables
    return {id(variable): (variable, np.array(variable)) for variable in variables}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "mixed_float16"])
def test_every_variable_but_the_step_comes_back(dtype):
    """After training on, and after every single value was overwritten."""
    model = dcgan(dtype)
    model.fit(pipeline(), epochs=1, verbose=0)
    kept, snapshot = everything(model), Snapshot(model)
    model.fit(pipeline(), epochs=1, verbose=0)
    moved = [not np.array_equal(np.array(v), old) for v, old in kept.values()]
    assert len(moved) > 40 and sum(moved) > len(moved) / 2  # rates and the like stay
    for variable, old in kept.values():
        variable.assign(old + np.ones_like(old))
    model.step.assign(77)
    snapshot.restore()
    for variable, old in kept.values():
        value = np.array(variable)
        assert value.dtype == old.dtype
        if variable is not model.step:
            assert value.tobytes() == old.tobytes(), variable.path
    assert int(model.step) == 77


def test_a_snapshot_can_be_restored_again_and_again():
    model = dcgan()
    kept, snapshot = everything(model), Snapshot(model)
    pictures = model.generate(4, seed=0)
    for _ in range(2):
        model.fit(pipeline(), epochs=1, verbose=0)
        assert (model.generate(4, seed=0) != pictures).any()
        snapshot.restore()
        np.testing.assert_array_equal(model.generate(4, seed=0), pictures)
        for variable, old in kept.values():
            if variable is not model.step:
                np.testing.assert_array_equal(np.array(variable), old)
    assert int(model.step) == 8


def test_training_from_a_snapshot_is_training_from_that_state():
    """With the count of steps set back by hand, the same steps give the same weights."""
    model, ends = dcgan(), []
    model.fit(pipeline(), epochs=1, verbose=0)
    snapshot = Snapshot(model)
    for _ in range(2):
        model.fit(pipeline(), epochs=1, verbose=0)
        ends.append(everything(model))
        snapshot.restore()
        model.step.assign(4)
    for first, second in zip(*(end.values() for end in ends), strict=True):
        np.testing.assert_array_equal(first[1], second[1])


# === GenerativeModel.optimizers ===


def test_both_optimizers_of_a_dcgan():
    model = dcgan()
    assert {id(o) for o in model.optimizers} == {
        id(model.generator_optimizer),
        id(model.discriminator_optimizer),
    }
    assert len(model.optimizers) == 2
    assert sum(len(o.variables) for o in model.optimizers) == sum(
        2 * len(network.trainable_variables) + 2
        for network in (model.generator, model.discriminator)
    )


def test_loss_scaling_optimizers_are_given_as_they_are():
    model = dcgan("mixed_float16")
    assert all(isinstance(o, keras.optimizers.LossScaleOptimizer) for o in model.optimizers)
    assert model.optimizers[0].inner_optimizer is not model.optimizers[1].inner_optimizer
    assert len(model.optimizers) == 2


def test_one_optimizer_under_two_names_is_one():
    model = dcgan()
    model.discriminator_optimizer = model.generator_optimizer
    assert len(model.optimizers) == 1
    assert model.optimizers[0] is model.generator_optimizer


def test_no_optimizers_before_compile_and_new_ones_after_another():
    model = kerasgen.DCGAN((8, 8, 1), generator_filters=4, discriminator_filters=4)
    assert model.optimizers == []
    model.compile()
    first = model.optimizers
    model.compile(generator_optimizer=keras.optimizers.SGD(0.1))
    kinds = [type(optimizer).__name__ for optimizer in model.optimizers]
    assert sorted(kinds) == ["Adam", "SGD"]
    assert not {id(o) for o in first} & {id(o) for o in model.optimizers}
