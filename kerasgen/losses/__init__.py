"""Losses, as small serialisable objects."""

from kerasgen.losses.adversarial import AdversarialLoss, NonSaturating, get
from kerasgen.losses.reconstruction import (
    AbsoluteError,
    CrossEntropy,
    ReconstructionLoss,
    SquaredError,
    StructuralDissimilarity,
    get_reconstruction,
)

__all__ = [
    "AbsoluteError",
    "AdversarialLoss",
    "CrossEntropy",
    "NonSaturating",
    "ReconstructionLoss",
    "SquaredError",
    "StructuralDissimilarity",
    "get",
    "get_reconstruction",
]
