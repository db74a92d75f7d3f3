"""Requests, the model's answers to them, and a process of its own that asks the export the same."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing

import numpy as np
import tensorflow as tf

from kerasgen.export import check_process

# A graph of many frames may take a while; one that hangs is to be told of.
TIMEOUT = 600  # seconds


class ExportError(RuntimeError):
    """A SavedModel that doesn't do what its model does."""


class Exchange(typing.NamedTuple):
    """A request and its answer.

    Attributes:
        signature: str. The endpoint's name.
        request: dict of an input's name -> array.
        answer: dict of an output's name -> array, what the model itself answers.
    """

    signature: str
    request: dict
    answer: dict

    @classmethod
    def of(cls, signature, graph, request):
        """What the graph of a model's signature answers to a request."""
        with tf.device("CPU"):  # where the other process computes, as the GPU may be taken
            answer = graph(*(tf.constant(values) for values in request.values()))
        return cls(signature, request, {key: values.numpy() for key, values in answer.items()})


def check_export(path, exchanges):
    """Loads a SavedModel in a process without Keras and kerasgen, and runs all its endpoints.

    Args:
        path: `pathlib.Path` of the SavedModel.
        exchanges: list of `Exchange`. At least one an endpoint.

    Raises:
        ExportError: it doesn't load, holds what a server can't run, lacks an endpoint, or one
            answers otherwise.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "exchanges.json")
        file.write_text(json.dumps([_packed(exchange) for exchange in exchanges]))
        # -P: beside the program lie modules of kerasgen, which must not be found.
        command = [sys.executable, "-P", check_process.__file__, str(path), str(file)]
        try:
            result = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"},
            )
        except subprocess.TimeoutExpired:
            raise ExportError(
                f"The exported model didn't answer within {TIMEOUT} seconds, and was removed."
            ) from None
    if result.returncode:
        reason = result.stdout.strip() or result.stderr.strip()[-2000:]
        raise ExportError(
            f"The exported model doesn't do what it should, and was removed. {reason}"
        )


def _packed(exchange):
    """An exchange as JSON: of each array its dtype, shape and bytes, or the bytes of each file."""

    def pack(values):
        if values.dtype == object:
            data = [base64.b64encode(file).decode() for file in values.ravel()]
        else:
            data = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
        return [values.dtype.name, values.shape, data]

    sides = ({name: pack(values) for name, values in side.items()} for side in exchange[1:])
    return [exchange.signature, *sides]
