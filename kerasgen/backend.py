"""The backend check: kerasgen trains with TensorFlow's gradient tapes and nothing else."""

import os


def require_tensorflow():
    """Checks that Keras runs on TensorFlow, importing Keras if need be.

    Raises:
        ImportError: if Keras is configured for another backend; says how to set it.
    """
    remedy = (
        "kerasgen needs Keras' TensorFlow backend. Set the environment variable "
        'KERAS_BACKEND=tensorflow before Keras is imported, or "backend": "tensorflow" in '
        "~/.keras/keras.json. "
    )
    try:
        import keras
    except ImportError as error:
        backend = os.environ.get("KERAS_BACKEND", "the one in keras.json")
        raise ImportError(f"{remedy}Received: backend={backend!r}, and {error}") from error
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ImportError(f"{remedy}Received: backend={backend!r}")
