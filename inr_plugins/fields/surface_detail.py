"""What points say of a surface beyond a field that is nearly right: a small correction of its distance around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inr_plugins.fields.level_normals import level_normals
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, trilinear_weights

Distance = Callable[[Tensor], Tensor]
"""Signed distance (n,) at points (n, 3), normalised units, negative inside; differentiable in the points."""

_CHUNK = 1 << 17
"""Points read at once, which bounds memory."""


class SurfaceDetail(nn.Module):
    """A correction r of a signed distance f, held on a sparse lattice: the corrected distance is f + w(f) r.

    r is interpolated from the vertices of the lattice's cells, and zero where there is none. The window
    w(f) = (1 - (f / reach)²)², zero from |f| = reach on, lets the correction fade out across the surface, so that the
    lattice is a thin band; along the surface r itself fades out, where the points that it was fitted to end. So the sum
    is continuous, and far from the points it is f.

    All is float32, in the normalised frame and its units.
    """

    lattice: SparseLattice
    values: Tensor
    reach: Tensor

    def __init__(self, lattice: SparseLattice, values: Float[Tensor, " v"], reach: float) -> None:
        """
        Args:
            lattice: whose cells hold the correction.
            values: r at its vertices, normalised units.
            reach: |f| from which on nothing is corrected, > 0.
        """
        super().__init__()
        self.lattice = lattice
        self.register_buffer("values", values.detach().float().clone())
        self.register_buffer("reach", torch.tensor(float(reach), device=values.device))

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], prefix: str, device: torch.device) -> SurfaceDetail:
        """The correction that a state_dict holds under `prefix`.

        Raises:
            KeyError: the state holds none there.
            ValueError: what it holds is none.
        """
        lattice = SparseLattice.from_state(state, prefix + "lattice.", device)
        values = state[prefix + "values"].to(device)
        if values.shape != (lattice.num_rows,):
            raise ValueError(f"a correction of shape {tuple(values.shape)} on a lattice of {lattice.num_rows} vertices")
        return cls(lattice, values, float(state[prefix + "reach"]))

    def corrected(self, x: Float[Tensor, "n 3"], distance: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The corrected distance; differentiable in both.

        Args:
            x: points.
            distance: f there.
        """
        parts = [
            part + window(part, self.reach) * self._read(at)
            for at, part in zip(x.split(_CHUNK), distance.split(_CHUNK), strict=True)
        ]
        return torch.cat(parts)

    def _read(self, x: Tensor) -> Float[Tensor, " n"]:
        lattice = self.lattice
        cell, _ = lattice.locate(x.detach())
        hit = (cell >= 0).nonzero()[:, 0]
        at = (x[hit] - lattice.origin) / lattice.edge
        low = torch.minimum(at.detach().floor().clamp(min=0), lattice.cells.to(at) - 1)
        corners = self.values[lattice.corner_rows[cell[hit]].long()]
        values = (corners * trilinear_weights((at - low).clamp(0, 1))).sum(-1)
        return x.new_zeros(len(x)).index_copy(0, hit, values)

    def holds(self, x: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Which points lie in a cell of the lattice."""
        return self.lattice.locate(x)[0] >= 0


def window(distance: Float[Tensor, " n"], reach: float | Tensor) -> Float[Tensor, " n"]:
    """w(f): 1 on the surface, 0 from |f| = reach on, with a continuous slope."""
    return (1 - (distance / reach).square()).clamp(min=0).square()


class DetailedShape:
    """A field with a correction, which answers the protocol of inr_plugins.fields.protocol."""

    def __init__(self, rough: Distance, detail: SurfaceDetail) -> None:
        """
        Args:
            rough: the field's signed distance, which the correction was fitted to.
            detail: the correction.
        """
        self.rough, self.detail = rough, detail

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units, negative inside; differentiable."""
        return self.detail.corrected(x, self.rough(x)) if len(x) else x.new_zeros(0)

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals, outward: towards larger distances."""
        return level_normals(self.sdf, x, inside_below=True)
