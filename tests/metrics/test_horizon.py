"""Quality at each horizon against scikit-image, the best of futures, and the figure of both."""

import json

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import kerasgen
from kerasgen.metrics import evaluate_frames, futures_quality, horizon_quality
from kerasgen.plots import horizon_figure

SHAPE = (3, 4, 16, 20, 3)


def clips(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape or SHAPE, np.uint8)


def near(frames, deviation=20, seed=1):
    noise = np.random.default_rng(seed).normal(0, deviation, frames.shape)
    return np.clip(np.round(frames + noise), 0, 255).astype(np.uint8)


def floats(frames):
    return frames.astype(np.float32) / 127.5 - 1


def references(truth, frames):
    """By scikit-image, of one horizon: means over the pictures' own values."""
    settings = {"gaussian_weights": True, "use_sample_covariance": False, "channel_axis": -1}
    pairs = list(zip(truth, frames, strict=True))
    errors = np.array([(a / 255 - b / 255) ** 2 for a, b in pairs])
    return {
        "mse": errors.mean(),
        "frame_sse": errors.sum((1, 2, 3)).mean(),
        "mae": np.mean([np.abs(a / 255 - b / 255) for a, b in pairs]),
        "psnr": np.mean([peak_signal_noise_ratio(a, b) for a, b in pairs]),
        "ssim": np.mean([structural_similarity(a, b, sigma=1.5, **settings) for a, b in pairs]),
    }


@pytest.mark.parametrize("convert", [np.asarray, floats])
def test_every_horizon_is_what_scikit_image_says(convert):
    truth, last = clips(), clips(3, 16, 20, 3, seed=2)
    predictions = near(truth)
    quality = horizon_quality(convert(truth), convert(predictions), convert(last))
    assert quality.num_clips == 3
    for step in range(4):
        ours = references(truth[:, step], predictions[:, step])
        copies = references(truth[:, step], last)
        assert {n: v[step] for n, v in quality.model.items()} == pytest.approx(ours, rel=1e-5)
        found = {n: v[step] for n, v in quality.copy_last_frame.items()}
        assert found == pytest.approx(copies, rel=1e-5, abs=1e-7)
        skill = 1 - ours["mse"] / copies["mse"]
        assert quality.skill[step] == pytest.approx(skill, rel=1e-5)
    means = quality.model["mse"].mean(), quality.copy_last_frame["mse"].mean()
    assert quality.mean_skill == pytest.approx(1 - means[0] / means[1])


def test_the_baseline_itself_has_no_skill():
    truth, last = clips(), clips(3, 16, 20, 3, seed=2)
    quality = horizon_quality(truth, np.repeat(last[:, None], 4, axis=1), last)
    np.testing.assert_array_equal(quality.skill, np.zeros(4))
    assert horizon_quality(truth, truth, last).skill.tolist() == [1] * 4


def test_table_and_json_of_what_is_not_finite():
    truth = np.repeat(clips(2, 1, 8, 8, 1), 2, axis=1)  # nothing moves
    quality = horizon_quality(truth, near(truth), truth[:, 0])
    assert "ssim" not in quality.model
    values = json.loads(json.dumps(quality.to_dict(), allow_nan=False))
    assert values["skill"] == [None, None] and values["copy_last_frame"]["psnr"] == [None, None]
    assert values["model"]["mse"] == list(quality.model["mse"])
    header, _, first, _, mean = str(quality).splitlines()
    assert header.split()[:5] == ["horizon", "mse", "frame_sse", "mae", "psnr"]
    assert float(first.split()[1]) == pytest.approx(quality.model["mse"][0], rel=1e-3)
    assert mean.split()[0] == "mean"


