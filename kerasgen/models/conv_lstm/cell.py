"""The convolutional LSTM cell, and its weights as `keras.layers.ConvLSTM2D` keeps them."""

import math

import keras
import numpy as np
import tensorflow as tf

# What `from_keras` asks of a layer, and why another one can't be converted exactly.
_CONVERTIBLE = {
    "strides": (1, 1),
    "dilation_rate": (1, 1),
    "padding": "same",
    "data_format": "channels_last",
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "go_backwards": False,
}


class ConvLSTMCell(keras.layers.Layer):
    """One step of a convolutional LSTM, all four gates in one convolution.

    Inputs and hidden state are convolved together, with zeros around them ("same"). The hidden
    state has the compute dtype; the memory, to which every step adds, stays float32 and so do
    the gates. The forget gate's bias starts at 1.

    The kernel is kept as the matrix that a position's surroundings are multiplied with: that is
    what the optimizer Muon takes for one.

    Args:
        channels: int. Channels of the inputs.
        filters: int. Channels of the state.
        kernel_size: int or pair of ints. Height and width of the kernel. Defaults to 5.
        seed: int. What the initial weights are drawn from. Defaults to 0.
        **kwargs: `name` and `dtype`, as for `keras.layers.Layer`.

    Reference:
        Shi, Chen, Wang, Yeung, Wong, Woo: Convolutional LSTM Network: A Machine Learning Approach
        for Precipitation Nowcasting, 2015 (here, as in Keras, without peepholes).
    """

    def __init__(self, channels, filters, kernel_size=5, seed=0, **kwargs):
        super().__init__(autocast=False, **kwargs)  # it would round the memory
        self.channels = channels
        self.filters = filters
        self.kernel_size = tuple(int(side) for side in np.broadcast_to(kernel_size, 2))
        self.seed = seed
        self.kernel = self.add_weight(
            name="kernel",
            shape=(math.prod(self.kernel_size) * (channels + filters), 4 * filters),
            initializer=self._initial_kernel,
            autocast=False,
        )
        self.bias = self.add_weight(
            name="bias", shape=(4 * filters,), initializer=self._initial_bias, autocast=False
        )
        self.built = True

    def _initial_kernel(self, shape, dtype=None):
        """As Keras begins: Glorot's for the inputs, orthogonal for the state."""
        outputs = 4 * self.filters
        inputs = keras.initializers.GlorotUniform(seed=2 * self.seed)
        state = keras.initializers.Orthogonal(seed=2 * self.seed + 1)
        kernels = [
            inputs((*self.kernel_size, self.channels, outputs), dtype=dtype),
            state((*self.kernel_size, self.filters, outputs), dtype=dtype),
        ]
        return tf.reshape(tf.concat(kernels, axis=2), shape)

    def _initial_bias(self, shape, dtype=None):
        return tf.constant(np.repeat([0.0, 1.0, 0.0, 0.0], self.filters), dtype)

    @property
    def kernel_shape(self):
        """Tuple of ints: height, width, input and output channels of the convolution."""
        return (*self.kernel_size, self.channels + self.filters, 4 * self.filters)

    def initial_state(self, batch, height, width):
        """The state before the first input: zeros.

        Args:
            batch: int or scalar tensor.
            height: int.
            width: int.

        Returns:
            Tuple of two tensors `(batch, height, width, filters)`: hidden state and memory.
        """
        shape = (batch, height, width, self.filters)
        return tf.zeros(shape, self.compute_dtype), tf.zeros(shape, tf.float32)

    def call(self, inputs, state):
        """Takes one step.

        Args:
            inputs: float tensor `(B, H, W, channels)`.
            state: as `initial_state` or this returns it.

        Returns:
            The new state; its first tensor, the hidden state, is the output too.
        """
        hidden, memory = state
        both = tf.concat([tf.cast(inputs, hidden.dtype), hidden], axis=-1)
        kernel = tf.reshape(tf.cast(self.kernel.value, hidden.dtype), self.kernel_shape)
        gates = tf.cast(tf.nn.conv2d(both, kernel, 1, "SAME"), tf.float32) + self.bias.value
        write, keep, content, show = tf.split(gates, 4, axis=-1)
        memory = tf.sigmoid(keep) * memory + tf.sigmoid(write) * tf.tanh(content)
        return tf.cast(tf.sigmoid(show) * tf.tanh(memory), hidden.dtype), memory

    def get_config(self):
        return {
            "channels": self.channels,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "seed": self.seed,
            **super().get_config(),
        }


def to_keras(cell, height, width, **kwargs):
    """A Keras layer that does to whole sequences what the cell does step by step.

    Args:
        cell: `ConvLSTMCell`.
        height: int. Rows of the feature maps, which Keras' layer must know.
        width: int.
        **kwargs: further arguments of `keras.layers.ConvLSTM2D`, such as `unroll`.

    Returns:
        A built `keras.layers.ConvLSTM2D` with the cell's weights, from `(B, T, H, W, channels)`
        to `(B, T, H, W, filters)`, or to the last step's output with `return_sequences=False`.
    """
    settings = {"padding": "same", "return_sequences": True, "dtype": cell.dtype_policy, **kwargs}
    layer = keras.layers.ConvLSTM2D(cell.filters, cell.kernel_size, **settings)
    layer.build((None, None, height, width, cell.channels))
    kernel = cell.kernel.numpy().reshape(cell.kernel_shape)
    layer.set_weights(
        [kernel[:, :, : cell.channels], kernel[:, :, cell.channels :], cell.bias.numpy()]
    )
    return layer


def from_keras(layer, **kwargs):
    """A cell with the weights of a Keras layer.

    Args:
        layer: built `keras.layers.ConvLSTM2D` with Keras' activations, `padding="same"`, and
            neither strides nor dilation.
        **kwargs: `name` and `dtype` of the cell. Its dtype defaults to the layer's.

    Returns:
        `ConvLSTMCell`.

    Raises:
        ValueError: a layer of other settings, or one that isn't built.
    """
    config = layer.get_config()
    for name, expected in _CONVERTIBLE.items():
        value = tuple(config[name]) if isinstance(config[name], list) else config[name]
        if value != expected:
            raise ValueError(
                f"Only a ConvLSTM2D with {name}={expected!r} can be converted. "
                f"Received: {name}={value!r}"
            )
    if not layer.weights:
        raise ValueError(
            f"The layer has no weights yet: call or build it first. Received: layer={layer.name!r}"
        )
    kernel, recurrent_kernel, *bias = layer.get_weights()
    kwargs = {"dtype": layer.dtype_policy, **kwargs}
    cell = ConvLSTMCell(kernel.shape[2], layer.filters, layer.kernel_size, **kwargs)
    both = np.concatenate([kernel, recurrent_kernel], axis=2)
    cell.kernel.assign(both.reshape(cell.kernel.shape))
    cell.bias.assign(bias[0] if bias else np.zeros(cell.bias.shape, np.float32))
    return cell
