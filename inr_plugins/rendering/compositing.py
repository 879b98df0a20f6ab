"""Volume rendering of packed samples (sorted by ray, then by distance)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def packed_weights(
    optical_depth: Float[Tensor, " s"], ray: Int[Tensor, " s"], num_rays: int
) -> tuple[Float[Tensor, " s"], Float[Tensor, " s"]]:
    """Quadrature weights of the volume rendering integral (Max 1995; NeRF, eq. 3).

    w_i = T_i (1 - exp(-tau_i)) with T_i = exp(-sum of tau_j before i on the same ray).

    Args:
        optical_depth: tau_i = density times step, >= 0.
        ray: ray of each sample, ascending.
        num_rays: number of rays.

    Returns:
        weights, and the transmittance before each sample.
    """
    # One running sum over all rays: float64, since float32 sums over a million samples would swamp a ray's own.
    total = torch.cumsum(optical_depth.double(), 0)
    exclusive = total - optical_depth
    first = ray_starts(ray, num_rays)
    before = exclusive[first.clamp(max=max(len(ray) - 1, 0))] if len(ray) else exclusive
    transmittance = torch.exp(-(exclusive - before[ray]).clamp(min=0)).to(optical_depth.dtype)
    return transmittance * -torch.expm1(-optical_depth), transmittance


def ray_starts(ray: Int[Tensor, " s"], num_rays: int) -> Int[Tensor, " r"]:
    """Index of each ray's first sample (of the next ray's, where a ray has none)."""
    return torch.searchsorted(ray.contiguous(), torch.arange(num_rays, device=ray.device, dtype=ray.dtype))


def accumulate(
    weights: Float[Tensor, " s"], values: Float[Tensor, "s c"] | None, ray: Int[Tensor, " s"], num_rays: int
) -> Float[Tensor, "r c"]:
    """Per ray, the sum of weights * values (of the weights alone when values is None, c = 1)."""
    weighted = weights[:, None] if values is None else weights[:, None] * values
    return torch.zeros(num_rays, weighted.shape[1], dtype=weighted.dtype, device=weighted.device).index_add(
        0, ray, weighted
    )
