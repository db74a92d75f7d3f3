"""The backend check: kerasgen trains with TensorFlow's gradient tapes and nothing else."""

import os
import sys
import tempfile


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


def start_quietly():
    """Imports TensorFlow without the notices it prints at its start, and checks the backend.

    They reach the terminal, or the page of a notebook, past Python and before any log level
    counts. Who sets TF_CPP_MIN_LOG_LEVEL sees them.

    Raises:
        ImportError: as `require_tensorflow`.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ or "tensorflow" in sys.modules:
        return require_tensorflow()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as unseen:
        os.dup2(unseen.fileno(), 2)
        try:
            require_tensorflow()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
