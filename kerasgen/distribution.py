"""Training on several devices and machines: what is needed beside `tf.distribute` and Keras.

A model is made within `strategy.scope()` and trained by plain `fit`; a batch of the pipeline is
the global one, which the replicas share. Keras 3.15 leaves three things to do:

- It sums gradients over the replicas only after the optimizer has limited their length (or found
  them not finite), so that each replica limits its own: `limit_gradients` does it before.
- `fit` reads a batch to build the model by, which moves the data's order on, and which fails for
  tuples on several machines: the zoo's models are built when they are made, and
  `GenerativeModel` leaves that out (`_maybe_symbolic_build`).
- On several machines it averages logs over their first axis, which scalars haven't: `for_logs`.

`tests/distribution` tells when Keras needs the last two no longer.
"""

import contextlib
import math

import keras
import numpy as np
import tensorflow as tf


def num_replicas():
    """Replicas that train together, 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def num_workers(strategy):
    """Processes, one a machine, that train together.

    Args:
        strategy: `tf.distribute.Strategy`.

    Returns:
        int. 1 for strategies of a single machine.
    """
    cluster = _cluster(strategy)
    return max(1, sum(len(cluster.get(kind, ())) for kind in ("chief", "worker")))


def is_chief(strategy):
    """Whether this process is the one that writes files."""
    if num_workers(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    chief = ("chief", 0) if _cluster(strategy).get("chief") else ("worker", 0)
    return (resolver.task_type, resolver.task_id) == chief


def _cluster(strategy):
    resolver = strategy.cluster_resolver
    return {} if resolver is None else resolver.cluster_spec().as_dict()


class WorkerLost(RuntimeError):
    """Another machine has left a training that this one was part of."""


@contextlib.contextmanager
def losses_named(strategy):
    """Tells what has happened where TensorFlow says that a collective operation failed."""
    try:
        yield
    except tf.errors.OpError as error:
        gone = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
        if num_workers(strategy) == 1 or not isinstance(error, gone):
            raise
        raise WorkerLost(
            "Another machine has left the training: it ended, was killed, or can't be reached. "
            "Start all of them again."
        ) from error


def check_compile(kwargs):
    """Refuses what does not work on several replicas.

    Args:
        kwargs: dict. `jit_compile` and `steps_per_execution`, as `keras.Model.compile` takes them;
            compilation is turned off where it was left to Keras.

    Raises:
        ValueError: one of them on several replicas, or a distribution of `keras.distribution`.
    """
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "`keras.distribution` does nothing on TensorFlow, where all would be computed on one "
            "device: call `keras.distribution.set_distribution(None)`, and make the model within "
            "the `scope()` of a `tf.distribute` strategy. "
            f"Received: {type(keras.distribution.distribution()).__name__}"
        )
    if num_replicas() == 1:
        return
    received = f"Received: {num_replicas()} replicas, "
    if kwargs.get("jit_compile", "auto") not in ("auto", False):
        raise ValueError(
            "`jit_compile` must be False on several replicas, whose variables XLA can't reach. "
            f"{received}jit_compile={kwargs['jit_compile']!r}"
        )
    if kwargs.get("steps_per_execution", 1) != 1:
        raise ValueError(
            "`steps_per_execution` must be 1 on several replicas: Keras can't repeat a step that "
            f"they share. {received}steps_per_execution={kwargs['steps_per_execution']!r}"
        )
    kwargs["jit_compile"] = False


def check_optimizer(optimizer):
    """Refuses an optimizer that does not work on several replicas.

    Raises:
        ValueError: one that accumulates gradients over steps.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if num_replicas() > 1 and inner.gradient_accumulation_steps:
        raise ValueError(
            "An optimizer can't accumulate gradients on several replicas, which share a step: "
            "leave `gradient_accumulation_steps` out and give each a larger batch. "
            f"Received: {num_replicas()} replicas, "
            f"gradient_accumulation_steps={inner.gradient_accumulation_steps}"
        )


def from_chief(strategy, function, count):
    """What a function returns on the chief, and on no other machine; all have to call this.

    Args:
        strategy: `tf.distribute.Strategy`.
        function: function that returns a list of floats.
        count: int. Their number.

    Returns:
        List of floats.
    """
    if num_workers(strategy) == 1:
        return function()
    return sum_of_workers(strategy, function() if is_chief(strategy) else [0.0] * count)


