"""Moves from one voxel field to the next: a finer explicit one, a table of keys, fewer rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.voxel_density import VoxelField
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.precision import Precision
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.networks.voxels.spherical_harmonics import NUM_COEFFICIENTS, spherical_harmonics

_LARGEST_LOGIT = 6.0
"""Of a colour that keys start from: what is darker or brighter has hardly a gradient left."""


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
    batch: int = 1 << 12,
    lr: float = 0.01,
    spread: float = 2.0,
) -> Iterator[float]:
    """Start keys and network from an explicit field's colours, without any ray; see `fit_keys`.

    Args:
        field: whose keys and network are set.
        target: has the colours.
        steps: of the network's.
        batch: see `fit_keys`.
        lr: see `fit_keys`.
        spread: see `fit_keys`.

    Yields:
        The loss of each step.
    """
    logits, keys = target.initial_logits(field.lattice), field.table.keys
    return fit_keys(
        *(keys, field.network, logits, lambda rows: keys.detach()[rows]), steps=steps, batch=batch, lr=lr, spread=spread
    )


def fit_keys(
    keys: nn.Parameter,
    network: nn.Module,
    logits: Float[Tensor, "v 3"],
    entry: Callable[[Int[Tensor, " b"]], Float[Tensor, "b width"]],
    *,
    steps: int,
    batch: int = 1 << 12,
    lr: float = 0.01,
    spread: float = 2.0,
) -> Iterator[float]:
    """Start keys and network from colours: the constant coefficient of each channel is the colour logit at the vertex,
    the other coefficients are zero.

    Keys are laid out first: what they start from, plus the vertex's three logits along random directions at right
    angles to one another. Then a key is a function of the colour, the same one for all vertices, and the network
    learns its inverse from a few of them. To learn the keys as well would take dozens of steps for each of a million.

    Args:
        keys: of all vertices; set.
        network: from an entry to 27 coefficients; set.
        logits: colour logits of all vertices.
        entry: what the network gets for some vertices, by row: their keys as they are now, and what else there is.
        steps: of the network's.
        batch: vertices in a step.
        lr: the network's first rate, which falls to a hundredth.
        spread: standard deviation of keys along that in which they differ most.

    Yields:
        The loss of each step.
    """
    constant = float(spherical_harmonics(torch.tensor([[0.0, 0.0, 1.0]]))[0, 0])
    logits = logits.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT)
    with torch.no_grad():
        keys.add_(spread * principal(logits) @ _directions(logits.shape[1], keys.shape[1]).to(keys))
    wanted = logits / constant
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / max(steps, 1)))
    was_training = network.training
    network.train()
    for _ in range(steps):
        rows = torch.randint(0, len(wanted), (min(batch, len(wanted)),), device=wanted.device)
        found = network(entry(rows)).float().view(len(rows), 3, NUM_COEFFICIENTS)
        loss = (found[..., 0] - wanted[rows]).square().mean() + found[..., 1:].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        yield float(loss.detach())
    optimizer.zero_grad()
    network.train(was_training)


def principal(values: Float[Tensor, "v c"]) -> Float[Tensor, "v c"]:
    """Values turned to their principal axes, that along which they differ most first, less their mean and scaled so
    that their standard deviation along it is one."""
    centred = values - values.mean(0)
    variance, axes = torch.linalg.eigh(centred.double().T @ centred.double() / len(centred))
    return centred @ (axes.flip(-1) * variance[-1].clamp(min=1e-12).rsqrt()).to(centred)


def _directions(count: int, width: int) -> Float[Tensor, "count width"]:
    """Random directions at right angles to one another; where there are more than dimensions, zero for the last."""
    square = torch.linalg.qr(torch.randn(width, width))[0]
    found = torch.zeros(count, width)
    found[: min(count, width)] = square[: min(count, width)]
    return found


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
