"""Losses, as small serialisable objects."""

from kerasgen.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticPaired,
    Wasserstein,
    get,
)
from kerasgen.losses.gradient_penalty import (
    R1,
    R1R2,
    R2,
    GradientPenalty,
    WassersteinGradientPenalty,
    get_penalty,
)
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
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "NonSaturating",
    "R1",
    "R1R2",
    "R2",
    "ReconstructionLoss",
    "RelativisticPaired",
    "SquaredError",
    "StructuralDissimilarity",
    "Wasserstein",
    "WassersteinGradientPenalty",
    "get",
    "get_penalty",
    "get_reconstruction",
]
