"""Colours that a surface's keys start with: those of a density that was learnt before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.refinement import fit_keys
from inr_plugins.fields.voxel_distance import VoxelDistanceField

Colours = Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]
"""Logits of RGB at points of the normalised frame."""

_LEAST = 1e-4
"""Optical depth of a vertex whose colour counts as well: where nothing else is held, its colour is better than none."""


def start_colours(field: VoxelDistanceField, logits: Float[Tensor, "v 3"], *, steps: int) -> None:
    """Give the keys and the network of a field, at its vertices, colours that depend neither on view nor on normal."""
    normals = F.normalize(field.reading().gradient.detach(), dim=-1)

    def entry(rows: Tensor) -> Tensor:
        return torch.cat([field.keys.detach()[rows], normals[rows]], -1)

    for _ in fit_keys(field.keys, field.network, logits, entry, steps=steps):
        pass


def colours_of(field: ExplicitVoxelField) -> Colours:
    """The colours of a density, each vertex's by how much light it stops: what stops none has not learnt a colour."""
    depth = F.softplus(field.density_table.detach()) + _LEAST
    table = torch.cat([depth, depth * field.colour_table.detach()], -1)
    common = table.mean(0)

    @torch.no_grad()
    def colours(x: Tensor) -> Tensor:
        found = field.lattice.read(table, field.in_lattice(x))
        found = torch.where(found[:, :1] > 0, found, common)
        return found[:, 1:] / found[:, :1]

    return colours