def test_the_best_future_is_chosen_clip_by_clip():
    truth = clips()
    futures = np.stack([near(truth, 60), near(truth, 30, 2), near(truth, 60, 3)], axis=1)
    futures[1, 0], futures[1, 1] = futures[1, 1].copy(), futures[1, 0].copy()
    found = futures_quality(truth, floats(futures))
    best = np.stack([futures[0, 1], futures[1, 0], futures[2, 1]])
    expected = horizon_quality(truth, best, truth[:, 0]).model
    np.testing.assert_allclose(found.best_mse, expected["mse"], rtol=1e-5)
    np.testing.assert_allclose(found.best_ssim, expected["ssim"], rtol=1e-5)
    singly = [horizon_quality(truth, futures[:, k], truth[:, 0]).model for k in range(3)]
    np.testing.assert_allclose(found.mean_mse, np.mean([s["mse"] for s in singly], 0), rtol=1e-5)
    np.testing.assert_allclose(found.mean_ssim, np.mean([s["ssim"] for s in singly], 0), rtol=1e-5)
    pairs = [(futures[:, a] / 255 - futures[:, b] / 255) ** 2 for a, b in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(found.diversity, np.mean(pairs, axis=(0, 1, 3, 4, 5)), rtol=1e-5)


def test_equal_futures_have_no_diversity():
    truth = clips(2, 2, 8, 8, 1)
    found = futures_quality(truth, np.repeat(near(truth)[:, None], 3, axis=1))
    np.testing.assert_array_equal(found.diversity, np.zeros(2))
    np.testing.assert_allclose(found.best_mse, found.mean_mse)
    assert found.to_dict()["best_ssim"] is None


@pytest.mark.parametrize(
    "error, arguments, message",
    [
        (TypeError, (clips().astype(int), clips(), clips()[:, 0]), "truth.dtype=int64"),
        (ValueError, (clips()[0], clips(), clips()[:, 0]), r"truth.shape=\(4, 16, 20, 3\)"),
        (ValueError, (clips(), clips()[:, :2], clips()[:, 0]), "predictions.shape="),
        (ValueError, (clips(), clips(), clips()[:2, 0]), r"shape \(3, 16, 20, 3\)"),
        (ValueError, (clips(), clips() / 255 * 2, clips()[:, 0]), "predictions from 0 to 2"),
        (ValueError, (floats(clips()) * np.nan, clips(), clips()[:, 0]), "from nan to nan"),
        (ValueError, (clips()[:0], clips()[:0], clips()[:0, 0]), "truth.shape"),
    ],
)
def test_other_arrays_are_refused(error, arguments, message):
    with pytest.raises(error, match=message):
        horizon_quality(*arguments)


def test_futures_that_are_none_are_refused():
    for futures in (clips()[:, None], np.repeat(clips()[:, None], 2, axis=1)[:, :, :2]):
        with pytest.raises(ValueError, match="several of each clip"):
            futures_quality(clips(), futures)


# === A model on clips ===


class Brighter:
    """Makes each frame brighter than the one before, a future by another step a seed."""

    def context_length(self, num_frames):
        return num_frames // 2

    def predict_frames(self, context, num_frames):
        return self.generate(context, num_frames, seed=3)

    def generate(self, context, num_frames, seed):
        steps = (np.arange(num_frames, dtype=np.uint8) + 1)[:, None, None, None]
        return context[:, -1:] // 2 + seed * steps


def test_a_model_continues_the_beginnings_of_the_clips():
    start = clips(5, 1, 16, 16, 1)
    data = np.concatenate([start // 2 + 3 * step for step in range(6)], axis=1).astype(np.uint8)
    data[:, 2] = start[:, 0]  # what its halves are counted from
    quality, futures = evaluate_frames(Brighter(), data, num_futures=2)
    assert futures.diversity.shape == quality.skill.shape == (3,)
    expected = horizon_quality(data[:, 3:], Brighter().predict_frames(data[:, :3], 3), data[:, 2])
    np.testing.assert_array_equal(quality.skill, expected.skill)
    apart = ((np.arange(3) + 1) / 255) ** 2  # seeds 0 and 1
    np.testing.assert_allclose(futures.diversity, apart, rtol=1e-6)
    quality, futures = evaluate_frames(Brighter(), data, context_frames=1, horizon=2, max_clips=4)
    assert futures is None and quality.num_clips == 4 and len(quality.skill) == 2
    expected = horizon_quality(
        data[:4, 1:3], Brighter().predict_frames(data[:4, :1], 2), data[:4, 0]
    )
    np.testing.assert_array_equal(quality.model["mse"], expected.model["mse"])


def test_pipelines_give_the_same_as_arrays():
    data = clips(5, 6, 16, 16, 1)
    dataset = kerasgen.data.load_frames(data, num_frames=6, batch_size=2, shuffle=False)
    np.testing.assert_array_equal(kerasgen.data.collect_clips(dataset, 3), data[:3])
    quality, _ = evaluate_frames(Brighter(), dataset)
    np.testing.assert_array_equal(quality.skill, evaluate_frames(Brighter(), data)[0].skill)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"context_frames": 5, "horizon": 2}, "6 frames are too short"),
        ({"context_frames": 6}, "too short for a context of 6"),
        ({"horizon": 0}, "horizon=0"),
        ({"context_frames": 0}, "context_frames=0"),
        ({"num_futures": 1}, "num_futures=1"),
        ({"num_futures": -2}, "num_futures=-2"),
    ],
)
def test_bad_requests_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        evaluate_frames(Brighter(), clips(2, 6, 16, 16, 1), **changes)


# === The figure ===


def test_the_figure_draws_the_numbers():
    truth, last = clips(), clips(3, 16, 20, 3, seed=2)
    quality = horizon_quality(truth, near(truth), last)
    worse = horizon_quality(truth, near(truth, 50), last)
    futures = futures_quality(truth, np.stack([near(truth, 10), near(truth)], axis=1))
    figure = horizon_figure({"one": quality, "two": worse}, futures)
    mse, ssim, skill = figure.axes
    copied, one, two, best = mse.get_lines()
    np.testing.assert_array_equal(copied.get_ydata(), quality.copy_last_frame["mse"])
    np.testing.assert_array_equal(one.get_ydata(), quality.model["mse"])
    np.testing.assert_array_equal(two.get_ydata(), worse.model["mse"])
    np.testing.assert_array_equal(best.get_ydata(), futures.best_mse)
    np.testing.assert_array_equal(one.get_xdata(), [1, 2, 3, 4])
    assert [text.get_text() for text in figure.legends[0].get_texts()][1:3] == ["one", "two"]
    np.testing.assert_array_equal(ssim.get_lines()[1].get_ydata(), quality.model["ssim"])
    np.testing.assert_array_equal(skill.get_lines()[1].get_ydata(), quality.skill)


def test_small_frames_have_no_plot_of_ssim():
    truth = clips(2, 3, 8, 8, 1)
    assert len(horizon_figure(horizon_quality(truth, near(truth), truth[:, 0])).axes) == 2
