"""Gradients of a layer, to be compared with those of another."""

import tensorflow as tf


def gradients(layer, x, **kwargs):
    """Those of inputs and weights, and those of a penalty on the inputs' gradient.

    Args:
        layer: `keras.layers.Layer`, built.
        x: float tensor, its inputs.
        **kwargs: of the layer's call.

    Returns:
        List of tensors, None where there is no gradient.
    """
    variables = [x, *(variable.value for variable in layer.trainable_variables)]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(tf.sin(layer(x, **kwargs)))
        penalty = tf.reduce_sum(tf.square(inner.gradient(loss, x)))
    return [*outer.gradient(loss, variables), *outer.gradient(penalty, variables)]
