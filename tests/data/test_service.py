"""Batches by tf.data service, with real dispatchers and workers of this process."""

import numpy as np
import pytest
import tensorflow as tf

import kerasgen
from kerasgen.data import from_service, load_frames, load_images

PICTURES = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)


@pytest.fixture(scope="module")
def service():
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    configs = [tf.data.experimental.service.WorkerConfig(address) for _ in range(2)]
    workers = [tf.data.experimental.service.WorkerServer(config) for config in configs]
    yield dispatcher.target
    del workers


def numbers(batch):
    return np.rint((batch[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def test_two_workers_use_all_pictures_equally_often(service):
    dataset = load_images(PICTURES, image_size=8, batch_size=8, seed=3)
    served = from_service(dataset, service)
    assert served.steps_per_epoch == 5
    seen = [number for batch in served.take(50) for number in numbers(batch)]
    # Whole epochs of one worker beside a broken one of each.
    counts = np.bincount(seen, minlength=40)
    assert counts.sum() == 400 and counts.max() - counts.min() <= 2
    assert len(set(seen[:40])) > 20


def test_batches_are_those_of_the_pipeline(service):
    dataset = load_images(PICTURES, image_size=8, batch_size=8, seed=3, augment="flip")
    ours = {tuple(numbers(batch)) for _ in range(2) for batch in dataset}
    served = {tuple(numbers(batch)) for batch in from_service(dataset, service).take(40)}
    assert ours <= served


def test_fit_takes_an_epoch_s_steps(service):
    dataset = from_service(load_images(PICTURES, image_size=8, batch_size=8, seed=3), service)
    model = kerasgen.ConvAutoencoder((8, 8, 1), latent_dim=4, filters=4)
    model.compile()
    history = model.fit(dataset, epochs=3, verbose=0)
    assert int(model.step) == 15 and len(history.history["loss"]) == 3
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_clips_are_served(service):
    clips = np.arange(6 * 5 * 8 * 8, dtype=np.uint8).reshape(6, 5, 8, 8, 1)
    dataset = load_frames(clips, num_frames=5, image_size=8, batch_size=2)
    assert next(iter(from_service(dataset, service))).shape == (2, 5, 8, 8, 1)


def test_bad_input(service):
    dataset = load_images(PICTURES, image_size=8, batch_size=8)
    with pytest.raises(TypeError, match="load_images.*Received: _TensorSliceDataset"):
        from_service(tf.data.Dataset.from_tensor_slices(PICTURES), service)
    for wrong in ("", "localhost", "localhost:5050", "grpc://localhost", "grpc://localhost:high"):
        with pytest.raises(ValueError, match="grpc://10.0.0.2:5050"):
            from_service(dataset, wrong)
    with pytest.raises(ConnectionError, match="No dispatcher.*Received: service="):
        from_service(dataset, "grpc://127.0.0.1:9")
    with pytest.raises(ValueError, match="can't be sent"):
        from_service(load_frames("moving_digits", num_frames=5, batch_size=2), service)
