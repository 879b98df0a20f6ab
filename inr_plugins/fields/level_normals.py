"""Normals of a level set from the gradient of the function that it is a level of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.protocol import SDFField

GRADIENT_CHUNK = 1 << 14
"""Points whose gradient is taken at once: every layer of a network keeps something for it."""


def level_normals(
    values: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]], x: Float[Tensor, "n 3"], *, inside_below: bool
) -> Float[Tensor, "n 3"]:
    """Outward unit normals: the normalised gradient, or its opposite; zero where the gradient is zero.

    Also inside torch.no_grad; the normals themselves carry no gradient.

    Args:
        values: a differentiable function, each of whose values depends on its own point only.
        x: points.
        inside_below: whether the solid is where values are smaller, as for a signed distance; else larger.
    """
    parts = [_gradient(values, part) for part in x.split(GRADIENT_CHUNK)] if len(x) else [torch.zeros_like(x)]
    gradient = torch.cat(parts)
    return F.normalize(gradient if inside_below else -gradient, dim=-1)


def _gradient(values: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(values(x).sum(), x)
    return gradient


def outward_normals(field: Any, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Outward unit normals of a field's level set at points of the normalised frame.

    Args:
        field: answers `normal`, or else `sdf` or `occupancy`, of which the gradient is taken.
        x: points.
    """
    if hasattr(field, "normal"):
        return field.normal(x)
    if isinstance(field, SDFField):
        return level_normals(field.sdf, x, inside_below=True)
    return level_normals(field.occupancy, x, inside_below=False)
