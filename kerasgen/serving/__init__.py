"""A client of models that TF Serving serves. It needs neither Keras nor a model."""

from kerasgen.serving.client import Client
from kerasgen.serving.errors import BadRequest, ModelNotFound, ModelNotReady, ServingError

__all__ = ["BadRequest", "Client", "ModelNotFound", "ModelNotReady", "ServingError"]
