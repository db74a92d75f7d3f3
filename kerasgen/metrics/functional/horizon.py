"""Quality of predicted frames at each horizon, so many frames after the last known one."""

import dataclasses
from typing import NamedTuple

import numpy as np

from kerasgen.metrics.functional.similarity import WINDOW, over_images, psnr, ssim

_SLACK = 1e-3  # of float pixels: what rounding on the way to [-1, 1] may add
_COLUMNS = ("mse", "frame_sse", "mae", "psnr", "ssim")


@dataclasses.dataclass
class HorizonQuality:
    """What `horizon_quality` found. Entry `t` of an array is about the frame `t + 1` ahead.

    Attributes:
        num_clips: int. How many clips the means are over.
        model: dict of name -> float64 array `(T,)`, of the predictions: `mse` and `mae`, mean
            squared and absolute error of pixels in [0, 1]; `frame_sse`, the squared errors of
            these summed over a frame, which much of the literature prints as "MSE"; `psnr` in
            decibels; `ssim`, left out for frames of fewer than 11 pixels a side.
        copy_last_frame: the same, of the last known frame in the predictions' place.
        skill: float64 array `(T,)`. Share of the copy's squared error that the predictions do
            without, `1 - mse / mse of the copy`: 1 is perfect, 0 no better than the copy. NaN or
            -infinity where the copy has no error.
    """

    num_clips: int
    model: dict
    copy_last_frame: dict
    skill: np.ndarray

    @property
    def mean_skill(self):
        """Float. `skill` of the squared errors averaged over all horizons."""
        return float(_skill(self.model["mse"].mean(), self.copy_last_frame["mse"].mean()))

    def to_dict(self):
        """Plain Python values for JSON, None for what isn't finite."""
        return {
            "num_clips": self.num_clips,
            "model": {name: _plain(values) for name, values in self.model.items()},
            "copy_last_frame": {n: _plain(values) for n, values in self.copy_last_frame.items()},
            "skill": _plain(self.skill),
            "mean_skill": _plain([self.mean_skill])[0],
        }

    def __str__(self):
        names = [name for name in _COLUMNS if name in self.model]
        copied = [name for name in ("mse", "psnr", "ssim") if name in self.model]
        columns = [self.model[name] for name in names]
        columns += [self.copy_last_frame[name] for name in copied]
        lines = [["horizon", *names, *(f"copy's {name}" for name in copied), "skill"]]
        for step, skill in enumerate(self.skill):
            lines.append([str(step + 1), *(f"{c[step]:.4g}" for c in columns), f"{skill:.3f}"])
        means = [f"{column.mean():.4g}" for column in columns]
        lines.append(["mean", *means, f"{self.mean_skill:.3f}"])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        )


def horizon_quality(truth, predictions, last_frame):
    """Quality of predicted frames at each horizon, beside that of copying the last known frame.

    Every value is the mean over the clips of each frame's own, as `psnr` and `ssim` find it.

    Args:
        truth: array `(N, T, H, W, C)`, uint8 or float in [-1, 1]. The frames that came.
        predictions: array of the same shape, of either kind.
        last_frame: array `(N, H, W, C)`, of either kind. The last frame that was known.

    Returns:
        `HorizonQuality`.

    Raises:
        TypeError: arrays that are neither uint8 nor floating point.
        ValueError: other shapes, none at all, or floats outside [-1, 1] or not finite.

    Example:

    ```python
    predictions = model.predict_frames(clips[:, :10], num_frames=10)
    print(horizon_quality(clips[:, 10:], predictions, clips[:, 9]))
    ```
    """
    truth = _check(truth, "truth", 5)
    predictions = _check(predictions, "predictions", 5, truth.shape)
    last_frame = _check(last_frame, "last_frame", 4, (len(truth), *truth.shape[2:]))
    last_frame = _pixels(last_frame)
    model, copies = [], []
    for step in range(truth.shape[1]):
        frames = _pixels(truth[:, step])
        model.append(_measure(frames, _pixels(predictions[:, step])))
        copies.append(_measure(frames, last_frame))
    model, copies = (
        {name: np.array([values[name] for values in steps]) for name in steps[0]}
        for steps in (model, copies)
    )
    return HorizonQuality(len(truth), model, copies, _skill(model["mse"], copies["mse"]))


class FuturesQuality(NamedTuple):
    """What `futures_quality` found. Entry `t` of an array is about the frame `t + 1` ahead.

    Attributes:
        best_mse: float64 array `(T,)`. Mean squared error, of pixels in [0, 1], of each clip's
            best future, the one with the least over all its frames.
        mean_mse: float64 array `(T,)`. The mean over all futures.
        best_ssim, mean_ssim: float64 arrays `(T,)`, the same by SSIM; or None for frames of fewer
            than 11 pixels a side.
        diversity: float64 array `(T,)`. Mean squared difference between two futures of one clip.
    """

    best_mse: np.ndarray
    mean_mse: np.ndarray
    best_ssim: np.ndarray | None
    mean_ssim: np.ndarray | None
    diversity: np.ndarray

    def to_dict(self):
        """Plain Python values for JSON."""
        return {k: None if v is None else _plain(v) for k, v in self._asdict().items()}


