"""The empirical neural tangent kernel of a field or a network, and its eigenvalues.

For a network f with weights w, K_ij = sum over w of df(x_i)/dw df(x_j)/dw (Jacot et al. 2018; FINER++ sec. 4.4; eq. 2
and 3 of the normalization paper): how much a step that mends x_j moves x_i. Gradient descent learns the parts of a
signal along its eigenvectors at rates in proportion to the eigenvalues, so that a kernel with a few large ones and many
small ones learns little quickly. It is of the weights as they are, not the expectation over starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)

_BYTES_AT_ONCE = 1 << 30


@dataclass(frozen=True)
class KernelSummary:
    """What both papers say of a kernel.

    Attributes:
        points: rows of the kernel.
        largest: eigenvalue.
        mean: of the eigenvalues.
        variance: of the eigenvalues.
        above_one: how many eigenvalues are larger than 1, which FINER++ counts.
        half: how many of the largest make up half of their sum: about how many parts of a signal are learnt quickly.
        diagonal: mean of the diagonal over the mean of the magnitudes beside it.
    """

    points: int
    largest: float
    mean: float
    variance: float
    above_one: int
    half: int
    diagonal: float


def tangent_kernel(
    function: Callable[[], Float[Tensor, "n channels"]],
    weights: Iterable[Tensor],
    *,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> Float[Tensor, "n n"]:
    """The mean over channels of the tangent kernels of each, in float64.

    Each output is differentiated through the whole batch: where a normalization couples its rows, so does the kernel.

    Args:
        function: gives the outputs at all points at once, with a graph to the weights; it is called once.
        weights: leaves, dense, float64 for eigenvalues that are exact to more than seven digits of the largest.
        on_rows: told the outputs that are done, and all.
    """
    leaves = [each for each in weights if each.requires_grad]
    out = function()
    points, channels = out.shape
    size = sum(each.numel() * (2 if each.is_complex() else 1) for each in leaves)
    kernel = torch.zeros(points, points, dtype=torch.float64)
    # Rows against rows, so that a Jacobian too large for memory need not be kept at once; recomputed for each pair.
    rows = max(1, min(points, _BYTES_AT_ONCE // (8 * max(size, 1))))
    blocks = [(first, min(first + rows, points)) for first in range(0, points, rows)]
    total, done = channels * sum(end for _, end in blocks), 0
    for channel in range(channels):
        for i, (first, last) in enumerate(blocks):
            mine = _gradients(out[first:last, channel], leaves)
            for begin, end in blocks[: i + 1]:
                theirs = mine if begin == first else _gradients(out[begin:end, channel], leaves)
                product = (mine @ theirs.T).cpu()
                kernel[first:last, begin:end] += product
                if begin != first:
                    kernel[begin:end, first:last] += product.T
                done += end - begin
                on_rows(done, total)
    return kernel / channels


def in_float64(module: Module) -> Module:
    """A module with all of its weights in twice the precision, complex ones too, which `Module.double` leaves out."""
    return module._apply(
        lambda each: (
            each.to(torch.complex128) if each.is_complex() else each.double() if each.is_floating_point() else each
        )
    )


def _gradients(outputs: Float[Tensor, " n"], leaves: list[Tensor]) -> Float[Tensor, "n weights"]:
    rows = []
    for output in outputs:
        found = torch.autograd.grad(output, leaves, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(leaf) if part is None else part for part, leaf in zip(found, leaves, strict=True)]
        rows.append(torch.cat([_real(part).reshape(-1).double() for part in parts]))
    return torch.stack(rows)


def _real(part: Tensor) -> Tensor:
    """The parts of a complex number are two weights."""
    dense = part.to_dense() if part.is_sparse else part
    return torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense


def eigenvalues(kernel: Float[Tensor, "n n"]) -> Float[np.ndarray, " n"]:
    """Falling; none is below 0 but for rounding, which is cut off."""
    found: Float[np.ndarray, " n"] = torch.linalg.eigvalsh(kernel).flip(0).clamp(min=0).numpy()
    return found


def summary(kernel: Float[Tensor, "n n"]) -> KernelSummary:
    """See KernelSummary."""
    values = eigenvalues(kernel)
    points = len(values)
    total = float(values.sum())
    beside = kernel - torch.diag(torch.diagonal(kernel))
    off = float(beside.abs().sum()) / max(points * (points - 1), 1)
    return KernelSummary(
        points=points,
        largest=float(values[0]),
        mean=total / points,
        variance=float(values.var()),
        above_one=int((values > 1).sum()),
        half=int(np.searchsorted(values.cumsum(), total / 2) + 1) if total > 0 else 0,
        diagonal=float(torch.diagonal(kernel).mean()) / off if off > 0 else float("inf"),
    )
