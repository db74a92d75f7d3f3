"""Convolutional autoencoder: deterministic, variational or regularised."""

from kerasgen.models.registry import ModelEntry

ENTRY = ModelEntry(
    name="autoencoder",
    class_name="ConvAutoencoder",
    module="kerasgen.models.conv_autoencoder.conv_autoencoder",
    data="images",
    summary="convolutional autoencoder: compresses, reconstructs, denoises and generates pictures",
)
