"""What can go wrong between a client and a server."""


class ServingError(Exception):
    """The server didn't answer, or not as a server of models does."""


class ModelNotFound(ServingError):
    """The server doesn't know the model, or not in this version."""


class ModelNotReady(ServingError):
    """The server can't be reached, is busy, or is still loading the model."""


class BadRequest(ServingError):
    """The server refuses the request: its message says why."""
