"""`ConditionalBatchNormalization` against NumPy."""

import numpy as np

from kerasgen.layers import ConditionalBatchNormalization


def test_features_are_normalised_then_scaled_and_shifted_by_class():
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (12, 4, 5, 3)).astype(np.float32)
    labels = np.arange(12) % 4
    layer = ConditionalBatchNormalization(4, momentum=0.8, epsilon=1e-5)
    layer.build([x.shape, labels.shape])
    scale, shift = rng.normal(size=(2, 4, 3)).astype(np.float32)
    layer.scale.assign(scale)
    layer.shift.assign(shift)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    normal = (x - mean) / np.sqrt(variance + 1e-5)
    expected = normal * scale[labels][:, None, None] + shift[labels][:, None, None]
    np.testing.assert_allclose(layer([x, labels], training=True), expected, atol=1e-4)

    np.testing.assert_allclose(layer.norm.moving_mean, 0.2 * mean, rtol=1e-4)
    still = (x - 0.2 * mean) / np.sqrt(0.8 + 0.2 * variance + 1e-5)
    expected = still * scale[labels][:, None, None] + shift[labels][:, None, None]
    np.testing.assert_allclose(layer([x, labels], training=False), expected, atol=1e-4)


def test_it_begins_as_plain_batch_normalisation_and_keeps_its_config():
    layer = ConditionalBatchNormalization(3, momentum=0.5, epsilon=1e-4, dtype="mixed_bfloat16")
    x = np.random.default_rng(0).normal(size=(6, 2, 2, 4)).astype(np.float32)
    result = layer([x, np.arange(6) % 3], training=True)
    assert result.dtype == "bfloat16"
    assert abs(np.mean(result)) < 1e-2 and abs(np.std(np.asarray(result, np.float32)) - 1) < 1e-2
    again = ConditionalBatchNormalization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
