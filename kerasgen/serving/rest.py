"""TF Serving's REST interface."""

import numpy as np
import requests

from kerasgen.serving.errors import BadRequest, ModelNotFound, ModelNotReady, ServingError
from kerasgen.serving.rest_json import from_json, request_body

BUSY = (429, 502, 503, 504)
NOT_YET = ("START", "LOADING", "UNKNOWN")
DTYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_BOOL": np.bool_,
    "DT_STRING": object,
}


class Rest:
    """One model, over REST.

    Args:
        server: str such as "http://localhost:8501".
        model: str.
        version: int or None: the latest.
        timeout: float, seconds.
    """

    def __init__(self, server, model, version, timeout):
        self.name = model
        self.model = f"{server}/v1/models/{model}"
        self.url = self.model if version is None else f"{self.model}/versions/{version}"
        self.timeout = timeout
        self.session = requests.Session()

    def status(self):
        versions = self._ask("GET", self.url)["model_version_status"]
        return {int(version["version"]): version["state"] for version in versions}

    def signatures(self):
        metadata = self._ask("GET", f"{self.url}/metadata")["metadata"]
        found = metadata["signature_def"]["signature_def"]
        return {
            name: {
                side: {key: _tensor(facts) for key, facts in signature.get(side, {}).items()}
                for side in ("inputs", "outputs")
            }
            for name, signature in found.items()
            if not name.startswith("__")  # TensorFlow's own
        }

    def predict(self, signature, inputs, outputs):
        answer = self._ask("POST", f"{self.url}:predict", request_body(signature, inputs))
        values = answer["outputs"]
        if len(outputs) == 1:
            values = {next(iter(outputs)): values}
        return {name: from_json(values[name], dtype) for name, (dtype, _) in outputs.items()}

    def _ask(self, method, url, body=None):
        try:
            response = self.session.request(method, url, json=body, timeout=self.timeout)
            answer = response.json()
        except requests.exceptions.JSONDecodeError:
            answer = None
        except requests.exceptions.ConnectTimeout as error:
            raise ModelNotReady(f"{self.model} can't be reached: {error}") from None
        except requests.exceptions.Timeout:
            raise ServingError(f"{url} didn't answer within {self.timeout} seconds.") from None
        except requests.exceptions.ConnectionError as error:
            raise ModelNotReady(f"{self.model} can't be reached: {error}") from None
        if response.ok and isinstance(answer, dict) and "error" not in answer:
            return answer
        message = answer.get("error", answer) if isinstance(answer, dict) else response.reason
        if response.status_code in BUSY:
            raise ModelNotReady(f"{self.model} isn't ready: {message}")
        if response.status_code == 404:
            raise self._missing(message)
        if response.status_code == 400:
            raise BadRequest(f"{self.model} refuses the request: {message}")
        raise ServingError(f"{url} answered {response.status_code}: {message}")

    def _missing(self, message):
        """The error for what the server doesn't have: perhaps it is but loading it."""
        try:
            versions = self.session.get(self.model, timeout=self.timeout).json()
            states = {v["version"]: v["state"] for v in versions["model_version_status"]}
        except (requests.exceptions.RequestException, ValueError, KeyError, TypeError):
            return ModelNotFound(f"The server has no model {self.name!r}: {message}")
        if any(state in NOT_YET for state in states.values()):
            return ModelNotReady(f"Model {self.name!r} is still being loaded: {states}")
        return ModelNotFound(f"{self.url} isn't served; the model's versions: {states}. {message}")


def _tensor(facts):
    shape = facts.get("tensor_shape", {})
    sides = (int(side["size"]) for side in shape.get("dim", []))
    return DTYPES[facts["dtype"]], tuple(None if side < 0 else side for side in sides)
