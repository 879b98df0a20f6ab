"""Sums along packed rays by nerfacc's CUDA code, where that is built.

One kernel takes the sums ray by ray, in float32; what torch takes a dozen for (`device_sums`). A ray's sums are its own
affair, whatever its neighbours hold. nerfacc's own functions cannot be differentiated twice: only its kernel is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins import kernel_trust
from inr_plugins.rendering.device_sums import ray_starts

_TOLERANCE = 1e-5
"""Of the check on the device: float32's, of sums of some hundred numbers."""


def fits(values: Float[Tensor, " s"]) -> bool:
    """Whether `sums_before` can be used for one number for each sample."""
    return (
        kernel_trust.are_possible(values)
        and values.dtype == torch.float32
        and _is_built()
        and kernel_trust.is_trusted("nerfacc's scans", None, values.device, trouble)
    )


def sums_before(values: Float[Tensor, " s"], ray: Int[Tensor, " s"], num_rays: int) -> Float[Tensor, " s"]:
    """For each sample the sum of the values before it on the same ray, as `packed.sums_before`, to float32's rounding.

    Differentiable any number of times; the host does not wait for the device.

    Args:
        values: one for each sample.
        ray: ray of each sample, ascending.
        num_rays: number of rays.
    """
    starts = ray_starts(ray, num_rays).long()
    ends = torch.cat([starts[1:], starts.new_full((min(num_rays, 1),), len(ray))])
    found: Tensor = _Sums.apply(values, starts, ends - starts, False)
    return found


class _Sums(torch.autograd.Function):
    """Sums before each sample, or behind it; either is the other's gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, starts: Tensor, counts: Tensor, behind: bool) -> Tensor:
        ctx.save_for_backward(starts, counts)
        ctx.behind = behind
        scan = importlib.import_module("nerfacc.cuda").exclusive_sum
        # Starts and counts, values, whether to normalize, whether from the back.
        found: Tensor = scan(starts, counts, values.contiguous(), False, behind)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Sums.apply(gradients[0], *ctx.saved_tensors, not ctx.behind), None, None, None


def trouble(device: torch.device) -> str | None:
    """What the scan gives on a device that float64 does not, before samples and behind them, or None."""
    drawn = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 150, (70,), generator=drawn)
    counts[[0, 5, 69]] = torch.tensor([0, 700, 0])
    ray = torch.arange(70).repeat_interleave(counts)
    values, wanted = torch.rand(2, len(ray), generator=drawn, dtype=torch.float64).float().double()
    rays = list(zip(values.split(counts.tolist()), wanted.split(counts.tolist()), strict=True))
    truth = {
        "sums": torch.cat([one.cumsum(0) - one for one, _ in rays]),
        "gradient": torch.cat([one.flip(0).cumsum(0).flip(0) - one for _, one in rays]),
    }
    given = values.float().to(device).requires_grad_()
    sums = sums_before(given, ray.to(device), 70)
    (gradient,) = torch.autograd.grad(sums, given, wanted.float().to(device))
    return kernel_trust.disagreement({"sums": sums, "gradient": gradient}, truth, tolerance=_TOLERANCE)


@cache
def _is_built() -> bool:
    return nerfacc_is_built()


def nerfacc_is_built() -> bool:
    """Whether nerfacc's CUDA code is there, in its wheel or from an earlier build: building it takes minutes."""
    try:
        if importlib.util.find_spec("nerfacc.csrc") is not None:
            return True
        folder = importlib.import_module("torch.utils.cpp_extension")._get_build_directory(
            "nerfacc_cuda", verbose=False
        )
    except (ImportError, OSError, RuntimeError, ValueError):
        return False
    return any(Path(folder).glob("*.so"))
