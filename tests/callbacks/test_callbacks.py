"""`SampleImages` and `TimeLimit`, in real fits of a tiny DCGAN."""

import numpy as np
import pytest
from PIL import Image

import kerasgen
from kerasgen.plots import grid_image


@pytest.fixture
def model():
    model = kerasgen.DCGAN((8, 8, 1), latent_dim=4, generator_filters=4, discriminator_filters=4)
    model.compile()
    return model


@pytest.fixture
def data():
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype(np.uint8)
    return kerasgen.data.load_images(images, image_size=8, batch_size=8)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_pictures_are_the_preview_of_their_epoch(tmp_path, model, data):
    directory = tmp_path / "new" / "samples"
    callback = kerasgen.callbacks.SampleImages(directory, every=2)
    model.fit(data, epochs=5, callbacks=[callback], verbose=0)
    names = sorted(path.name for path in directory.iterdir())
    epochs = [f"samples-epoch-{epoch:04d}.png" for epoch in (2, 4, 5)]
    assert names == [*epochs, "samples-latest.png", "samples.gif"]
    last = np.asarray(grid_image(model.preview()["samples"]))
    np.testing.assert_array_equal(pixels(directory / epochs[-1]), last)
    np.testing.assert_array_equal(pixels(directory / "samples-latest.png"), last)
    assert (pixels(directory / epochs[0]) != last).any()


@pytest.mark.parametrize("film", ["gif", "webp"])
def test_the_film_shows_the_epochs_in_order(tmp_path, model, data, film):
    callback = kerasgen.callbacks.SampleImages(tmp_path, film=film, max_frames=3)
    model.fit(data, epochs=5, callbacks=[callback], verbose=0)
    with Image.open(tmp_path / f"samples.{film}") as frames:
        assert frames.n_frames == 3
        for index, epoch in enumerate((1, 3, 5)):
            frames.seek(index)
            frame = np.asarray(frames.convert("L"), np.float64)
            expected = pixels(tmp_path / f"samples-epoch-{epoch:04d}.png")
            assert np.abs(frame - expected).mean() < 6


def test_a_preview_of_several_grids_of_examples(tmp_path, model, data):
    """The callback knows the contract only: names, grids, and the batch it was given."""
    seen = []

    def preview(batch):
        seen.append(batch)
        grid = np.zeros((2, 3, 8, 8, 3), np.uint8)
        return {"inputs": grid, "outputs": grid + 200}

    model.preview = preview
    callback = kerasgen.callbacks.SampleImages(tmp_path, batch="the batch", film=None)
    model.fit(data, epochs=1, callbacks=[callback], verbose=0)
    assert seen == ["the batch"]
    assert pixels(tmp_path / "outputs-latest.png").shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    assert (pixels(tmp_path / "outputs-latest.png")[2:66, 2:66] == 200).all()
    assert (pixels(tmp_path / "inputs-latest.png")[2:66, 2:66] == 0).all()
    assert not list(tmp_path.glob("*.gif"))


def test_what_moves_is_a_film_each_time(tmp_path, model, data):
    def moving_preview(batch):
        assert batch == "the batch"
        levels = np.arange(3, dtype=np.uint8) * 40 + int(model.step)
        return {"rollouts": np.broadcast_to(levels[:, None, None, None, None, None], shape)}

    shape = (3, 2, 2, 64, 64, 1)
    model.moving_preview = moving_preview
    sample = kerasgen.callbacks.SampleImages(tmp_path, every=2, batch="the batch")
    model.fit(data, epochs=3, callbacks=[sample], verbose=0)
    with Image.open(tmp_path / "rollouts-latest.gif") as film:
        assert film.n_frames == 3
        for index in range(3):
            film.seek(index)
            level = film.convert("L").getpixel((30, 30))
            assert level == pytest.approx(40 * index + 12, abs=3)
    assert not list(tmp_path.glob("rollouts-epoch-*"))
    model.fit(
        data,
        epochs=1,
        callbacks=[kerasgen.callbacks.SampleImages(tmp_path / "b", 1, "the batch", None)],
    )
    assert not list((tmp_path / "b").glob("rollouts*"))


def test_watching_does_not_change_the_training(tmp_path, data):
    weights = []
    for callbacks in ([], [kerasgen.callbacks.SampleImages(tmp_path)]):
        model = kerasgen.DCGAN((8, 8, 1), generator_filters=4, discriminator_filters=4)
        model.compile()
        data.epoch.assign(0)
        model.fit(data, epochs=2, callbacks=callbacks, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("arguments", [{"every": 0}, {"film": "mp4"}, {"max_frames": 0}])
def test_bad_arguments_are_named(tmp_path, arguments):
    with pytest.raises(ValueError, match=f"Received: {next(iter(arguments))}="):
        kerasgen.callbacks.SampleImages(tmp_path, **arguments)


def test_time_limit_ends_the_fit_within_an_epoch(model, data, monkeypatch):
    clock = iter(range(0, 10**6, 20))  # every look at the clock finds 20 s gone
    monkeypatch.setattr("kerasgen.callbacks.time_limit.time.monotonic", lambda: next(clock))
    model.fit(data, epochs=9, callbacks=[kerasgen.callbacks.TimeLimit(2)], verbose=0)
    assert int(model.step) == 6  # 120 s, 4 steps an epoch
    with pytest.raises(ValueError, match="minutes=0"):
        kerasgen.callbacks.TimeLimit(0)
