"""Deep convolutional generative adversarial network."""

from kerasgen.models.registry import ModelEntry

ENTRY = ModelEntry(
    name="dcgan",
    class_name="DCGAN",
    module="kerasgen.models.dcgan.dcgan",
    data="images",
    summary="deep convolutional GAN: pictures out of noise",
)
