"""Which parameters a backward pass has left without a gradient; where nobody expects that, something is at fault."""

from __future__ import annotations

from torch import nn


def unlearnt(module: nn.Module) -> set[str]:
    """Names of parameters without a gradient, or with one that is not finite."""
    return {name for name, p in module.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
