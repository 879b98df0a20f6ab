"""Where a surface may be: in the hull of the masks, and nowhere that too few pictures show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.fields.voxel_distance import VoxelDistanceField
from inr_plugins.models.diner_surface.carving import CarvedHull
from inr_plugins.networks.voxels.sparse_lattice import pack_bits, unpack_bits

_SLACK = 1.5
"""Cells of the hull's lattice that a surface may lie outside of it, which is good to half a cell."""
_OUTSIDE = 1.0
"""Cells that a vertex beyond the limit is away from the surface, at the least."""


class SurfaceLimit(nn.Module):
    """Places of a lattice that a surface may enclose; none are known of a model that was not started from masks.

    Where pictures cut an object off, what lies before the cameras that do not show it costs nothing: a surface grows
    there, step by step, and hides the object from the others.
    """

    origin: Tensor
    edge: Tensor
    counts: Tensor
    bits: Tensor

    def __init__(self, origin: Float[Tensor, " 3"], edge: float, allowed: Bool[Tensor, "x y z"]) -> None:
        """
        Args:
            origin: lowest vertex, normalised frame.
            edge: of the cells.
            allowed: which vertices may be inside; without any, there is no limit.
        """
        super().__init__()
        self.register_buffer("origin", origin.detach().clone())
        self.register_buffer("edge", torch.tensor(float(edge)))
        self.register_buffer("counts", torch.tensor(allowed.shape))
        self.register_buffer("bits", pack_bits(allowed))

    @classmethod
    def none(cls) -> SurfaceLimit:
        """A surface may be anywhere."""
        return cls(torch.zeros(3), 1.0, torch.zeros(0, 0, 0, dtype=torch.bool))

    @classmethod
    def of_hull(
        cls,
        origin: Float[Tensor, " 3"],
        edge: float,
        distances: Float[Tensor, "x y z"],
        carved: CarvedHull | None = None,
    ) -> SurfaceLimit:
        """In a hull, or hardly out of it, and not where it was closed off.

        Args:
            origin: lowest vertex of its lattice, normalised frame.
            edge: of the cells.
            distances: to the hull's surface, in cells, negative inside.
            carved: the object in it, on the same lattice; what hides behind that stays out.
        """
        allowed = distances <= _SLACK
        if carved is not None:
            reach = 2 * math.ceil(_SLACK) + 1
            hidden = F.max_pool3d(carved.hidden.float()[None, None], reach, stride=1, padding=reach // 2)[0, 0] > 0
            allowed &= ~hidden | (carved.distances <= _SLACK)
        return cls(origin, edge, allowed)

    @classmethod
    def of_state(cls, state: Mapping[str, Any], prefix: str) -> SurfaceLimit:
        """One of the sizes that a state_dict holds; runs of versions before have none."""
        if prefix + "counts" not in state:
            return cls.none()
        return cls(torch.zeros(3), 1.0, torch.zeros(state[prefix + "counts"].tolist(), dtype=torch.bool))

    def allows(self, x: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Whether the surface may enclose points, normalised frame: by the nearest vertex; no point off the lattice."""
        shape = tuple(self.counts.tolist())
        if len(self.bits) == 0:
            return torch.ones(len(x), dtype=torch.bool, device=x.device)
        at = ((x - self.origin) / self.edge).round().long()
        there = ((at >= 0) & (at < self.counts)).all(-1)
        at = torch.minimum(at.clamp(min=0), self.counts - 1)
        return there & unpack_bits(self.bits, shape)[at[:, 0], at[:, 1], at[:, 2]]

    @torch.no_grad()
    def keep(self, field: VoxelDistanceField) -> int:
        """Take what a field's surface encloses beyond the limit out of it, in place.

        Returns:
            How many vertices.
        """
        if len(self.bits) == 0:
            return 0
        near = (field.distances < _OUTSIDE).nonzero()[:, 0]
        wrong = near[~self.allows(field.lattice.vertices()[near])]
        field.distances[wrong] = _OUTSIDE
        return len(wrong)
