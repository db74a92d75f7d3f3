"""`evaluate_frames`: how good a model's predictions are at each horizon, on given clips."""

import numpy as np
import tensorflow as tf

from kerasgen.data.collect import collect_clips
from kerasgen.metrics import functional


def evaluate_frames(
    model, data, context_frames=None, horizon=None, num_futures=0, max_clips=None, seed=0
):
    """Lets a model continue clips, and compares each frame with the one that came.

    Args:
        model: what has `predict_frames`, and without `context_frames` also `context_length`,
            such as `kerasgen.ConvLSTMGenerator`.
        data: pipeline of clips as `kerasgen.data.load_frames` returns it, or an array
            `(N, T, H, W, C)`, uint8 or float in [-1, 1].
        context_frames: int or None. Frames of each clip that the model is given. Defaults to
            None: as in its training.
        horizon: int or None. Frames to predict. Defaults to None: the rest of each clip.
        num_futures: int. Futures of each clip to draw (`generate`) of a model with latents, 0 or
            at least 2; all of them are kept in memory. Defaults to 0.
        max_clips: int or None. The first so many clips are used. Defaults to None: all.
        seed: int. What the futures are drawn from. Defaults to 0.

    Returns:
        Tuple of `HorizonQuality`, of a model with latents that of their means, and
        `FuturesQuality`, or None without futures.

    Raises:
        TypeError: a pipeline of something else.
        ValueError: clips that are shorter than `context_frames + horizon`, or that the model
            can't take; numbers outside what is described here.

    Example:

    ```python
    clips = kerasgen.data.load_frames("moving_digits", split="test")
    quality, _ = kerasgen.metrics.evaluate_frames(model, clips)
    print(quality)
    kerasgen.plots.horizon_figure(quality).savefig("horizons.png")
    ```
    """
    _check_whole("num_futures", num_futures, 0)
    if num_futures == 1:
        raise ValueError(
            "One future is no better than itself: draw 0, or at least 2. Received: num_futures=1"
        )
    for name, value in (("context_frames", context_frames), ("horizon", horizon)):
        if value is not None:
            _check_whole(name, value, 1)
    if isinstance(data, tf.data.Dataset):
        clips = collect_clips(data, max_clips)
    else:
        clips = np.asarray(data)[:max_clips]
    if clips.ndim != 5:
        raise ValueError(
            f"Clips must have the shape (N, T, H, W, C). Received: shape={clips.shape}"
        )
    length = clips.shape[1]
    known = model.context_length(length) if context_frames is None else context_frames
    if horizon is None:
        horizon = length - known
    if known < 1 or horizon < 1 or length < known + horizon:
        raise ValueError(
            f"Clips of {length} frames are too short for a context of {known} frames and a "
            f"horizon of {max(horizon, 1)}: give longer ones, or a smaller `context_frames` or "
            f"`horizon`. Received: shape={clips.shape}"
        )
    context, truth = clips[:, :known], clips[:, known : known + horizon]
    predictions = model.predict_frames(context, horizon)
    quality = functional.horizon_quality(truth, predictions, context[:, -1])
    if not num_futures:
        return quality, None
    # A seed a future, since a call draws the clips' from one.
    draws = [model.generate(context, horizon, seed=seed + index) for index in range(num_futures)]
    return quality, functional.futures_quality(truth, np.stack(draws, axis=1))


def _check_whole(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {least}. Received: {name}={value!r}"
        )
