"""Pictures and frame sequences from anywhere as `tf.data` pipelines."""

from kerasgen.data.collect import collect_clips, collect_images
from kerasgen.data.frames import load_frames
from kerasgen.data.images import ImageSummary, inspect_images, load_images, preview

__all__ = [
    "ImageSummary",
    "collect_clips",
    "collect_images",
    "inspect_images",
    "load_frames",
    "load_images",
    "preview",
]
