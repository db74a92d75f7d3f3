"""Film strips and moving pictures that show how far a frame generator's training is."""

import numpy as np

from kerasgen.models.conv_lstm import checks
from kerasgen.pixels import to_uint8

MOST_CLIPS = 4
FUTURES = 3


def grids(model, batch=None):
    """The grids of `ConvLSTMGenerator.preview`, whose rows are film strips.

    - "predictions": of up to 4 clips the true frames, above them the same beginning and what the
      model predicts after it;
    - "futures", of a model with latents: the first clip, above three ways in which the model
      thinks that it may go on.

    The first generated frame of a strip has a border of one pixel, one pixel from its edge, bright
    on dark pictures and dark on bright ones.

    Args:
        model: `ConvLSTMGenerator`.
        batch: clips `(B, T, H, W, C)`, float in [-1, 1] or uint8, perhaps in a tuple with labels;
            or None.

    Returns:
        Dict of name -> uint8 array `(rows, T, H, W, C)`, empty without a batch.
    """
    if batch is None:
        return {}
    clips, truth, known = _examples(model, batch)
    horizon = truth.shape[1] - known
    predictions = _strips(truth[:, :known], model.predict_frames(clips[:, :known], horizon))
    result = {"predictions": np.stack([truth, predictions], axis=1).reshape(-1, *truth.shape[1:])}
    if model.latent_dim:
        futures = model.generate(
            np.repeat(clips[:1, :known], FUTURES, axis=0), horizon, seed=model.seed
        )
        beginnings = np.repeat(truth[:1, :known], FUTURES, axis=0)
        result["futures"] = np.concatenate([truth[:1], _strips(beginnings, futures)])
    return result


def films(model, batch=None):
    """The films of `ConvLSTMGenerator.moving_preview`.

    "rollouts": of the same clips the true frames, to the right of them the same beginning and
    what the model predicts after it. Generated frames have a border as in `grids`.

    Args:
        model, batch: as in `grids`.

    Returns:
        Dict of name -> uint8 array `(T, clips, 2, H, W, C)`, empty without a batch.
    """
    if batch is None:
        return {}
    clips, truth, known = _examples(model, batch)
    predictions = truth.copy()
    predictions[:, known:] = model.predict_frames(clips[:, :known], truth.shape[1] - known)
    for clip in predictions:
        for frame in clip[known:]:
            _mark(frame)
    return {"rollouts": np.stack([truth, predictions], axis=2).swapaxes(0, 1)}


def _examples(model, batch):
    """Clips of a batch, the same as uint8, and how many frames of each are given."""
    clips = np.asarray(batch[0] if isinstance(batch, (tuple, list)) else batch)[:MOST_CLIPS]
    clips = checks.clips(clips, model.image_shape, least=2)
    truth = clips if clips.dtype == np.uint8 else to_uint8(clips).numpy()
    return clips, truth, model.context_length(clips.shape[1])


def _strips(context, generated):
    generated = generated.copy()
    for frame in generated[:, 0]:
        _mark(frame)
    return np.concatenate([context, generated], axis=1)


def _mark(frame):
    """Draws a border that stands out from what it covers, and from the white gaps of a grid."""
    if min(frame.shape[:2]) > 4:
        frame = frame[1:-1, 1:-1]
    colours = frame.shape[-1] - (frame.shape[-1] in (2, 4))
    edges = (frame[0], frame[-1], frame[:, 0], frame[:, -1])
    bright = np.mean([edge[..., :colours].mean() for edge in edges]) > 127
    for edge in edges:
        edge[..., :colours] = 0 if bright else 255
        edge[..., colours:] = 255
