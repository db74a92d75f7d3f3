"""Small ConvLSTM generators and clips, for the tests of these."""

import numpy as np

import kerasgen

SMALL = {"frame_shape": (16, 16, 1), "filters": (6, 4), "kernel_size": 3}


def moving_discs(count, frames=6, shape=(16, 16, 1), seed=0):
    """uint8 clips `(count, frames, H, W, C)` of discs that move on straight lines."""
    height, width, channels = shape
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    sides = np.array([height, width])[:, None, None, None]
    centres = rng.uniform(0.3, 0.7, (count, 2, 1, 1, 1)) * sides
    speeds = rng.uniform(-0.08, 0.08, (count, 2, 1, 1, 1)) * sides
    places = centres + speeds * np.arange(frames)[:, None, None]
    radius = min(height, width) / 5
    discs = (rows - places[:, 0]) ** 2 + (columns - places[:, 1]) ** 2 < radius**2
    return np.where(discs, 230, 25).astype(np.uint8)[..., None].repeat(channels, -1)


def as_floats(clips):
    return clips.astype(np.float32) / 127.5 - 1


def as_uint8(frames):
    return np.clip(np.round((np.asarray(frames) + 1) * 127.5), 0, 255).astype(np.uint8)


def small(compile_kwargs=None, **changes):
    model = kerasgen.ConvLSTMGenerator(**{**SMALL, **changes})
    model.compile(**(compile_kwargs or {}))
    return model


def lively(**changes):
    """An untrained model, its weights so large that everything has an effect."""
    model = small(**changes)
    rng = np.random.default_rng(0)
    for network in (model.network, model.ema_network):
        network_weights = [
            rng.normal(0, 0.3 if w.ndim > 1 else 0.1, w.shape) for w in network.get_weights()
        ]
        network.set_weights(network_weights)
        rng = np.random.default_rng(0)  # the average gets the same
    return model


def noise_clips(count=2, frames=5, shape=(16, 16, 1), seed=0):
    clips = np.random.default_rng(seed).uniform(-1, 1, (count, frames, *shape))
    return clips.astype(np.float32)
