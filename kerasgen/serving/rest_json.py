"""Tensors in the JSON of TF Serving's REST interface, in columns: "inputs" and "outputs"."""

import base64

import numpy as np


def request_body(signature, inputs):
    """The body of a request.

    Args:
        signature: str. The endpoint's name.
        inputs: dict of an input's name -> array.

    Returns:
        dict for `json.dumps`.
    """
    columns = {name: to_json(values) for name, values in inputs.items()}
    return {"signature_name": signature, "inputs": columns}


def answer_body(outputs):
    """The body of an answer: as a server does, without the name of a single output."""
    columns = {name: to_json(values) for name, values in outputs.items()}
    return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}


def to_json(values):
    """An array as nested lists; files and other bytes as `{"b64": ...}`."""
    values = np.asarray(values)
    if values.dtype.kind in "OSU":
        return _map(_encoded, values.tolist())
    if values.dtype.kind == "f":  # by way of the shortest decimal fraction, 0.1 and not 0.100000001
        return values.astype(np.float32).astype(str).astype(float).tolist()
    return values.tolist()


def from_json(values, dtype):
    """The array of nested lists, of a NumPy dtype; of object dtype, bytes are decoded."""
    if dtype is not object:
        return np.asarray(values, dtype)
    decoded = _map(_decoded, values)
    array = np.empty(np.shape(_map(lambda _: 0, values)), object)
    array[...] = np.array(decoded, object)
    return array


def _map(function, values):
    return [_map(function, v) for v in values] if isinstance(values, list) else function(values)


def _encoded(value):
    value = value.encode() if isinstance(value, str) else value
    return {"b64": base64.b64encode(value).decode()}


def _decoded(value):
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()
