"""Values at the vertices of a lattice, with cubic B-splines between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

_CHUNK = 1 << 17
_BEYOND = 4
"""Cells beyond the box whose vertices are given values too: what is assumed beyond the last vertex, a mirror, weighs
0.27 times as much with each cell."""


class CubicLattice(nn.Module):
    """A function of a box that has given values at the vertices of a lattice and two continuous derivatives.

    Between vertices it is the interpolating cubic spline: for a smooth function its error falls with the fourth power
    of the cells' edge, where that of trilinear interpolation falls with the second, and its slope has no creases.
    Points beyond the box have the value of the nearest one in it.

    It is 0 until `lay` is called; it holds no parameters. What it holds is float32.

    Attributes:
        coefficients: of the splines, of which one more row than vertices lies on either side.
        laid: whether values were given, here or in a state that was loaded.
    """

    box: Tensor
    coefficients: Tensor
    laid: Tensor

    def __init__(self, box: Float[Tensor, "2 3"], cells: int) -> None:
        """
        Args:
            box: lowest and highest corner.
            cells: along each axis, at least 3.

        Raises:
            ValueError: fewer than 3 cells.
        """
        super().__init__()
        if cells < 3:
            raise ValueError(f"A lattice of cubic splines needs 3 cells along each axis, got {cells}.")
        self.cells = cells
        self.register_buffer("box", box.detach().float().clone())
        self.register_buffer("coefficients", torch.zeros((cells + 3,) * 3))
        self.register_buffer("laid", torch.tensor(False))

    def lay(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        """Take on the values of a function at the vertices.

        Args:
            function: gives values (n,) at points (n, 3), float32, of the box and up to four cells beyond.

        Raises:
            ValueError: a value is not finite.
        """
        from scipy.ndimage import spline_filter

        low, high = self.box.double().cpu().numpy()
        numbers = np.arange(-_BEYOND, self.cells + 1 + _BEYOND)
        axes = [low[axis] + (high[axis] - low[axis]) / self.cells * numbers for axis in range(3)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
        values: Float32[np.ndarray, " v"] = np.concatenate(
            [function(points[first : first + _CHUNK]) for first in range(0, len(points), _CHUNK)]
        )
        if not np.isfinite(values).all():
            raise ValueError("a value of the function is not finite")
        splines = spline_filter(values.astype(np.float64).reshape((len(numbers),) * 3), order=3, mode="mirror")
        kept = slice(_BEYOND - 1, 1 - _BEYOND)
        self.coefficients.copy_(torch.from_numpy(splines[kept, kept, kept]))
        self.laid.fill_(True)

    def forward(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Values at points; twice differentiable in them."""
        at = (x.float().reshape(-1, 3) - self.box[0]) * (self.cells / (self.box[1] - self.box[0]))
        at = at.clamp(0, self.cells)
        low = at.detach().floor().clamp(max=self.cells - 1)
        part = at - low
        rest = 1 - part
        # The four splines that reach into a cell, from the one that ends there to the one that begins.
        pieces = [rest**3, 3 * part**3 - 6 * part**2 + 4, 3 * rest**3 - 6 * rest**2 + 4, part**3]
        weights = torch.stack(pieces, -1) / 6
        count, four = self.cells + 3, torch.arange(4, device=x.device)
        near = (four[:, None, None] * count + four[:, None]) * count + four
        at_x, at_y, at_z = low.long().unbind(-1)
        first = (at_x * count + at_y) * count + at_z
        around = self.coefficients.reshape(-1)[first[:, None] + near.reshape(-1)].reshape(-1, 4, 4, 4)
        along_z = (around * weights[:, 2, None, None]).sum(-1)
        along_y = (along_z * weights[:, 1, None]).sum(-1)
        return (along_y * weights[:, 0]).sum(-1).reshape(x.shape[:-1])
