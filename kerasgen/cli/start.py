"""Starting TensorFlow for a command."""

from kerasgen.backend import start_quietly
from kerasgen.cli import UserError


def start_tensorflow():
    """Imports TensorFlow as `start_quietly` does.

    Raises:
        UserError: if Keras is configured for another backend.
    """
    try:
        start_quietly()
    except ImportError as error:
        raise UserError(error) from None
