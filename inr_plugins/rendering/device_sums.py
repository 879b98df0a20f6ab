"""Sums along packed rays on an accelerator, without the host ever asking how long a ray is.

One running sum over the batch serves all rays: what lies before a sample is its sum less that at the ray's beginning.
Of floating-point numbers such a difference would bear the rounding of every ray before it. So optical depths are
counted in whole units of 2^-40, in 64-bit integers: exact, in whatever order, and the same for a ray whatever its
neighbours hold. The running sum may overflow; a difference of two of its values is right all the same, as integers wrap
around.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

UNIT = 2.0**-40
"""Of optical depth; light changes by as much, where float32 tells 2^-24 apart."""
_DARK = 128.0
"""No light that float32 could hold is left behind this optical depth, so that deeper samples count as this one."""


def ray_starts(ray: Int[Tensor, " s"], num_rays: int) -> Int[Tensor, " r"]:
    """Index of each ray's first sample (of the next ray's, where a ray has none)."""
    return torch.searchsorted(ray.contiguous(), torch.arange(num_rays, device=ray.device, dtype=ray.dtype))


def optical_depths_before(depths: Float[Tensor, " s"], ray: Int[Tensor, " s"], num_rays: int) -> Float[Tensor, " s"]:
    """For each sample the sum of the optical depths before it on the same ray; 0 for a ray's first.

    `packed.sums_before` to 2^-41 a sample.

    Args:
        depths: one for each sample, in float64, >= 0, and fewer than 65,536 of a ray.
        ray: ray of each sample, ascending.
        num_rays: number of rays.
    """
    first = ray_starts(ray, num_rays)
    last = torch.cat([first[1:], first.new_full((min(num_rays, 1),), len(ray))]) - 1
    found: Tensor = _Sums.apply(depths, _Spans(ray, first, last), False, True)
    return found


class _Spans(NamedTuple):
    """Where rays lie among the samples: the ray of each sample, the first and the last sample of each ray."""

    ray: Int[Tensor, " s"]
    first: Int[Tensor, " r"]
    last: Int[Tensor, " r"]

    def sums(self, values: Tensor, *, behind: bool) -> Tensor:
        """Sums of what lies before each sample on its ray, or behind it."""
        along = values.cumsum(0)
        if behind:
            return along[self.last[self.ray]] - along
        before = along - values
        return before - before[self.first[self.ray]]


class _Sums(torch.autograd.Function):
    """Sums before each sample, or behind it; either is the other's gradient.

    Gradients have no bounds, and are summed in float64 as they are.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, spans: _Spans, behind: bool, in_units: bool) -> Tensor:
        ctx.spans, ctx.behind = spans, behind
        if not in_units:
            return spans.sums(values, behind=behind)
        units = (values.clamp(max=_DARK) / UNIT).round().long()
        return spans.sums(units, behind=behind).to(values.dtype) * UNIT

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Sums.apply(gradients[0], ctx.spans, not ctx.behind, False), None, None, None
