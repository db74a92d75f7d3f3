"""`kerasgen train` on several devices of a machine, or on several machines."""

import json
import os

from kerasgen.cli import UserError
from kerasgen.cli.start import start_tensorflow

HOW_TO_LAUNCH = "docs/scaling.md says how to launch several machines."


def cluster():
    """The machines of `TF_CONFIG`, a list of their addresses; empty for this one alone.

    Raises:
        UserError: a `TF_CONFIG` that can't be read.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return []
    try:
        config = json.loads(text)
        found = config.get("cluster", {})
        others = set(found) - {"chief", "worker", "evaluator"}
        if others:
            raise ValueError(f"machines of the kinds {sorted(others)}")
        addresses = [*found.get("chief", ()), *found.get("worker", ())]
        if addresses:
            kind, index = config["task"]["type"], int(config["task"]["index"])
            found[kind][index]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(
            "TF_CONFIG must be JSON such as "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, '
            f"with kinds chief and worker: {error!r}. {HOW_TO_LAUNCH} Received: {text[:200]!r}"
        ) from None
    return addresses if len(addresses) > 1 else []


def make_strategy(devices, batch_size):
    """What a model is made within, to be trained on all devices that were asked for.

    It has to be the first thing that TensorFlow does.

    Args:
        devices: int or None. Devices of this machine; None is one, or of a machine of several all
            of its GPUs.
        batch_size: int. Of all devices together.

    Returns:
        `tf.distribute.Strategy`.

    Raises:
        UserError: devices that aren't there, or more of them than examples in a batch.
    """
    machines = cluster()
    if devices is not None and devices < 1:
        raise UserError(f"`--devices` must be at least 1. Received: {devices}")
    if machines and devices is not None:
        raise UserError(
            "`--devices` is for one machine; TF_CONFIG names several, which use all of their "
            f"GPUs. Leave one of both out. Received: {len(machines)} machines, --devices {devices}"
        )
    replicas = len(machines) or devices or 1
    if 1 < replicas > batch_size:
        raise UserError(
            f"The batch is shared by all devices: `--batch-size` must be at least {replicas}. "
            f"Received: {batch_size}"
        )
    start_tensorflow()
    import tensorflow as tf

    if machines:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if replicas == 1:
        return tf.distribute.get_strategy()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and len(gpus) < devices:
        raise UserError(f"This machine has {len(gpus)} GPU(s). Received: --devices {devices}")
    if gpus:
        return tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(devices)])
    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(cpu, parts)
    print(f"No GPU here: the processor stands for {devices} devices, to try it out. One is faster.")
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(devices)])
