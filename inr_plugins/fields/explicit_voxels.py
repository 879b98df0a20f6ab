"""The coarse stage's field: density and one colour per vertex, both held as plain tables."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.fields.voxel_density import VoxelField, raw_of_optical_depth
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, interpolate

_DEPTH_RANGE = (1e-5, 10.0)
"""Optical depths of a cell that a finer lattice starts with: open to learning at both ends."""


class ExplicitVoxelField(VoxelField):
    """DVGO's coarse field: colours do not depend on the view; they are the sigmoid of an interpolated table."""

    def __init__(
        self,
        lattice: SparseLattice,
        initial: float | Float[Tensor, "v 1"],
        logits: Float[Tensor, "v 3"] | None = None,
        contraction: Contraction | None = None,
    ) -> None:
        """
        Args:
            lattice: where the field has values.
            initial: raw density of every vertex, or of each.
            logits: colour logits of each vertex; grey when None.
            contraction: what takes points of the normalised frame to the lattice's.
        """
        super().__init__(lattice, initial, contraction)
        logits = torch.zeros(lattice.num_rows, 3, device=lattice.origin.device) if logits is None else logits.clone()
        self.colour_table = nn.Parameter(logits)

    def tables(self) -> list[tuple[nn.Module, str]]:
        return [*super().tables(), (self, "colour_table")]

    def colour_at(
        self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"], directions: Float[Tensor, "s 3"]
    ) -> Float[Tensor, "s 3"]:
        return torch.sigmoid(interpolate(self.colour_table, rows, weights))

    @torch.no_grad()
    def initial_raw(self, finer: SparseLattice) -> Float[Tensor, "v 1"]:
        """Raw values that give a finer lattice's vertices this field's density, kept within what can still move."""
        raw = self.lattice.read(self.density_table, finer.vertices(), empty=-20.0)
        depth = F.softplus(raw) * (finer.edge / self.lattice.edge)
        return raw_of_optical_depth(depth.clamp(*_DEPTH_RANGE))

    @torch.no_grad()
    def initial_logits(self, finer: SparseLattice) -> Float[Tensor, "v 3"]:
        """This field's colour logits at a finer lattice's vertices."""
        return self.lattice.read(self.colour_table, finer.vertices())
