"""The ConvLSTM cell, against Keras' layer."""

import math

import keras
import numpy as np
import pytest

from kerasgen.models.conv_lstm.cell import ConvLSTMCell, from_keras, to_keras


@pytest.mark.parametrize("kernel_size", [5, 4, (1, 3)])
def test_the_cell_is_keras_s_convlstm(kernel_size):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, 4, 6, 7, 3)).astype(np.float32)
    cell = ConvLSTMCell(3, 5, kernel_size, seed=1)
    cell.bias.assign(rng.normal(size=20))
    outputs, state = [], cell.initial_state(2, 6, 7)
    for step in range(4):
        state = cell(inputs[:, step], state)
        outputs.append(state[0])
    layer = to_keras(cell, 6, 7)
    np.testing.assert_allclose(np.stack(outputs, 1), layer(inputs), atol=1e-5)
    last = to_keras(cell, 6, 7, return_sequences=False, unroll=True)
    np.testing.assert_allclose(outputs[-1], last(inputs), atol=1e-5)
    back = from_keras(layer)
    np.testing.assert_array_equal(back.kernel, cell.kernel)
    np.testing.assert_array_equal(back.bias, cell.bias)


def test_a_cell_takes_the_weights_of_keras_s_layer():
    inputs = np.random.default_rng(0).normal(size=(2, 3, 8, 8, 2)).astype(np.float32)
    layer = keras.layers.ConvLSTM2D(4, 3, padding="same", use_bias=False)
    expected = layer(inputs)
    cell = from_keras(layer)
    state = cell.initial_state(2, 8, 8)
    for step in range(3):
        state = cell(inputs[:, step], state)
    np.testing.assert_allclose(state[0], expected, atol=1e-5)
    again = ConvLSTMCell.from_config(cell.get_config())
    assert again.kernel.shape == cell.kernel.shape


def test_cells_begin_as_keras_s_do():
    cell = ConvLSTMCell(3, 8, 5)
    np.testing.assert_array_equal(cell.bias, [0] * 8 + [1] * 8 + [0] * 16)
    kernel = cell.kernel.numpy().reshape(5, 5, 3 + 8, 32)
    recurrent = kernel[:, :, 3:].reshape(-1, 32)
    np.testing.assert_allclose(recurrent.T @ recurrent, np.eye(32), atol=1e-5)
    limit = math.sqrt(6 / (25 * (3 + 32)))
    assert 0.9 * limit < np.abs(kernel[:, :, :3]).max() <= limit


def test_layers_that_cells_can_t_stand_for_are_refused():
    for settings, message in (
        ({"padding": "valid"}, "padding='valid'"),
        ({"strides": 2}, r"strides=\(2, 2\)"),
        ({"activation": "relu"}, "activation='relu'"),
        ({"go_backwards": True}, "go_backwards=True"),
        ({}, "no weights"),
    ):
        layer = keras.layers.ConvLSTM2D(4, 3, **{"padding": "same", **settings})
        with pytest.raises(ValueError, match=message):
            from_keras(layer)
