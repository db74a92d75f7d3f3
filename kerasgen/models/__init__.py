"""The models: one folder each, found by `kerasgen.models.registry`."""
