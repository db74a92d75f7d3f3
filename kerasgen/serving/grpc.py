"""TF Serving's gRPC interface."""

import numpy as np

from kerasgen.serving.errors import BadRequest, ModelNotFound, ModelNotReady, ServingError

LARGEST = 2**30  # bytes of a message; gRPC's own limit of 4 MiB is less than a few pictures


class Grpc:
    """One model, over gRPC.

    Args:
        server: str such as "localhost:8500".
        model: str.
        version: int or None: the latest.
        timeout: float, seconds.

    Raises:
        ImportError: `tensorflow-serving-api` isn't installed.
    """

    def __init__(self, server, model, version, timeout):
        try:
            import grpc
            import tensorflow as tf
            from tensorflow_serving.apis import (
                get_model_metadata_pb2,
                get_model_status_pb2,
                model_service_pb2_grpc,
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ImportError as error:
            raise ImportError(
                "gRPC takes tensorflow-serving-api: install it with "
                '`pip install "kerasgen[serving]"`, or use REST, http://HOST:8501/v1/models/NAME. '
                f"Received: {error}"
            ) from error
        self.grpc, self.tf = grpc, tf
        self.name, self.version, self.timeout = model, version, timeout
        self.messages = {
            "metadata": get_model_metadata_pb2,
            "status": get_model_status_pb2,
            "predict": predict_pb2,
        }
        channel = grpc.insecure_channel(
            server,
            options=[
                ("grpc.max_receive_message_length", LARGEST),
                ("grpc.max_send_message_length", LARGEST),
            ],
        )
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)

    def status(self):
        request = self._request(self.messages["status"].GetModelStatusRequest)
        answer = self._ask(self.models.GetModelStatus, request)
        names = self.messages["status"].ModelVersionStatus.State.Name
        return {v.version: names(v.state) for v in answer.model_version_status}

    def signatures(self):
        module = self.messages["metadata"]
        request = self._request(module.GetModelMetadataRequest, metadata_field=["signature_def"])
        answer = self._ask(self.predictions.GetModelMetadata, request)
        found = module.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        return {
            name: {
                side: {key: self._tensor(info) for key, info in getattr(signature, side).items()}
                for side in ("inputs", "outputs")
            }
            for name, signature in found.signature_def.items()
            if not name.startswith("__")  # TensorFlow's own
        }

    def predict(self, signature, inputs, outputs):
        request = self._request(self.messages["predict"].PredictRequest)
        request.model_spec.signature_name = signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(self.tf.make_tensor_proto(values))
        answer = self._ask(self.predictions.Predict, request)
        return {name: self.tf.make_ndarray(answer.outputs[name]) for name in outputs}

    def _request(self, kind, **fields):
        request = kind(**fields)
        request.model_spec.name = self.name
        if self.version is not None:
            request.model_spec.version.value = self.version
        return request

    def _ask(self, method, request):
        codes = self.grpc.StatusCode
        try:
            return method(request, timeout=self.timeout)
        except self.grpc.RpcError as error:
            code, message = error.code(), error.details()
        if code in (codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED):
            raise ModelNotReady(f"Model {self.name!r} isn't ready: {message}")
        if code == codes.NOT_FOUND:
            raise self._missing(message)
        if code in (codes.INVALID_ARGUMENT, codes.FAILED_PRECONDITION, codes.OUT_OF_RANGE):
            raise BadRequest(f"Model {self.name!r} refuses the request: {message}")
        if code == codes.DEADLINE_EXCEEDED:
            raise ServingError(
                f"Model {self.name!r} didn't answer within {self.timeout} seconds."
            )  # fmt: skip
        raise ServingError(f"Model {self.name!r} answered {code.name}: {message}")

    def _missing(self, message):
        """The error for what the server doesn't have: perhaps it is but loading it."""
        request = self.messages["status"].GetModelStatusRequest()
        request.model_spec.name = self.name
        try:
            answer = self.models.GetModelStatus(request, timeout=self.timeout)
        except self.grpc.RpcError:
            return ModelNotFound(f"The server has no model {self.name!r}: {message}")
        names = self.messages["status"].ModelVersionStatus.State.Name
        states = {v.version: names(v.state) for v in answer.model_version_status}
        if any(state in ("START", "LOADING", "UNKNOWN") for state in states.values()):
            return ModelNotReady(f"Model {self.name!r} is still being loaded: {states}")
        return ModelNotFound(
            f"Model {self.name!r} isn't served as asked; its versions: {states}. {message}"
        )

    def _tensor(self, info):
        dtype = self.tf.as_dtype(info.dtype)
        sides = (dim.size for dim in info.tensor_shape.dim)
        shape = tuple(None if side < 0 else side for side in sides)
        return object if dtype == self.tf.string else np.dtype(dtype.as_numpy_dtype), shape
