"""Pictures from anywhere as `tf.data` pipelines."""

from kerasgen.data.images import ImageSummary, inspect_images, load_images, preview

__all__ = ["ImageSummary", "inspect_images", "load_images", "preview"]
