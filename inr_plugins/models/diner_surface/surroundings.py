"""What is around an object: diner's explicit voxels of contracted space, learnt of everything first."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.models.diner_surface.learnt_density import LearntDensity
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice

_UNSEEN_RAW = -10.0
"""Raw density at the start: no ray is blocked before it has learnt anything."""


class Surroundings(LearntDensity):
    """A density of all of space, on a lattice of which the middle half is a box of the normalised frame."""

    def __init__(self, box: Float[Tensor, "2 3"], cells: int) -> None:
        """
        Args:
            box: a cube, normalised frame; contraction leaves it as it is.
            cells: along a side of the lattice, a multiple of 4, so that cells end where the box does.

        Raises:
            ValueError: the box has no volume.
        """
        contraction = Contraction(box)
        super().__init__(SparseLattice.over_box(contraction.outer_box, cells**3), _UNSEEN_RAW, contraction)

    @property
    def contraction(self) -> Contraction:
        """What takes all of space to the lattice."""
        assert self.field.contraction is not None
        return self.field.contraction

    @property
    def whole(self) -> Float[Tensor, "2 3"]:
        """The box of the lattice, contracted frame."""
        return self.contraction.outer_box

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """The box of the object, normalised frame."""
        return self.contraction.inner_box

    def leave_box(self) -> None:
        """Hold nothing in the object's box any more."""
        lattice, (low, high) = self.field.lattice, self.box
        within = torch.ones(lattice.shape, dtype=torch.bool, device=low.device)
        for axis, count in enumerate(lattice.shape):
            middles = lattice.origin[axis] + lattice.edge * (torch.arange(count, device=low.device) + 0.5)
            here = (middles > low[axis]) & (middles < high[axis])
            within &= here.reshape([-1 if i == axis else 1 for i in range(3)])
        if bool((lattice.occupied & ~within).any()):
            self.keep(~within)
            return
        # Nothing is around the object, and a lattice has one cell at the least.
        corner = torch.zeros_like(within)
        corner[0, 0, 0] = True
        nothing = SparseLattice(lattice.origin, float(lattice.edge), corner)
        self._take(ExplicitVoxelField(nothing, _UNSEEN_RAW, contraction=self.contraction))
