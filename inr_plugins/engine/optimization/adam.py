"""Adam with settable decay of its moments, which nerfstudio's configuration leaves at PyTorch's values."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio.engine.optimizers import AdamOptimizerConfig


@dataclass
class AdamConfig(AdamOptimizerConfig):
    """Adam (Kingma and Ba 2015); defaults are those of radiance fields since instant-ngp."""

    lr: float | None = None  # type: ignore[assignment]
    """Learning rate at the first step; None: the activation's own, for methods whose activations have one."""
    eps: float = 1e-15
    """Added to the root of the second moment: tiny, so that weights with tiny gradients move as fast as others."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the first and second moments."""
