"""Gated PixelCNN: pixel after pixel, with exact likelihoods."""

from kerasgen.models.registry import ModelEntry

ENTRY = ModelEntry(
    name="pixelcnn",
    class_name="PixelCNN",
    module="kerasgen.models.pixel_cnn.pixel_cnn",
    data="images",
    summary="gated PixelCNN: small pictures pixel after pixel, and how likely a picture is",
)
