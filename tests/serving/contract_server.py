"""A loopback server that speaks TF Serving's REST and gRPC as its documentation has them.

It only maps requests to a SavedModel's signatures, on the official messages: a check of the
contract between clients and exports, not TF Serving.
"""

import base64
import http.server
import json
import pathlib
import re
import threading
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata|:predict)?")


class Missing(Exception):
    pass


class ContractServer:
    """Serves `{name: {version: path}}` until closed; `state` and `busy` simulate hard times."""

    def __init__(self, models):
        self.models = {
            name: {version: tf.saved_model.load(path) for version, path in versions.items()}
            for name, versions in models.items()
        }
        self.paths = models
        self.state = "AVAILABLE"
        self.busy = 0  # so many requests are refused with 503
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.rest(self, None)

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                server.rest(self, self.rfile.read(length))

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.grpc = grpc.server(futures.ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            Predictions(self), self.grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(self), self.grpc)
        self.grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()
        self.rest_url = f"http://127.0.0.1:{self.http.server_port}"
        self.grpc_url = f"127.0.0.1:{self.grpc_port}"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.grpc.stop(None)

    def find(self, name, version, loaded=True):
        versions = self.models.get(name, {})
        version = int(version or 0) or max(versions, default=0)
        if version not in versions or (loaded and self.state != "AVAILABLE"):
            raise Missing(f"Servable not found for request: Latest({name})")
        return version, versions[version]

    def definitions(self, name, version):
        number, _ = self.find(name, version)
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString(pathlib.Path(self.paths[name][number], "saved_model.pb").read_bytes())
        return number, {
            key: definition for key, definition in saved.meta_graphs[0].signature_def.items()
        }

    # === REST ===

    def rest(self, handler, body):
        status, answer = 200, None
        self.asked.append((handler.command, handler.path))
        try:
            if self.busy:
                self.busy -= 1
                status, answer = 503, {"error": "Server is overloaded"}
            else:
                answer = self.answer(handler.command, handler.path, body)
        except Missing as error:
            status, answer = 404, {"error": str(error)}
        except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            status, answer = 400, {"error": str(error)}
        text = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def answer(self, command, path, body):
        match = PATH.fullmatch(path)
        if not match or (command == "POST") != (match[3] == ":predict"):
            raise Missing("Not found")
        name, version, what = match.groups()
        if what == ":predict":
            return self.predict(name, version, json.loads(body))
        if what == "/metadata":
            number, definitions = self.definitions(name, version)
            found = get_model_metadata_pb2.SignatureDefMap(signature_def=definitions)
            as_dict = json_format.MessageToDict(
                found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
            return {
                "model_spec": {"name": name, "signature_name": "", "version": str(number)},
                "metadata": {"signature_def": as_dict},
            }
        number, _ = self.find(name, version, loaded=False)
        return {
            "model_version_status": [
                {
                    "version": str(number),
                    "state": self.state,
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }

    def predict(self, name, version, body):
        _, definitions = self.definitions(name, version)
        signature = body.get("signature_name", "serving_default")
        if signature not in definitions:
            raise ValueError(f"Serving signature name: {signature} not found in signature def")
        definition = definitions[signature]
        if ("instances" in body) == ("inputs" in body):
            raise ValueError('Request must have one of "instances" and "inputs"')
        if "inputs" in body:
            columns = body["inputs"]
            if not isinstance(columns, dict) or set(columns) - set(definition.inputs):
                columns = {next(iter(definition.inputs)): columns}
        else:
            rows = body["instances"]
            if not isinstance(rows[0], dict) or "b64" in rows[0]:
                rows = [{next(iter(definition.inputs)): row} for row in rows]
            columns = {key: [row[key] for row in rows] for key in definition.inputs}
        if set(columns) != set(definition.inputs):
            raise ValueError("input size does not match signature")
        tensors = {}
        for key, values in columns.items():
            dtype = tf.as_dtype(definition.inputs[key].dtype)
            tensors[key] = tf.constant(decoded(values) if dtype == tf.string else values, dtype)
        outputs = self.run(name, version, signature, tensors)
        lists = {key: encoded(key, values) for key, values in outputs.items()}
        if "inputs" in body:
            return {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}
        if len(lists) == 1:
            return {"predictions": next(iter(lists.values()))}
        count = len(next(iter(lists.values())))
        return {"predictions": [{k: v[i] for k, v in lists.items()} for i in range(count)]}

    def run(self, name, version, signature, tensors):
        _, model = self.find(name, version)
        results = model.signatures[signature](**tensors)
        return {key: values.numpy() for key, values in results.items()}


def decoded(values):
    if isinstance(values, list):
        return [decoded(value) for value in values]
    return base64.b64decode(values["b64"]) if isinstance(values, dict) else values


def encoded(name, values):
    if values.dtype != object:
        return values.tolist()

    def text(value):
        if isinstance(value, list):
            return [text(v) for v in value]
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(value).decode()}
        return value.decode()

    return text(values.tolist())


# === gRPC ===


def guarded(method):
    def call(self, request, context):
        try:
            if self.server.busy:
                self.server.busy -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "Server is overloaded")
            return method(self, request)
        except Missing as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    return call


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server):
        self.server = server

    @guarded
    def Predict(self, request):
        spec = request.model_spec
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        signature = spec.signature_name or "serving_default"
        outputs = self.server.run(spec.name, spec.version.value, signature, inputs)
        response = predict_pb2.PredictResponse()
        for key, values in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(np.asarray(values)))
        return response

    @guarded
    def GetModelMetadata(self, request):
        spec = request.model_spec
        _, definitions = self.server.definitions(spec.name, spec.version.value)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        found = get_model_metadata_pb2.SignatureDefMap(signature_def=definitions)
        response.metadata["signature_def"].Pack(found)
        return response


class Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, server):
        self.server = server

    @guarded
    def GetModelStatus(self, request):
        spec = request.model_spec
        number, _ = self.server.find(spec.name, spec.version.value, loaded=False)
        response = get_model_status_pb2.GetModelStatusResponse()
        states = get_model_status_pb2.ModelVersionStatus.State
        response.model_version_status.add(version=number, state=states.Value(self.server.state))
        return response
