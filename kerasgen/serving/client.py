"""`Client`: asks a served model for pictures, over REST or gRPC."""

import io
import re
import time
import urllib.parse

import numpy as np
from PIL import Image

from kerasgen.names import nearest
from kerasgen.serving.errors import BadRequest, ModelNotReady, ServingError
from kerasgen.serving.rest import Rest

# Rows of one request: the largest batch that kerasgen's `batching.config` lets a server make.
ROWS = 64
LONGEST_WAIT = 8.0  # seconds between two attempts
PATH = re.compile(r"(?:/v1/models)?/(?P<model>[^/:]+)(?:/versions/(?P<version>\d+))?/?")


class Client:
    """A client of one model that TF Serving serves, or whatever speaks as it does.

    Args:
        url: str. `http://HOST:8501/v1/models/NAME` or `https://...` for REST,
            `grpc://HOST:8500/NAME` for gRPC, which takes `pip install "kerasgen[serving]"` and is
            several times faster with large tensors; each may end with `/versions/N`.
        timeout: float. Seconds that one attempt may take. Defaults to 60.
        retries: int. Further attempts where the server can't be reached, is busy, or is still
            loading the model, each after twice the time of the last, from 0.1 s. Defaults to 6:
            13 s in all.

    Raises:
        ValueError: another kind of URL, a `timeout` that isn't positive, or negative `retries`.
        ImportError: gRPC without what it takes.

    Example:

    ```python
    client = kerasgen.serving.Client("http://localhost:8501/v1/models/digits")
    images = client.generate(16, seed=0)  # uint8, (16, 32, 32, 1)
    client.predict("decode", latent=latents)["image"]  # float32, in [0, 1]
    ```
    """

    def __init__(self, url, timeout=60.0, retries=6):
        parts = urllib.parse.urlsplit(url)
        path = PATH.fullmatch(parts.path)
        if parts.scheme not in ("http", "https", "grpc") or not parts.netloc or not path:
            raise ValueError(
                "`url` must be http://HOST:8501/v1/models/NAME or grpc://HOST:8500/NAME, with "
                f"/versions/N at its end or without. Received: url={url!r}"
            )
        if not timeout > 0 or retries < 0:
            raise ValueError(
                "`timeout` must be positive, and `retries` at least 0. "
                f"Received: timeout={timeout!r}, retries={retries!r}"
            )
        where = path["model"], path["version"] and int(path["version"]), timeout
        if parts.scheme == "grpc":
            from kerasgen.serving.grpc import Grpc

            self._transport = Grpc(parts.netloc, *where)
        else:
            self._transport = Rest(f"{parts.scheme}://{parts.netloc}", *where)
        self.retries = retries
        self._signatures = None

    def status(self):
        """The states of the model's versions.

        Returns:
            Dict of version, an int -> str such as "AVAILABLE" or "LOADING".

        Raises:
            ServingError: see `predict`.
        """
        return self._patiently(self._transport.status)

    def signatures(self):
        """The model's endpoints.

        Returns:
            Dict of name -> dict of "inputs" and "outputs", each a dict of a tensor's name -> its
            NumPy dtype and shape, where None is any number.

        Raises:
            ServingError: see `predict`.
        """
        if self._signatures is None:
            self._signatures = self._patiently(self._transport.signatures)
        return self._signatures

    def predict(self, signature="serving_default", **inputs):
        """Asks one endpoint.

        Args:
            signature: str. Its name. Defaults to "serving_default".
            **inputs: an array for each of its inputs, rows first; files are `bytes`.

        Returns:
            Dict of an output's name -> array.

        Raises:
            BadRequest: an endpoint that the model doesn't have, inputs that it doesn't take, or
                values that the model refuses.
            ModelNotFound: the server doesn't know the model, or not in this version.
            ModelNotReady: the server couldn't be reached, was busy, or was loading the model, at
                each attempt.
            ServingError: no answer in time, or not one of a server of models.
        """
        known = self.signatures()
        if signature not in known:
            raise BadRequest(
                f"The model has no signature {signature!r}: it has {', '.join(sorted(known))}."
                f"{nearest(signature, known)}"
            )
        taken, returned = known[signature]["inputs"], known[signature]["outputs"]
        if set(inputs) != set(taken):
            raise BadRequest(
                f"Signature {signature!r} takes {_listed(taken)}. Received: {sorted(inputs)}"
            )
        arrays = {name: _as_input(name, inputs[name], *taken[name]) for name in taken}
        return self._patiently(lambda: self._transport.predict(signature, arrays, returned))

    def generate(self, num, seed=0, **inputs):
        """Generates pictures by the endpoint "generate_png".

        Args:
            num: int.
            seed: int. Picture `i` is that of seed `seed + i`, which the model itself draws by
                `generate(1, seed=seed + i)`. Defaults to 0.
            **inputs: what else the endpoint takes, such as `label` of a model with classes: one
                value for all, or `num` of them.

        Returns:
            uint8 array `(num, H, W, C)`; of a frame generator, film strips.

        Raises:
            ValueError: a number below 1, or a seed that isn't a whole number.
            ServingError: see `predict`.
        """
        for name, value in (("num", num), ("seed", seed)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise ValueError(f"`{name}` must be a whole number. Received: {name}={value!r}")
        if num < 1:
            raise ValueError(f"`num` must be at least 1. Received: num={num}")
        columns = {"seed": np.arange(seed, seed + num, dtype=np.int64)}
        rank = {
            name: len(shape)
            for name, (_, shape) in self._inputs("generate_png").items()
        }  # fmt: skip
        for name, values in inputs.items():
            values = np.asarray(values)
            short = values.ndim < rank.get(name, values.ndim)
            columns[name] = np.repeat(values[None], num, 0) if short else values
        pictures = []
        for start in range(0, num, ROWS):
            part = {name: values[start : start + ROWS] for name, values in columns.items()}
            files = self.predict("generate_png", **part)["image_bytes"]
            pictures += [_picture(file) for file in files]
        return np.stack(pictures)

    def _inputs(self, signature):
        return self.signatures().get(signature, {"inputs": {}})["inputs"]

    def _patiently(self, ask):
        """Asks again, ever later, while the server isn't ready."""
        for attempt in range(self.retries + 1):
            try:
                return ask()
            except ModelNotReady:
                if attempt == self.retries:
                    raise
                time.sleep(min(0.1 * 2**attempt, LONGEST_WAIT))


def _as_input(name, values, dtype, shape):
    if dtype is object:
        array = np.array(values, object)
        good = all(isinstance(value, (bytes, str)) for value in array.ravel())
    else:
        array = np.asarray(values)
        if np.dtype(dtype).kind == "f":
            good = array.dtype.kind in "fiu"
        else:  # what isn't whole, or too large, would come as another number
            whole = array.dtype.kind in "iu" or not array.size
            good = whole and np.array_equal(array, array.astype(dtype))
    if not good or array.ndim != len(shape) or any(
        side not in (None, given) for side, given in zip(shape, array.shape, strict=True)
    ):  # fmt: skip
        raise BadRequest(
            f"`{name}` must be {_described(dtype, shape)}. "
            f"Received: {_described(array.dtype, array.shape)}"
        )
    return array if dtype is object else array.astype(dtype)


def _listed(tensors):
    return ", ".join(f"`{name}`, {_described(*tensor)}" for name, tensor in sorted(tensors.items()))


def _described(dtype, shape):
    kind = "bytes" if dtype is object else str(np.dtype(dtype))
    sides = ", ".join("any" if side is None else str(side) for side in shape)
    return f"{kind} of shape ({sides})"


def _picture(file):
    try:
        with Image.open(io.BytesIO(file)) as image:
            array = np.asarray(image)
    except OSError as error:
        raise ServingError(f"The server's answer isn't a picture: {error}") from None
    return array[..., None] if array.ndim == 2 else array
