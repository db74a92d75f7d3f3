"""Starting TensorFlow for a command."""

import os
import sys
import tempfile

from kerasgen.cli import UserError


def start_tensorflow():
    """Imports TensorFlow without the notices it prints at its start, and checks the backend.

    They reach the terminal past Python and before any log level counts. Who sets
    TF_CPP_MIN_LOG_LEVEL sees them.

    Raises:
        UserError: if Keras is configured for another backend.
    """
    try:
        _start_quietly()
    except ImportError as error:
        raise UserError(error) from None


def _start_quietly():
    from kerasgen.backend import require_tensorflow

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
