"""Moves from one voxel field to the next: a finer explicit one, a table of keys, fewer rows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor, nn

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.voxel_density import VoxelField
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.precision import Precision
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.networks.voxels.spherical_harmonics import NUM_COEFFICIENTS, spherical_harmonics


def refine_explicit(field: ExplicitVoxelField, lattice: SparseLattice) -> ExplicitVoxelField:
    """The same explicit field resampled on another lattice."""
    return ExplicitVoxelField(lattice, field.initial_raw(lattice), field.initial_logits(lattice), field.contraction)


def explicit_to_keys(
    field: ExplicitVoxelField,
    lattice: SparseLattice,
    *,
    key_width: int,
    network: CoordinateNetworkConfig,
    precision: Precision,
    compiled: bool,
    sparse_grad: bool,
) -> VoxelSHField:
    """A field of keys on a finer lattice that starts with an explicit field's density; its colours know nothing yet."""
    return VoxelSHField(
        lattice,
        field.initial_raw(lattice),
        key_width=key_width,
        network=network,
        precision=precision,
        compiled=compiled,
        sparse_grad=sparse_grad,
        contraction=field.contraction,
    )


def fit_colours(
    field: VoxelSHField,
    target: ExplicitVoxelField,
    *,
    steps: int,
    batch: int = 1 << 16,
    key_lr: float = 0.01,
    network_lr: float = 3e-3,
) -> Iterator[float]:
    """Fit keys and network to an explicit field's colours, without any ray: the constant coefficient of each channel is
    regressed on the colour logit at the vertex, the other coefficients on zero.

    Keys and weights start as ever; this only replaces the first steps of training, in which every vertex would learn
    its mean colour through rendered pixels, at a much higher price.

    Yields:
        The loss of each step.
    """
    constant = float(spherical_harmonics(torch.tensor([[0.0, 0.0, 1.0]]))[0, 0])
    logits = target.initial_logits(field.lattice).clamp(-6, 6) / constant
    rows_of = field.lattice.num_rows
    keys = [field.table.keys]
    optimizers = [torch.optim.SparseAdam(keys, lr=key_lr), torch.optim.Adam(field.network_parameters(), lr=network_lr)]
    sparse, field.sparse_grad = field.sparse_grad, True
    for _ in range(steps):
        rows = torch.randint(0, rows_of, (min(batch, rows_of),), device=logits.device).unique()
        wanted = torch.zeros(len(rows), 3, NUM_COEFFICIENTS, device=logits.device)
        wanted[:, :, 0] = logits[rows]
        loss = (field.coefficients(rows).view_as(wanted) - wanted).square().mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        yield float(loss.detach())
    for optimizer in optimizers:
        optimizer.zero_grad()
    field.sparse_grad = sparse


def drop_rows(field: VoxelField, lattice: SparseLattice) -> Int[Tensor, " v"]:
    """Give a field fewer rows, in place: those of a lattice whose occupied cells are among its own.

    Returns:
        For each row kept, its number before. All tables are new parameters: their optimizers must be rebuilt.

    Raises:
        ValueError: the lattice has a vertex that the field has not.
    """
    kept = lattice.rows_in(field.lattice)
    if bool((kept < 0).any()):
        raise ValueError("the new lattice has vertices that the field does not hold")
    field.lattice = lattice
    for owner, name in field.tables():
        setattr(owner, name, nn.Parameter(getattr(owner, name).detach()[kept]))
    return kept
