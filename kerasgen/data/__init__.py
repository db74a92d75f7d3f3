"""Pictures and frame sequences from anywhere as `tf.data` pipelines."""

from kerasgen.data.clip import load_clip
from kerasgen.data.collect import collect_clips, collect_images
from kerasgen.data.frames import FrameSummary, inspect_frames, load_frames
from kerasgen.data.images import ImageSummary, inspect_images, load_images, preview
from kerasgen.data.service import from_service

__all__ = [
    "FrameSummary",
    "ImageSummary",
    "collect_clips",
    "collect_images",
    "from_service",
    "inspect_frames",
    "inspect_images",
    "load_clip",
    "load_frames",
    "load_images",
    "preview",
]
