"""A matrix as the sum of one of low rank and one of few entries: what stands still in a video, and what moves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_GROWTH = 1.5
_MOST_GROWTH = 1e7


def principal_component_pursuit(
    matrix: Float[Tensor, "rows columns"], *, tolerance: float = 1e-6, most: int = 500
) -> tuple[Float[Tensor, "rows columns"], Float[Tensor, "rows columns"], int]:
    """Low-rank and sparse part of a matrix, and the rank of the former (Candès et al. 2011).

    The least sum of the singular values of the one and λ times the absolute values of the other, λ = 1 / sqrt(longer
    side), by inexact augmented Lagrange multipliers (Lin et al. 2010).

    Args:
        matrix: in float64.
        tolerance: of what both miss of it, as a share of its norm.
        most: steps, at the most.
    """
    penalty = max(matrix.shape) ** -0.5
    size, largest = float(matrix.norm()), float(torch.linalg.matrix_norm(matrix, 2))
    low, sparse, rank = torch.zeros_like(matrix), torch.zeros_like(matrix), 0
    if size == 0:
        return low, sparse, rank
    dual = matrix / max(largest, float(matrix.abs().max()) / penalty)
    step = 1.25 / largest
    limit = step * _MOST_GROWTH
    for _ in range(most):
        left, values, right = torch.linalg.svd(matrix - sparse + dual / step, full_matrices=False)
        values = (values - 1 / step).clamp(min=0)
        rank, low = int((values > 0).sum()), (left * values) @ right
        rest = matrix - low + dual / step
        sparse = rest.sign() * (rest.abs() - penalty / step).clamp(min=0)
        missed = matrix - low - sparse
        dual, step = dual + step * missed, min(_GROWTH * step, limit)
        if float(missed.norm()) < tolerance * size:
            break
    return low, sparse, rank
