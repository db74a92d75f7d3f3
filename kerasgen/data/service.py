"""`from_service`: batches that other machines compute, by tf.data service."""

import math
import socket
import urllib.parse

import tensorflow as tf

MOST_BYTES = 2**31 - 2**20  # of a graph, in which the pictures travel
TIMEOUT = 10  # seconds
_KEPT = ("num_images", "num_clips", "pictures_per_epoch", "image_shape", "frame_shape")
_KEPT += ("class_names", "crop", "fingerprint", "image_digests")


def from_service(dataset, service, job_name=None):
    """Lets the workers of a tf.data service compute the batches of a pipeline.

    For machines whose own processors can't feed their GPUs. The workers get the decoded pictures,
    and look up, crop, flip and convert them; each takes other epochs, so that all pictures are used
    equally often, in no fixed order: a resumed training goes on with other batches.

    Args:
        dataset: pipeline of `kerasgen.data`, whose pictures are in memory and don't exceed 2 GB.
        service: str. Address of the dispatcher, such as "grpc://10.0.0.2:5050".
        job_name: str or None. Trainings that give the same name share the batches. Defaults to
            None: this one has them all.

    Returns:
        A `tf.data.Dataset` that never ends; `fit` takes as many steps an epoch as of `dataset`.

    Raises:
        TypeError: something else than such a pipeline.
        ValueError: an address that isn't one, or pictures that can't be sent.
        ConnectionError: no one listens there.

    Example:

    ```python
    dispatcher = tf.data.experimental.service.DispatchServer()  # on one machine
    worker = tf.data.experimental.service.WorkerServer(  # on each that computes batches
        tf.data.experimental.service.WorkerConfig(dispatcher.target.split("://")[1])
    )
    dataset = kerasgen.data.load_images("digits", image_size=32)
    model.fit(kerasgen.data.from_service(dataset, dispatcher.target), epochs=60)
    ```
    """
    if not hasattr(dataset, "endless"):
        raise TypeError(
            "Expected a pipeline as `kerasgen.data.load_images` returns it. "
            f"Received: {type(dataset).__name__}"
        )
    parts = urllib.parse.urlsplit(service)
    if not parts.scheme or not parts.hostname or not _port(parts):
        raise ValueError(
            'A tf.data service has an address such as "grpc://10.0.0.2:5050". '
            f"Received: service={service!r}"
        )
    if dataset.endless is None:
        raise ValueError(
            "The pictures of this pipeline are kept on this machine's disk, or drawn by its own "
            "program, and can't be sent: load fewer or smaller ones into memory "
            '(`cache="memory"`).'
        )
    size = dataset.num_images * math.prod(dataset.image_shape)
    if size > MOST_BYTES:
        raise ValueError(
            f"The pictures have {size / 2**30:.1f} GB, and 2 are the most that can be sent: load "
            "smaller or fewer ones."
        )
    try:
        socket.create_connection((parts.hostname, parts.port), TIMEOUT).close()
    except OSError as error:
        raise ConnectionError(
            f"No dispatcher of a tf.data service answers: {error}. Start one, and its workers. "
            f"Received: service={service!r}"
        ) from None
    distribute = tf.data.experimental.service.distribute
    served = dataset.endless().apply(distribute("distributed_epoch", service, job_name))
    served.steps_per_epoch = len(dataset)
    for name in _KEPT:
        if hasattr(dataset, name):
            setattr(served, name, getattr(dataset, name))
    return served


def _port(parts):
    try:
        return parts.port
    except ValueError:
        return None
