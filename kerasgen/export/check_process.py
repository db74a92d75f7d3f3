"""The process that checks an export: `python check_process.py SAVED_MODEL EXCHANGES`.

It has to do without Keras and kerasgen, as a server does. What is wrong goes to standard output.
"""

import base64
import json
import sys

import numpy as np

FORBIDDEN_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
TOLERANCE = 1e-5


def main(path, exchanges):
    """What is wrong with a SavedModel, or None; `exchanges` as `check.py` packs them."""
    import tensorflow as tf

    problem = _unservable(tf, path)
    if problem:
        return problem
    signatures = tf.saved_model.load(path).signatures
    for name, *sides in exchanges:
        request, answer = ({k: _unpacked(*v) for k, v in side.items()} for side in sides)
        if name not in signatures:
            return f"It has no signature {name!r}."
        try:
            received = signatures[name](
                **{key: tf.constant(values.tolist() if values.dtype == object else values)
                   for key, values in request.items()}
            )  # fmt: skip
        except tf.errors.OpError as error:
            return f"Signature {name!r} fails: {error.message}"
        if sorted(received) != sorted(answer):
            return f"Signature {name!r} returns {sorted(received)} instead of {sorted(answer)}."
        for key, expected in answer.items():
            problem = _difference(tf, received[key].numpy(), expected)
            if problem:
                return f"Output {key!r} of signature {name!r} isn't the model's: {problem}"
    return None


def _unpacked(dtype, shape, data):
    if dtype == "object":
        values = np.empty(len(data), object)
        values[:] = [base64.b64decode(file) for file in data]
    else:
        values = np.frombuffer(base64.b64decode(data), dtype)
    return values.reshape(shape)


def _unservable(tf, path):
    """What in a SavedModel TF Serving couldn't run, or None."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    with open(f"{path}/saved_model.pb", "rb") as file:
        saved.ParseFromString(file.read())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    python = sorted({node.op for node in nodes} & set(FORBIDDEN_OPS))
    if python:
        return f"It calls back into Python: {', '.join(python)}."
    for function in graph.library.function:
        if function.attr["_XlaMustCompile"].b:
            return f"Function {function.signature.name!r} must be compiled by XLA."
    known = set(tf.raw_ops.__dict__)
    functions = {function.signature.name for function in graph.library.function}
    unknown = sorted({node.op for node in nodes} - known - functions)
    return f"It needs operations that aren't TensorFlow's own: {unknown}." if unknown else None


def _difference(tf, received, expected):
    if received.shape != expected.shape or received.dtype != expected.dtype:
        return f"{received.dtype} {received.shape} instead of {expected.dtype} {expected.shape}."
    if received.dtype == object:
        if (received == expected).all():
            return None
        # Another number of threads may round otherwise: a step of uint8 is let pass.
        try:
            pairs = [
                [tf.io.decode_image(file).numpy().astype(int) for file in pair]
                for pair in zip(received.ravel(), expected.ravel(), strict=True)
            ]
        except tf.errors.OpError:
            return "other bytes."
        if any(a.shape != b.shape for a, b in pairs):
            return "pictures of another shape."
        largest, allowed = max(np.abs(a - b).max() for a, b in pairs), 1
    elif received.dtype.kind == "f":
        if not np.isfinite(received).all():
            return "it holds NaN or infinity."
        scale = max(1.0, np.abs(expected).max(initial=0))
        largest, allowed = np.abs(received - expected).max(initial=0), TOLERANCE * scale
    else:
        largest, allowed = np.abs(received.astype(int) - expected.astype(int)).max(initial=0), 1
    return f"it differs by {largest:.3g}." if largest > allowed else None


if __name__ == "__main__":
    for module in ("keras", "kerasgen"):
        sys.modules[module] = None  # importing it fails
    with open(sys.argv[2]) as file:
        found = main(sys.argv[1], json.load(file))
    if found:
        print(found)
        sys.exit(1)
