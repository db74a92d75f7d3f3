"""Feature extractors: what distances between sets of pictures are measured in."""

from kerasgen.metrics.extractors.extractor import FeatureExtractor
from kerasgen.metrics.extractors.extractors import get_extractor

__all__ = ["FeatureExtractor", "get_extractor"]
