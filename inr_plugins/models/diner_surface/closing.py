"""What no camera sees of a solid, closed by the smallest surface that goes with what they see."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

_SIZES = (4, 2, 1)
"""Edges of the cells, in the solid's, on which the surface is looked for in turn."""
_STEPS = (400, 240, 120)
"""Steps on each of them."""
_RATE = 12**-0.5
"""Of both steps: the square of the gradient's norm is 12 at most."""


@torch.no_grad()
def closed(solid: Bool[Tensor, "x y z"], seen: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The part of a solid that holds all that is seen of it and has the smallest surface.

    A visual hull goes on behind what cameras see for as far as no mask cuts it off, and nothing is known of that. Of
    all shapes between what is seen and the solid, the one of least area ends there as a soap film does; that hollow
    shells have twice the area keeps it from eating the inside. Total variation of an indicator in [0, 1] is minimised,
    whose level sets are such shapes (Chan, Esedoglu and Nikolova 2006), by primal and dual steps (Chambolle and Pock
    2011), from coarse to fine.

    Args:
        solid: what may be kept.
        seen: what has to be.
    """
    seen = seen & solid
    found: Tensor | None = None
    for size, steps in zip(_SIZES, _STEPS, strict=True):
        lower, upper = _any(seen, size), _any(solid, size)
        start = upper if found is None else _finer(found, upper.shape)
        found = _least_variation(start, lower, upper, steps)
    assert found is not None
    return seen | (solid & (found > 0.5))


def _any(cells: Bool[Tensor, "x y z"], size: int) -> Float[Tensor, "a b c"]:
    """1 where a larger cell holds one."""
    if size == 1:
        return cells.float()
    return F.max_pool3d(cells.float()[None, None], size, ceil_mode=True)[0, 0]


def _finer(values: Tensor, shape: torch.Size) -> Tensor:
    for axis in range(3):
        values = values.repeat_interleave(2, axis)
    return values[: shape[0], : shape[1], : shape[2]]


def _least_variation(
    u: Float[Tensor, "x y z"], lower: Float[Tensor, "x y z"], upper: Float[Tensor, "x y z"], steps: int
) -> Float[Tensor, "x y z"]:
    """Of values between two bounds those of least total variation; outside of the lattice there are zeros."""
    u = torch.minimum(torch.maximum(u, lower), upper)
    ahead, p = u, [torch.zeros_like(u) for _ in range(3)]
    for _ in range(steps):
        for axis in range(3):
            part = p[axis].narrow(axis, 0, u.shape[axis] - 1)
            part.add_(ahead.diff(dim=axis), alpha=_RATE)
        length = (p[0].square() + p[1].square() + p[2].square()).sqrt_().clamp_(min=1)
        change = torch.zeros_like(u)
        for axis in range(3):
            p[axis].div_(length)
            change.add_(p[axis])
            change.narrow(axis, 1, u.shape[axis] - 1).sub_(p[axis].narrow(axis, 0, u.shape[axis] - 1))
        new = torch.minimum(torch.maximum(u.add(change, alpha=_RATE), lower), upper)
        ahead, u = 2 * new - u, new
    return u
