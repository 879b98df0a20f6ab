"""What a model knows about where its field is empty, made useful for sampling: a mask of points, a test of boxes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inr_plugins.fields.protocol import CellBounds
from inr_plugins.geometry.frames import Similarity

# Cells are found in float32; a block on a cell's face must be counted with both cells.
_SLACK = 1e-3


class Crossings:
    """Whether a level set may pass through boxes, by the cells' bounds: some cell reaches above it, some below.

    The field may jump between neighbouring cells (to nothing, at the edge of what is occupied), so that a box is only
    left out when all cells that touch it are on one side of the level. Sums over boxes come from a summed-area table
    (Crow 1984) of each side.
    """

    def __init__(self, bounds: CellBounds, to_normalised: Similarity, *, level: float) -> None:
        """
        Args:
            bounds: the cells.
            to_normalised: map from the frame of the boxes to the normalised one.
            level: value on the surface.
        """
        self._origin = bounds.origin.detach().cpu().double().numpy()
        self._edge = bounds.edge
        self._shape = np.array(bounds.least.shape)
        self._to_normalised = to_normalised
        # Outside the lattice everything is empty: a ring of such cells stands for all of it.
        empty_is_below = level >= 0
        self._above = _summed(bounds.largest > level, border=not empty_is_below)
        self._below = _summed(bounds.least <= level, border=empty_is_below)

    def __call__(self, low: Float[np.ndarray, "n 3"], high: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """True for boxes, given their lowest and highest corners, that the surface may pass through."""
        first, last = (self._cells(corner) for corner in self._reach(low, high))
        lowest, highest = np.floor(first - _SLACK), np.floor(last + _SLACK)
        # One more for the ring.
        begin = np.clip(lowest, -1, self._shape).astype(np.int64) + 1
        end = np.clip(highest, -1, self._shape).astype(np.int64) + 2
        return (_count(self._above, begin, end) > 0) & (_count(self._below, begin, end) > 0)

    def _reach(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corners, in the normalised frame, of the boxes around the turned boxes."""
        middle = self._to_normalised.points((low + high) / 2)
        half = (high - low) / 2 @ (self._to_normalised.scale * np.abs(self._to_normalised.rotation.T))
        return middle - half, middle + half

    def _cells(self, x: np.ndarray) -> np.ndarray:
        return (x - self._origin) / self._edge


def _summed(mask: Bool[Tensor, "x y z"], *, border: bool) -> np.ndarray:
    """Number of cells set below and before each corner, with a ring of `border` around the lattice."""
    x, y, z = mask.shape
    counts = np.zeros((x + 3, y + 3, z + 3), dtype=np.int32)
    counts[1:, 1:, 1:] = np.pad(mask.cpu().numpy(), 1, constant_values=border)
    for axis in range(3):
        np.cumsum(counts, axis=axis, out=counts)
    return counts


def _count(sums: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Cells set in the ranges begin .. end - 1 of a summed-area table."""
    total = np.zeros(len(begin), dtype=np.int64)
    for i in (0, 1):
        for j in (0, 1):
            for k in (0, 1):
                x, y, z = (end[:, a] if bit else begin[:, a] for a, bit in enumerate((i, j, k)))
                total += (-1) ** (3 - i - j - k) * sums[x, y, z]
    return total


def is_held(bounds: CellBounds, x: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Whether points of the normalised frame lie in a cell in which the model holds anything."""
    shape = torch.tensor(bounds.least.shape, device=x.device)
    u = (x - bounds.origin.to(x)) / bounds.edge
    inside = ((u >= 0) & (u <= shape)).all(-1)
    cell = torch.minimum(u.floor().clamp(min=0), (shape - 1).to(u)).long()
    return inside & (bounds.largest.to(x.device)[cell[:, 0], cell[:, 1], cell[:, 2]] > 0)
