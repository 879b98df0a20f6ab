"""A density on a sparse voxel lattice: one raw value per vertex, trilinear, made a density after interpolation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.fields.protocol import CellBounds
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, interpolate, trilinear_weights

_QUERY_CHUNK = 1 << 18


def raw_of_optical_depth(depth: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The raw value whose softplus is `depth` > 0 (the optical depth of one cell)."""
    return depth + torch.log(-torch.expm1(-depth))


class VoxelField(nn.Module, ABC):
    """Density and view-dependent colour on a lattice; subclasses say how the colour is held.

    density = softplus(raw) / edge, where raw is the trilinear interpolation of the table: DVGO's post-activation
    (Sun et al. 2022, eq. 7), whose alpha = 1 - (1 + exp(raw))^(-step / edge) this is. With it a single cell can hold a
    sharp surface. DVGO adds a constant shift to raw; here the table's initial value carries it.

    With a contraction the lattice stands in the contracted frame, and a density is one per contracted unit, which is
    the normalised unit inside the scene's box.
    """

    lattice: SparseLattice
    density_table: nn.Parameter
    contraction: Contraction | None

    def __init__(
        self,
        lattice: SparseLattice,
        initial: float | Float[Tensor, "v 1"],
        contraction: Contraction | None = None,
    ) -> None:
        """
        Args:
            lattice: where the field has values.
            initial: raw value of every vertex, or of each.
            contraction: what takes points of the normalised frame to the lattice's, for scenes without an end.
        """
        super().__init__()
        self.lattice = lattice
        self.contraction = contraction
        table = torch.full((lattice.num_rows, 1), float(initial)) if isinstance(initial, float) else initial.clone()
        self.density_table = nn.Parameter(table.to(lattice.origin.device))

    @property
    def to_grid(self) -> Contraction | None:
        """The contraction, as the renderer asks for it."""
        return self.contraction

    def tables(self) -> list[tuple[nn.Module, str]]:
        """The parameters that hold one row per lattice vertex, as module and attribute name."""
        return [(self, "density_table")]

    # -- at samples that the ray marcher has located --

    def corners(
        self, flat_cell: Int[Tensor, " s"], fraction: Float[Tensor, "s 3"]
    ) -> tuple[Int[Tensor, "s 8"], Float[Tensor, "s 8"]]:
        """Table rows and interpolation weights of points in occupied cells, given by flat cell index and fraction."""
        rows = self.lattice.corner_rows.index_select(0, self.lattice.cell_row.index_select(0, flat_cell))
        return rows, trilinear_weights(fraction)

    def density_at(self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"]) -> Float[Tensor, " s"]:
        """Density at interpolated points, 1 / normalised unit."""
        return F.softplus(interpolate(self.density_table, rows, weights)[:, 0]) / self.lattice.edge

    @abstractmethod
    def colour_at(
        self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"], directions: Float[Tensor, "s 3"]
    ) -> Float[Tensor, "s 3"]:
        """RGB in [0, 1] at interpolated points seen along unit directions."""

    def normal_at(self, rows: Int[Tensor, "s 8"], fraction: Float[Tensor, "s 3"]) -> Float[Tensor, "s 3"]:
        """Unit normals, towards lower density: minus the exact gradient of the trilinear raw value."""
        raw = self.density_table.detach()[:, 0][rows.long()].reshape(-1, 2, 2, 2)
        x, y, z = (torch.stack([1 - v, v], -1) for v in fraction.unbind(-1))
        gradient = torch.stack(
            [
                torch.einsum("sij,si,sj->s", raw[:, 1] - raw[:, 0], y, z),
                torch.einsum("sij,si,sj->s", raw[:, :, 1] - raw[:, :, 0], x, z),
                torch.einsum("sij,si,sj->s", raw[:, :, :, 1] - raw[:, :, :, 0], x, y),
            ],
            -1,
        )
        return -F.normalize(gradient, dim=-1)

    def in_lattice(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Points of the normalised frame in that of the lattice."""
        return x if self.contraction is None else self.contraction(x)

    # -- at any points: the protocol of inr_plugins.fields.protocol --

    def density(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density at points of the normalised frame; zero in unoccupied cells and outside the lattice."""
        raw = self.lattice.read(self.density_table, self.in_lattice(x), empty=-math.inf)
        return F.softplus(raw[:, 0]) / self.lattice.edge

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at points of the normalised frame seen along unit directions d; black where nothing is held."""
        out = torch.zeros_like(x)
        for i in range(0, len(x), _QUERY_CHUNK):
            part = slice(i, i + _QUERY_CHUNK)
            cell, fraction = self.lattice.locate(self.in_lattice(x[part]))
            hit = (cell >= 0).nonzero()[:, 0]
            rows, weights = self.lattice.corner_rows[cell[hit]], trilinear_weights(fraction[hit])
            out[part] = out[part].index_copy(0, hit, self.colour_at(rows, weights, d[part][hit]))
        return out

    @torch.no_grad()
    def cell_bounds(self) -> CellBounds:
        """Bounds of the density in each cell: softplus rises, and a trilinear value lies between its corners'."""
        raw = self.density_table[:, 0][self.lattice.corner_rows.long()]
        held = self.lattice.cell_row >= 0
        cells = self.lattice.cell_row[held].long()
        least, largest = (torch.zeros(len(held), device=raw.device) for _ in range(2))
        # What is interpolated in float32 may leave the corners' range by rounding.
        slack = 1e-5
        least[held] = F.softplus(raw.amin(1))[cells] / self.lattice.edge * (1 - slack)
        largest[held] = F.softplus(raw.amax(1))[cells] / self.lattice.edge * (1 + slack)
        box = self.lattice.aabb if self.contraction is None else self.contraction.inner_box
        shape = self.lattice.shape
        return CellBounds(self.lattice.origin, float(self.lattice.edge), least.view(shape), largest.view(shape), box)
