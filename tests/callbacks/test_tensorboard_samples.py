"""`TensorBoardSamples`: what TensorBoard's own reader finds in the files of a fit."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import kerasgen
from kerasgen.plots import grid_image

STEPS = 4  # an epoch


def read(directory):
    accumulator = EventAccumulator(str(directory), {"tensors": 0})
    accumulator.Reload()
    found = {}
    for tag in accumulator.Tags()["tensors"]:
        events = accumulator.Tensors(tag)
        found[tag] = [(event.step, tf.make_ndarray(event.tensor_proto)) for event in events]
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype(np.uint8)
    data = kerasgen.data.load_images(images, image_size=8, batch_size=8)
    model = kerasgen.DCGAN((8, 8, 1), latent_dim=4, generator_filters=4, discriminator_filters=4)
    model.compile()
    evaluate = kerasgen.callbacks.EvaluateSamples(
        images, every=2, monitor=None, num_samples=10, verbose=False
    )
    callbacks = [
        evaluate,
        keras.callbacks.TensorBoard(directory, write_graph=False),
        kerasgen.callbacks.TensorBoardSamples(directory, every=2, evaluate=evaluate),
    ]
    history = model.fit(data, epochs=5, callbacks=callbacks, verbose=0).history
    return model, evaluate, history, directory


def test_pictures_are_the_preview_of_their_step(trained):
    model, _, _, directory = trained
    points = read(directory / "samples")["samples"]
    assert [step for step, _ in points] == [2 * STEPS, 4 * STEPS, 5 * STEPS]
    width, height, *pictures = points[-1][1]
    expected = np.asarray(grid_image(model.preview()["samples"]))
    assert (int(height), int(width)) == expected.shape
    np.testing.assert_array_equal(tf.io.decode_png(pictures[0])[..., 0], expected)
    assert points[0][1][2] != pictures[0]


def test_histograms_count_every_trained_weight(trained):
    model, _, _, directory = trained
    found = read(directory / "samples")
    assert {tag for tag in found if tag.startswith("weights/")} == {
        f"weights/{variable.path}" for variable in model.trainable_variables
    }
    for variable in model.trainable_variables:
        step, buckets = found[f"weights/{variable.path}"][-1]
        assert step == 5 * STEPS and buckets[:, 2].sum() == np.size(variable)
        values = np.asarray(variable)
        assert buckets[0, 0] == pytest.approx(values.min(), abs=1e-6)
        assert buckets[-1, 1] == pytest.approx(values.max(), abs=1e-6)


def test_evaluations_stand_beside_their_floors_at_their_steps(trained):
    _, evaluate, _, directory = trained
    found = read(directory / "samples")
    steps = [record["step"] for record in evaluate.evaluations]
    assert steps == [STEPS, 2 * STEPS, 4 * STEPS, 5 * STEPS]
    for name, floor in evaluate.evaluator.floor.items():
        for tag, values in (
            (f"evaluation/{name}", [record[name] for record in evaluate.evaluations]),
            (f"evaluation/{name}_floor", [floor] * len(steps)),
        ):
            assert [step for step, _ in found[tag]] == steps
            np.testing.assert_allclose([value for _, value in found[tag]], values, rtol=1e-6)


def test_losses_come_by_keras_in_the_same_directory(trained):
    *_, history, directory = trained
    points = read(directory / "train")["epoch_generator_loss"]
    np.testing.assert_allclose([value for _, value in points], history["generator_loss"], rtol=1e-6)


def test_what_was_resumed_writes_each_evaluation_once(tmp_path):
    """The callback alone, driven as `FullStateBackup` drives it."""
    model = kerasgen.DCGAN((8, 8, 1), latent_dim=4, generator_filters=4, discriminator_filters=4)

    class Evaluate:
        evaluations = [{"step": 7, "fd": 2.0, "floor": {"fd": 0.5}}]

    def begin():
        callback = kerasgen.callbacks.TensorBoardSamples(
            tmp_path, every=9, evaluate=Evaluate, histograms=False
        )
        callback.set_model(model)
        callback.on_train_begin()
        return callback

    first = begin()
    first.on_epoch_end(0)
    second = begin()
    second.set_state(first.get_state())
    Evaluate.evaluations.append({"step": 9, "fd": 1.0, "floor": {"fd": 0.5}})
    second.on_train_end()
    found = read(tmp_path / "samples")
    assert [(step, float(value)) for step, value in found["evaluation/fd"]] == [(7, 2), (9, 1)]
    assert len(found["samples"]) == 1


def test_wrong_arguments_and_a_missing_package_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="Received: every=0"):
        kerasgen.callbacks.TensorBoardSamples(tmp_path, every=0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install \"kerasgen\[tensorboard\]\""):
        kerasgen.callbacks.TensorBoardSamples(tmp_path)
