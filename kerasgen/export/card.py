"""`SERVING.md`: what a served model's endpoints are, with requests that work."""

import json

import keras
import tensorflow as tf

from kerasgen._version import __version__
from kerasgen.files import write_beside
from kerasgen.serving.rest_json import answer_body, request_body

EXAMPLES = "examples"
INLINE = 240  # characters of a request or an answer that the card shows
LARGEST = 2**20  # of an example's file

HEAD = """# {name}

A {kind} of kerasgen {version} for TensorFlow Serving (Keras {keras}, TensorFlow {tensorflow}).
Pictures have {height}x{width} pixels and {channels} channel{plural}.{note}

Every tensor has the batch as its first dimension, and all inputs of a request have as many rows.
A row's answer doesn't depend on the other rows. What an endpoint doesn't take, it refuses with
status 400 (`INVALID_ARGUMENT`) and says why.

## Start a server

In this directory:

```bash
docker run --rm -p 8500:8500 -p 8501:8501 -e MODEL_NAME={name} \\
    -v "$PWD:/models/{name}" tensorflow/serving
```

8501 is REST, 8500 gRPC. From Python, after `pip install kerasgen`:

```python
client = kerasgen.serving.Client("http://localhost:8501/v1/models/{name}")
```

## Endpoints

"B" is any number of rows. Files are `{{"b64": "..."}}` in JSON. The first endpoint is also
`serving_default`.
"""

SECTION = """
### {name}

{about}

| | name | type | shape | meaning |
|---|---|---|---|---|
{rows}

```bash
curl http://localhost:8501/v1/models/{model}:predict -d {request}
```
{answer}
"""

GRPC = """
## gRPC

```python
import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel("localhost:8500"))
request = predict_pb2.PredictRequest()
request.model_spec.name = "{model}"
request.model_spec.signature_name = "{signature}"
{inputs}
answer = stub.Predict(request, timeout=60).outputs
{outputs}
```
"""


def write_card(base_dir, model, signatures, exchanges):
    """Writes `SERVING.md`, and a request and its answer for each endpoint below `examples/`.

    Args:
        base_dir: `pathlib.Path`. The model's base path.
        model: `GenerativeModel`.
        signatures: dict of name -> `Signature`, the model's.
        exchanges: list of `kerasgen.export.check.Exchange`, what the model answers.
    """
    single = {}
    for exchange in exchanges:
        single.setdefault(exchange.signature, exchange)
    height, width, channels = model.image_shape
    name = base_dir.resolve().name
    parts = [
        HEAD.format(
            name=name,
            kind=type(model).__name__,
            version=__version__,
            keras=keras.__version__,
            tensorflow=tf.__version__,
            height=height,
            width=width,
            channels=channels,
            plural="" if channels == 1 else "s",
            note=f" {model.serving_note}" if model.serving_note else "",
        )
    ]
    for key, signature in signatures.items():
        request, answer = _examples(base_dir, single[key])
        parts.append(
            SECTION.format(
                name=key,
                about=signature.about,
                rows="\n".join(_rows(signature, single[key])),
                model=name,
                request=request,
                answer=answer,
            )
        )
    parts.append(_grpc(name, single))
    with write_beside(base_dir / "SERVING.md") as part:
        part.write_text("".join(parts))


def _rows(signature, exchange):
    for taken in signature.inputs:
        shape = ", ".join("any" if side is None else str(side) for side in taken.shape)
        shape = f"(B, {shape})" if shape else "(B)"
        yield f"| in | `{taken.name}` | {taken.dtype.name} | {shape} | {taken.about} |"
    for name, values in exchange.answer.items():
        shape = ", ".join(str(side) for side in values.shape[1:])
        shape = f"(B, {shape})" if shape else "(B)"
        kind = "string" if values.dtype == object else values.dtype.name
        yield f"| out | `{name}` | {kind} | {shape} | {signature.outputs[name]} |"


def _examples(base_dir, exchange):
    """Writes the files, and returns what the card says of request and answer."""
    texts = {
        "request": json.dumps(request_body(exchange.signature, exchange.request)),
        "answer": json.dumps(answer_body(exchange.answer)),
    }
    files = {}
    for side, text in texts.items():
        if len(text) <= LARGEST:
            file = base_dir / EXAMPLES / f"{exchange.signature}.{side}.json"
            with write_beside(file) as part:
                part.write_text(text + "\n")
            files[side] = f"{EXAMPLES}/{file.name}"
    request = texts["request"]
    if len(request) <= INLINE:
        request = f"'{request}'"
    else:
        request = f"@{files['request']}" if "request" in files else f"'{request[:INLINE]} ...'"
    answer = texts["answer"]
    if len(answer) > INLINE:
        where = f", whole in `{files['answer']}`" if "answer" in files else ""
        return request, f"answers{where}\n\n```\n{answer[:INLINE]} ...\n```"
    return request, f"answers\n\n```json\n{answer}\n```"


def _grpc(model, single):
    """A request in Python: that of the endpoint whose example is the shortest to write."""
    exchange = min(single.values(), key=lambda e: sum(v.size for v in e.request.values()))
    inputs = [
        f'request.inputs["{name}"].CopyFrom(tf.make_tensor_proto({values.tolist()}, '
        f"tf.{tf.as_dtype(values.dtype).name}))"
        for name, values in exchange.request.items()
    ]
    outputs = [
        f'answer["{name}"].string_val[0]  # bytes, {len(values.ravel()[0]):,} of them'
        if values.dtype == object
        else f'tf.make_ndarray(answer["{name}"])  # {values.dtype.name}, {values.shape}'
        for name, values in exchange.answer.items()
    ]
    return GRPC.format(
        model=model,
        signature=exchange.signature,
        inputs="\n".join(inputs),
        outputs="\n".join(outputs),
    )
