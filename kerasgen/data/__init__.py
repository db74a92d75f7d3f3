"""Pictures from anywhere as `tf.data` pipelines."""

from kerasgen.data.collect import collect_images
from kerasgen.data.images import ImageSummary, inspect_images, load_images, preview

__all__ = ["ImageSummary", "collect_images", "inspect_images", "load_images", "preview"]
