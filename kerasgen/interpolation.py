"""Ways from one latent vector to another."""

import numpy as np

METHODS = ("linear", "spherical")


def path_between(start, end, steps, method):
    """Vectors on the ways from each start to its end, both included.

    Args:
        start: float array `(N, D)`.
        end: as `start`.
        steps: int. Vectors on each way.
        method: "linear", or "spherical": along a great circle, so that vectors in between are as
            long as those at the ends.

    Returns:
        float32 array `(N, steps, D)`.

    Reference:
        White: Sampling Generative Networks, 2016 (spherical).
    """
    a, b = (np.asarray(codes, np.float64)[:, None] for codes in (start, end))
    t = np.linspace(0, 1, steps)[:, None]
    path = a + t * (b - a)
    if method == "spherical":
        lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        cosine = (a * b).sum(-1) / np.maximum(lengths, 1e-12)
        angle = np.arccos(np.clip(cosine, -1, 1))[..., None]
        sine = np.sin(angle)
        # Between codes in line there is no one great circle.
        defined = sine > 1e-6
        arc = np.sin((1 - t) * angle) * a + np.sin(t * angle) * b
        path = np.where(defined, arc / np.where(defined, sine, 1), path)
    path[:, 0], path[:, -1] = a[:, 0], b[:, 0]
    return path.astype(np.float32)
