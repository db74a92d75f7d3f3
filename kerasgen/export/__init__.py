"""SavedModels in TF Serving's layout."""

from kerasgen.export.check import ExportError
from kerasgen.export.saved_model import export_for_serving
from kerasgen.export.server_config import write_server_config

__all__ = ["ExportError", "export_for_serving", "write_server_config"]
