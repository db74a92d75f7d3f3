"""Losses, as small serialisable objects."""

from kerasgen.losses.adversarial import AdversarialLoss, NonSaturating, get

__all__ = ["AdversarialLoss", "NonSaturating", "get"]
