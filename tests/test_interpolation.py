"""Ways from one latent vector to another."""

import numpy as np

from kerasgen.interpolation import path_between


def test_paths_are_straight_or_along_great_circles():
    a, b = np.array([[3.0, 0, 0], [1, 2, 2]]), np.array([[0, 3.0, 0], [2, 4, 4]])
    line = path_between(a, b, 3, "linear")
    np.testing.assert_allclose(line[0], [[3, 0, 0], [1.5, 1.5, 0], [0, 3, 0]])
    circle = path_between(a, b, 4, "spherical")
    np.testing.assert_allclose(np.linalg.norm(circle[0], axis=1), 3, rtol=1e-6)
    angle = np.pi / 6
    np.testing.assert_allclose(circle[0, 1], [3 * np.cos(angle), 3 * np.sin(angle), 0], rtol=1e-6)
    # In line there is no one circle: straight.
    np.testing.assert_allclose(circle[1], path_between(a, b, 4, "linear")[1])
    opposite = path_between(a[:1], -a[:1], 3, "spherical")
    np.testing.assert_allclose(opposite[0], [[3, 0, 0], [0, 0, 0], [-3, 0, 0]])
