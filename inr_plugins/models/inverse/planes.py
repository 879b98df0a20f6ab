"""Planes through a volume, at right angles to each other, and all of it: which voxels of it a picture shows where.

Planes of a patient have names and lie as radiologists have them, the head or the front up; left and right are as the
file has them. What is no patient has planes of x (columns), y (rows) and z (slices).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inr_plugins.rendering.voxel_volume import RayKind

COLUMN, ROW, SLICE = 0, 1, 2
AXES = ("column", "row", "slice")
_GAP = 0.04
"""Between pictures, as a share of the longest side of the volume."""
_SIDES = (("L", "R"), ("P", "A"), ("I", "S"))
"""Where x, y and z of RAS come from, and go to."""


@dataclass(frozen=True)
class Plane:
    """A picture of a volume at one place of an axis.

    Attributes:
        name: of the plane.
        fixed: the axis that it is at one place of: COLUMN, ROW or SLICE.
        across: the axis that goes to the right.
        down: the axis that goes down.
        across_sign: 1, or -1 where its numbers go to the left.
        down_sign: 1, or -1 where its numbers go up.
        edges: what is at the left, right, top and bottom of a patient's: R, L, A, P, S and I.
    """

    name: str
    fixed: int
    across: int
    down: int
    across_sign: int = 1
    down_sign: int = 1
    edges: tuple[str, ...] = ()


def planes_of(affine: Sequence[Sequence[float]] | None) -> tuple[Plane, Plane, Plane]:
    """The planes of a volume; of a patient (see `data.signals.medical_file`) axial, coronal and sagittal ones."""
    if affine is None:
        return (
            Plane("xy", SLICE, COLUMN, ROW),
            Plane("xz", ROW, COLUMN, SLICE, down_sign=-1),
            Plane("yz", COLUMN, ROW, SLICE, down_sign=-1),
        )
    axes, signs = _axes_of(affine)

    def plane(name: str, fixed: int, across: int, down: int, across_sign: int) -> Plane:
        left_right = _SIDES[across][:: across_sign * signs[across]]
        return Plane(
            *(name, axes[fixed], axes[across], axes[down], across_sign, -signs[down]),
            edges=(*left_right, *_SIDES[down][::-1]),
        )

    return (
        plane("axial", 2, 0, 1, 1),
        plane("coronal", 1, 0, 2, 1),
        plane("sagittal", 0, 1, 2, -signs[1]),
    )


def _axes_of(affine: Sequence[Sequence[float]]) -> tuple[tuple[int, int, int], list[int]]:
    """Which axis of the array is nearest to x, y and z of the patient (RAS), and whether it goes their way: 1 or -1."""
    turns = np.array(affine)[:, :3]
    turns = turns / np.linalg.norm(turns, axis=0)
    first, second, third = max(
        permutations(range(3)), key=lambda order: sum(abs(turns[place, axis]) for place, axis in enumerate(order))
    )
    axes = (first, second, third)
    return axes, [1 if turns[place, axis] > 0 else -1 for place, axis in enumerate(axes)]


@dataclass(frozen=True)
class Body:
    """How all of a volume stands in the scene, whose camera begins at negative y, with x to the right and z up.

    Attributes:
        axes: COLUMN, ROW and SLICE in the order of x, y and z.
        signs: 1, or -1 where the numbers of that axis go the other way.
    """

    axes: tuple[int, int, int] = (COLUMN, ROW, SLICE)
    signs: tuple[int, int, int] = (1, 1, 1)

    def half_extent(
        self, sides: tuple[int, int, int], spacing_mm: tuple[float, float, float]
    ) -> tuple[float, float, float]:
        """Half of its box along x, y and z, of which the longest is 1."""
        lengths = [side * each for side, each in zip(sides, spacing_mm, strict=True)]
        x, y, z = (lengths[axis] / max(lengths) for axis in self.axes)
        return x, y, z

    def samples(self, sides: tuple[int, int, int], most: int) -> tuple[tuple[int, int, int], Float[Tensor, "n 3"]]:
        """Places in a lattice of at most so many along each side, in the order of z, y and x: its shape, and column,
        row and slice of each."""
        counts = [min(sides[axis], most) for axis in self.axes]
        along = [torch.arange(count, dtype=torch.float64) for count in counts]
        voxels = [
            (each + 0.5) * sides[axis] / count - 0.5 for each, axis, count in zip(along, self.axes, counts, strict=True)
        ]
        voxels = [each if sign > 0 else each.flip(0) for each, sign in zip(voxels, self.signs, strict=True)]
        lattice = torch.meshgrid(*voxels[::-1], indexing="ij")[::-1]
        found = torch.empty(lattice[0].numel(), 3, dtype=torch.float64)
        for axis, each in zip(self.axes, lattice, strict=True):
            found[:, axis] = each.reshape(-1)
        return (counts[2], counts[1], counts[0]), found


def body_of(affine: Sequence[Sequence[float]] | None) -> Body:
    """How a volume stands: of a patient the front towards the camera, the head up, the left side to the right."""
    if affine is None:
        return Body()
    axes, (right, front, up) = _axes_of(affine)
    return Body(axes, (-right, -front, up))


@dataclass(frozen=True)
class BodyView:
    """All of a volume, seen along rays through it (`rendering.voxel_volume`)."""

    kind: RayKind = "density"
    opacity: float = 20.0


@dataclass(frozen=True)
class PlaneView:
    """One plane, or three beside each other, in the square from -1 to 1 of the plane that rays meet.

    Attributes:
        planes: that are seen.
        at: column, row and slice that they go through.
        sides: of the volume: columns, rows and slices.
        spacing_mm: along those.
    """

    planes: tuple[Plane, ...]
    at: tuple[int, int, int]
    sides: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def voxels(self, places: Float[Tensor, "n 2"]) -> tuple[Bool[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Whether there is a picture at places (x to the right, y down), and which voxels are there."""
        seen = torch.zeros(len(places), dtype=torch.bool, device=places.device)
        found = places.new_tensor(self.at).repeat(len(places), 1)
        for plane, (left, top, width, height) in zip(self.planes, self._rectangles(), strict=True):
            shares = (places - places.new_tensor([left, top])) / places.new_tensor([width, height])
            inside = ((shares >= 0) & (shares <= 1)).all(-1)
            seen |= inside
            for axis, sign, share in (
                (plane.across, plane.across_sign, shares[:, 0]),
                (plane.down, plane.down_sign, shares[:, 1]),
            ):
                along = share if sign > 0 else 1 - share
                found[:, axis] = torch.where(inside, along * self.sides[axis] - 0.5, found[:, axis])
        return seen, found

    def _rectangles(self) -> list[tuple[float, float, float, float]]:
        """Left, top, width and height of each picture: one, or the first below the second and the third."""
        lengths = [side * each for side, each in zip(self.sides, self.spacing_mm, strict=True)]
        sizes = [(lengths[plane.across], lengths[plane.down]) for plane in self.planes]
        gap = _GAP * max(lengths)
        if len(sizes) == 1:
            corners, (wide, high) = [(0.0, 0.0)], sizes[0]
        else:
            # The second and the third are of one height, and the first is as wide as the second.
            (width, low), (_, high), (beside, _) = sizes
            left, top = width + gap, high + gap
            corners, wide, high = [(0.0, top), (0.0, 0.0), (left, 0.0)], left + beside, top + low
        scale = 2 / max(wide, high)
        return [
            (scale * (x - wide / 2), scale * (y - high / 2), scale * width, scale * height)
            for (x, y), (width, height) in zip(corners, sizes, strict=True)
        ]
