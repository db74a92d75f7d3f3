"""SavedModels in TF Serving's layout."""

from kerasgen.export.saved_model import export_for_serving

__all__ = ["export_for_serving"]