def sum_of_workers(strategy, values):
    """The sums of a list of floats over all machines, each of which has to call this."""
    if num_workers(strategy) == 1:
        return values
    on_one_machine = strategy.num_replicas_in_sync // num_workers(strategy)

    def of_replica():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        first = tf.equal(replica % on_one_machine, 0)
        return tf.where(first, tf.constant(values, tf.float64), 0.0)

    return strategy.reduce("SUM", strategy.run(of_replica), axis=None).numpy().tolist()


def limit_gradients(optimizer, gradients):
    """What an optimizer is to be given so that it limits the gradients of the global batch.

    Where it limits or examines nothing, that is what came, which it will sum over the replicas.

    Args:
        optimizer: `keras.Optimizer`.
        gradients: list of tensors, this replica's shares.

    Returns:
        List of tensors, whose own length the optimizer has no reason to limit.
    """
    replicas, scale, inner = num_replicas(), 1.0, optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale, inner = optimizer.dynamic_scale.value, optimizer.inner_optimizer
    limited = inner.global_clipnorm or inner.clipnorm or inner.clipvalue
    if replicas == 1 or (inner is optimizer and not limited):
        return gradients
    gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
    if inner.global_clipnorm:
        gradients, _ = tf.clip_by_global_norm(gradients, scale * inner.global_clipnorm)
    elif inner.clipnorm:
        gradients = [tf.clip_by_norm(gradient, scale * inner.clipnorm) for gradient in gradients]
    elif inner.clipvalue:
        most = scale * inner.clipvalue
        gradients = [tf.clip_by_value(gradient, -most, most) for gradient in gradients]
    return [gradient / replicas for gradient in gradients]


def assign_on_each(variables, values, function):
    """Assigns to variables, on each device from what is there: nothing is sent or averaged.

    Args:
        variables: list of `keras.Variable`, equal on all devices.
        values: list of `keras.Variable`, likewise.
        function: function of a variable's and a value's tensor, what is assigned.
    """

    def assign(variable, value):
        variable.assign(function(variable, value))

    def on_all(strategy, pairs):
        for variable, value in pairs:
            strategy.extended.update(variable, assign, args=(value,), group=False)

    pairs = [(a.value, b.value) for a, b in zip(variables, values, strict=True)]
    # As Keras' optimizers do.
    tf.__internal__.distribute.interim.maybe_merge_call(on_all, tf.distribute.get_strategy(), pairs)


def read(strategy, variables):
    """Values of variables, of those that differ between replicas (metrics') each replica's.

    Args:
        strategy: `tf.distribute.Strategy`. On several machines all have to call this.
        variables: list of `keras.Variable`.

    Returns:
        List of arrays, for `write`. On several replicas those of metrics are float64 and have the
        replicas as their first axis.
    """
    differing = [variable for variable in variables if _differs(strategy, variable)]
    parts = iter(())
    if differing:

        @tf.function
        def of_replicas():
            def row():
                values = [tf.reshape(tf.cast(v.value, tf.float64), [-1]) for v in differing]
                return tf.concat(values, axis=0)[None]

            return strategy.gather(strategy.run(row), axis=0)

        ends = np.cumsum([math.prod(variable.shape) for variable in differing])
        parts = iter(np.split(of_replicas().numpy(), ends[:-1], axis=1))
    return [
        next(parts).reshape(-1, *v.shape) if _differs(strategy, v) else v.numpy() for v in variables
    ]


def write(strategy, variables, values):
    """Assigns what `read` returned.

    Args:
        strategy: `tf.distribute.Strategy`. It may have another number of replicas: what theirs
            add up to stays the same.
        variables: list of `keras.Variable`.
        values: list of arrays.
    """
    pairs = []
    for variable, value in zip(variables, values, strict=True):
        several = value.ndim > len(variable.shape)
        if not _differs(strategy, variable):
            variable.assign(value.sum(0) if several else value)
            continue
        rows = value if several else value[None]
        if len(rows) != strategy.num_replicas_in_sync:
            rest = np.zeros((strategy.num_replicas_in_sync - 1, *variable.shape))
            rows = np.concatenate([rows.sum(0, keepdims=True), rest])
        pairs.append((variable, rows))

    @tf.function
    def on_replicas():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for variable, rows in pairs:
            variable.assign(tf.cast(tf.gather(tf.constant(rows), replica), variable.dtype))

    if pairs:
        strategy.run(on_replicas)


def _differs(strategy, variable):
    """Whether each replica has a value of its own."""
    on_read = variable.value.synchronization == tf.VariableSynchronization.ON_READ
    return strategy.num_replicas_in_sync > 1 and on_read


def for_logs(result):
    """A metric's result as Keras' `fit` can average it over the replicas."""
    several = num_workers(tf.distribute.get_strategy()) > 1
    return tf.reshape(result, (1,)) if several else result
