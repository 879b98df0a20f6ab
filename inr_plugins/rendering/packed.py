"""Volume rendering of packed samples (sorted by ray, then by distance).

What a ray gets is a function of its own samples: sums along rays are taken ray by ray, never as differences of one sum
over the batch, so that a neighbour of any density, infinite ones included, changes no bit of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.rendering import nerfacc_scan
from inr_plugins.rendering.device_sums import optical_depths_before, ray_starts

# Less light than any float can hold is left behind this optical depth: exp(-1000) is 0 in float64 too.
_DARK = 1e3


def packed_weights(
    optical_depth: Float[Tensor, " s"], ray: Int[Tensor, " s"], num_rays: int
) -> tuple[Float[Tensor, " s"], Float[Tensor, " s"]]:
    """Quadrature weights of the volume rendering integral (Max 1995; NeRF, eq. 3).

    w_i = T_i (1 - exp(-tau_i)) with T_i = exp(-sum of tau_j before i on the same ray).

    Args:
        optical_depth: tau_i = density times step, >= 0; infinity is allowed, and has no gradient.
        ray: ray of each sample, ascending.
        num_rays: number of rays.

    Returns:
        weights, and the transmittance before each sample.
    """
    optical_depth = optical_depth.clamp(max=_DARK)
    # In float64: a sum of many float32 would be as coarse as its last, largest value. nerfacc's are of float32, each
    # of one ray, whose light they change by a millionth at the most.
    if ray.device.type == "cpu":
        before = sums_before(optical_depth.double(), ray, num_rays)
    elif nerfacc_scan.fits(optical_depth):
        before = nerfacc_scan.sums_before(optical_depth, ray, num_rays)
    else:
        before = optical_depths_before(optical_depth.double(), ray, num_rays)
    before = before.to(optical_depth.dtype)
    transmittance = torch.exp(-before)
    return transmittance * -torch.expm1(-optical_depth), transmittance


def sums_before(values: Float[Tensor, " s"], ray: Int[Tensor, " s"], num_rays: int) -> Float[Tensor, " s"]:
    """For each sample the sum of the values before it on the same ray; 0 for a ray's first.

    Args:
        values: one for each sample.
        ray: ray of each sample, ascending.
        num_rays: number of rays.
    """
    found: Tensor = _SumsAlongRays.apply(values, _Rows.of(ray, num_rays), False)
    return found


def accumulate(
    weights: Float[Tensor, " s"], values: Float[Tensor, "s c"] | None, ray: Int[Tensor, " s"], num_rays: int
) -> Float[Tensor, "r c"]:
    """Per ray, the sum of weights * values (of the weights alone when values is None, c = 1)."""
    weighted = weights[:, None] if values is None else weights[:, None] * values
    return torch.zeros(num_rays, weighted.shape[1], dtype=weighted.dtype, device=weighted.device).index_add(
        0, ray, weighted
    )


@dataclass(frozen=True)
class _Rows:
    """A place for each ray's samples in a buffer of rows, one ray a row.

    Rows are as wide as the next power of two, so that the buffer is at most about twice as large as the samples, and
    the width of a ray's row, and with it the order of its sums, is its own affair. A column before the first sample
    holds the empty sum.

    Attributes:
        ray: of each sample.
        front: for each ray, what a sample's index is added to, to give the place before its own.
        back: for each ray, what a sample's index is taken from, where a row begins with the ray's last sample.
        blocks: first place, number and width of rows of one width each.
        size: of the buffer.
    """

    ray: Int[Tensor, " s"]
    front: Int[Tensor, " r"]
    back: Int[Tensor, " r"]
    blocks: list[tuple[int, int, int]]
    size: int

    @classmethod
    def of(cls, ray: Int[Tensor, " s"], num_rays: int) -> _Rows:
        first = ray_starts(ray, num_rays)
        counts = torch.diff(first, append=first.new_tensor([len(ray)]))
        begin = torch.zeros_like(counts)
        blocks: list[tuple[int, int, int]] = []
        size, narrow, wide = 0, 0, 1
        longest = int(counts.max()) if len(ray) else 0
        while narrow < longest:
            rows = ((counts > narrow) & (counts <= wide)).nonzero()[:, 0]
            width = wide + 1
            begin[rows] = size + width * torch.arange(len(rows), device=ray.device)
            blocks.append((size, len(rows), width))
            size += len(rows) * width
            narrow, wide = wide, 2 * wide
        return cls(ray, begin - first, begin + first + counts - 1, blocks, size)

    def places_before(self, *, from_back: bool) -> Int[Tensor, " s"]:
        """The place in the buffer before that of each sample."""
        index = torch.arange(len(self.ray), device=self.ray.device)
        front_or_back = self.back if from_back else self.front
        places = front_or_back.index_select(0, self.ray)
        return places - index if from_back else places + index


class _SumsAlongRays(torch.autograd.Function):
    """Sums of what lies before each sample on its ray, or behind it; either is the other's gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: _Rows, behind: bool) -> Tensor:
        ctx.rows, ctx.behind = rows, behind
        before = rows.places_before(from_back=behind)
        sums = values.new_zeros(rows.size)
        sums[1:].scatter_(0, before, values)
        for first, count, width in rows.blocks:
            sums[first : first + count * width].view(count, width).cumsum_(-1)
        return sums.take(before)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _SumsAlongRays.apply(gradients[0], ctx.rows, not ctx.behind), None, None