def futures_quality(truth, futures):
    """Best of several futures, and how different they are from each other.

    Where the truth could as well be one of the futures, it differs from them as they do from each
    other: `mean_mse` equals `diversity`. A lower diversity than that is too sure of what comes.

    Args:
        truth: array `(N, T, H, W, C)`, uint8 or float in [-1, 1]. The frames that came.
        futures: array `(N, K, T, H, W, C)`, of either kind. K futures of each clip, at least 2.

    Returns:
        `FuturesQuality`. The more futures, the better the best: compare equal K only.

    Raises:
        TypeError, ValueError: as `horizon_quality`.

    Example:

    ```python
    past, truth = clips[:, :10], clips[:, 10:]
    draws = [model.generate(past, truth.shape[1], seed=seed) for seed in range(20)]
    futures_quality(truth, np.stack(draws, axis=1)).best_mse
    ```

    Reference:
        Denton, Fergus: Stochastic Video Generation with a Learned Prior, 2018 (best of 100).
    """
    truth = _check(truth, "truth", 5)
    futures = _check(futures, "futures", 6)
    if futures.shape[1] < 2 or futures[:, 0].shape != truth.shape:
        raise ValueError(
            "`futures` must be several of each clip, (clips, futures, frames, height, width, "
            f"channels). Received: futures.shape={futures.shape}, truth.shape={truth.shape}"
        )
    similar = min(truth.shape[2:4]) >= WINDOW
    errors, similarities, diversity = [], [], []
    for clip, several in zip(truth, futures, strict=True):
        clip, several = _pixels(clip), _pixels(several)
        same = np.broadcast_to(clip, several.shape)
        errors.append(_squared_errors(same, several))
        if similar:
            similarities.append(ssim(same, several, data_range=255))
        # Over all pairs, the mean of squared differences is twice the variance.
        spread = 2 * np.var(several, axis=0, ddof=1, dtype=np.float64) / 255**2
        diversity.append(spread.mean(axis=(1, 2, 3)))
    best_mse, mean_mse = _best_and_mean(np.array(errors), np.argmin)
    best_ssim = mean_ssim = None
    if similar:
        best_ssim, mean_ssim = _best_and_mean(np.array(similarities), np.argmax)
    return FuturesQuality(best_mse, mean_mse, best_ssim, mean_ssim, np.mean(diversity, axis=0))


def _best_and_mean(values, best):
    """Means over the clips, of `(N, K, T)`, of each one's best future, and of all."""
    chosen = best(values.mean(axis=2), axis=1)
    return values[np.arange(len(values)), chosen].mean(axis=0), values.mean(axis=(0, 1))


def _measure(truth, frames):
    mse = _squared_errors(truth, frames).mean()
    differences = over_images(truth, frames, lambda a, b: np.abs(a - b).mean(axis=(1, 2, 3)))
    values = {
        "mse": mse,
        "frame_sse": mse * truth[0].size,
        "mae": differences.mean() / 255,
        "psnr": psnr(truth, frames, data_range=255).mean(),
    }
    if min(truth.shape[1:3]) >= WINDOW:
        values["ssim"] = ssim(truth, frames, data_range=255).mean()
    return values


def _squared_errors(a, b):
    return over_images(a, b, lambda a, b: np.square(a - b).mean(axis=(1, 2, 3))) / 255**2


def _skill(error, reference):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.divide(error, reference)


def _pixels(frames):
    """Frames in [0, 255], black at 0, which is what SSIM goes by."""
    return frames if frames.dtype == np.uint8 else (frames.astype(np.float64) + 1) * 127.5


def _check(frames, name, rank, shape=None):
    frames = np.asarray(frames)
    floats = frames.dtype.kind == "f"
    if frames.dtype != np.uint8 and not floats:
        raise TypeError(
            f"`{name}` must be uint8 in [0, 255] or float in [-1, 1]. "
            f"Received: {name}.dtype={frames.dtype}"
        )
    if frames.ndim != rank or not frames.size or shape not in (None, frames.shape):
        expected = shape or {5: "(N, T, H, W, C)", 6: "(N, K, T, H, W, C)"}[rank]
        raise ValueError(
            f"`{name}` must have the shape {expected}. Received: {name}.shape={frames.shape}"
        )
    # This way round so that NaN fails as well.
    if floats and not (frames.min() >= -1 - _SLACK and frames.max() <= 1 + _SLACK):
        raise ValueError(
            f"`{name}` must be finite and in [-1, 1], or uint8. "
            f"Received: {name} from {frames.min():.6g} to {frames.max():.6g}"
        )
    return frames


def _plain(values):
    return [float(value) if np.isfinite(value) else None for value in values]
