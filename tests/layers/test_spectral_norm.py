"""`SpectralNorm` against NumPy's singular values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasgen.layers import SpectralNorm

LAYERS = {
    "dense": (lambda: keras.layers.Dense(5), (7,)),
    "conv": (lambda: keras.layers.Conv2D(5, 3, padding="same"), (6, 6, 4)),
    "transposed": (lambda: keras.layers.Conv2DTranspose(5, 4, strides=2), (6, 6, 3)),
}


def matrix(layer):
    """The kernel as outputs by everything else."""
    kernel = layer.kernel.numpy()
    if isinstance(layer, keras.layers.Conv2DTranspose):
        kernel = np.moveaxis(kernel, -2, -1)
    return kernel.reshape(-1, kernel.shape[-1]).T


def inputs(shape, seed=0):
    return tf.random.stateless_normal((3, *shape), [seed, 1])


@pytest.mark.parametrize("kind", LAYERS)
def test_the_kernel_is_divided_by_its_largest_singular_value_and_left_alone(kind):
    keras.utils.set_random_seed(0)  # singular values that are far enough apart
    make, shape = LAYERS[kind]
    plain = make()
    layer = SpectralNorm(plain)
    layer.build((None, *shape))
    plain.bias.assign(np.arange(5.0))
    kernel = plain.kernel.numpy()
    for _ in range(200):
        layer(inputs(shape), training=True)
    np.testing.assert_array_equal(plain.kernel, kernel)
    left = layer.left.numpy()
    result = layer(inputs(shape, 5), training=False)
    np.testing.assert_array_equal(layer.left, left)
    assert plain in layer._flatten_layers() and len(layer.trainable_variables) == 2

    norm = np.linalg.svd(matrix(plain), compute_uv=False)[0]
    reference = make()
    reference.build((None, *shape))
    reference.kernel.assign(kernel / norm)
    reference.bias.assign(np.arange(5.0))
    np.testing.assert_allclose(result, reference(inputs(shape, 5)), rtol=1e-4, atol=1e-5)


def test_gradients_go_through_the_norm():
    """A kernel and its double are the same layer, so that nothing pulls along the kernel."""
    layer = SpectralNorm(keras.layers.Dense(5))
    x = inputs((7,))
    for _ in range(50):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True) ** 2)
    kernel = layer.layer.kernel
    gradient = tape.gradient(loss, kernel.value)
    assert np.abs(gradient).max() > 0.1
    np.testing.assert_allclose(np.sum(gradient * kernel.numpy()), 0, atol=1e-3)


def test_it_is_saved_and_keeps_float32_under_mixed_precision(tmp_path):
    layer = SpectralNorm(keras.layers.Dense(5, dtype="mixed_bfloat16"), seed=3, name="normed")
    model = keras.Sequential([keras.Input((7,)), layer])
    for _ in range(3):
        model(inputs((7,)), training=True)
    assert layer.left.dtype == "float32"
    assert model(inputs((7,))).dtype == tf.bfloat16
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[0].seed == 3
    np.testing.assert_array_equal(again(inputs((7,))), model(inputs((7,))))
