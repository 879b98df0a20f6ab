"""Moves of the band of cells that holds signed distances: after the surface, and to a finer lattice."""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.voxel_distance import VoxelDistanceField
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, unpack_bits

HALF_WIDTH = 2
"""Cells around those near the surface that are kept on each side."""
_OFFSETS = [offset for offset in product((-1, 0, 1), repeat=3) if any(offset)]


def grown(mask: Bool[Tensor, "x y z"], cells: int) -> Bool[Tensor, "x y z"]:
    """The mask grown by so many cells in every direction, diagonals included, one axis after another."""
    found = mask.to(torch.float32)[None, None]
    for axis in range(3):
        size = [2 * cells + 1 if i == axis else 1 for i in range(3)]
        found = F.max_pool3d(found, size, stride=1, padding=[n // 2 for n in size])
    return found[0, 0] > 0


def near_cells(lattice: SparseLattice, distance: Float[Tensor, " v"]) -> Bool[Tensor, "x y z"]:
    """Cells that the surface crosses, or one of whose corners is less than a cell away from it.

    Args:
        lattice: of the band.
        distance: of its vertices, in cells.
    """
    corners = distance[lattice.corner_rows.long()]
    near = (corners.abs().amin(-1) < 1) | ((corners.amin(-1) < 0) & (corners.amax(-1) > 0))
    flat = torch.zeros(lattice.cell_row.shape, dtype=torch.bool, device=distance.device)
    flat[lattice.cell_row >= 0] = near
    return flat.view(lattice.shape)


@torch.no_grad()
def follow_surface(field: VoxelDistanceField) -> Int[Tensor, " v"] | None:
    """Keep the cells around the surface as it is now, in place.

    A vertex that is new takes the distance of the neighbour that is nearest to the surface, and as many cells more as
    it is away from it, and its key.

    Returns:
        For each row its number before, -1 for a new one; None where the surface is gone, and nothing was changed.
    """
    old = field.lattice
    near = near_cells(old, field.reading().distance)
    if not bool(near.any()):
        return None
    lattice = SparseLattice(old.origin, float(old.edge), grown(near, HALF_WIDTH))
    rows = lattice.rows_in(old)
    known = rows >= 0
    distances = torch.where(known, field.distances[rows.clamp(min=0)], 0.0)
    keys = field.keys[rows.clamp(min=0)]
    solid = field.solid_cells
    _fill(lattice, known, distances, keys, solid)
    field.take(lattice, distances, keys, solid)
    return rows


def _fill(lattice: SparseLattice, known: Tensor, distances: Tensor, keys: Tensor, solid: Bool[Tensor, "x y z"]) -> None:
    """Give rows that are not known values from their neighbours, ring by ring, in place."""
    counts = torch.tensor([n + 1 for n in lattice.shape], device=distances.device)
    row_of = torch.full((int(counts.prod()),), -1, dtype=torch.int64, device=distances.device)
    row_of[lattice.vertex_ids] = torch.arange(lattice.num_rows, device=distances.device)
    known = known.clone()
    for _ in range(4 * HALF_WIDTH):
        missing = (~known).nonzero()[:, 0]
        if len(missing) == 0:
            return
        ids = lattice.vertex_ids[missing]
        ijk = torch.stack([ids // (counts[1] * counts[2]), ids // counts[2] % counts[1], ids % counts[2]], -1)
        best = torch.full((len(missing),), torch.inf, device=distances.device)
        source = torch.full_like(missing, -1)
        for offset in _OFFSETS:
            at = ijk + torch.tensor(offset, device=ids.device)
            inside = ((at >= 0) & (at < counts)).all(-1)
            flat = (at[:, 0] * counts[1] + at[:, 1]) * counts[2] + at[:, 2]
            row = torch.where(inside, row_of[flat.clamp(0, len(row_of) - 1)], -1)
            there = (row >= 0) & known[row.clamp(min=0)]
            way = distances[row.clamp(min=0)].abs() + sum(o * o for o in offset) ** 0.5
            better = there & (way < best)
            best, source = torch.where(better, way, best), torch.where(better, row, source)
        found = source >= 0
        if not bool(found.any()):
            break
        rows, source = missing[found], source[found]
        distances[rows] = torch.where(distances[source] < 0, -best[found], best[found])
        keys[rows] = keys[source]
        known[rows] = True
    lost = (~known).nonzero()[:, 0]
    if len(lost):
        ids = lattice.vertex_ids[lost]
        ijk = torch.stack([ids // (counts[1] * counts[2]), ids // counts[2] % counts[1], ids % counts[2]], -1)
        ijk = torch.minimum(ijk, counts - 2)
        inside = solid[ijk[:, 0], ijk[:, 1], ijk[:, 2]]
        distances[lost] = torch.where(inside, -1.0, 1.0) * (HALF_WIDTH + 1)


@torch.no_grad()
def refine(field: VoxelDistanceField, longest: int) -> bool:
    """Hold the same surface and colours on a finer lattice over the surface's own box, in place.

    Args:
        field: what is refined.
        longest: cells along the longest side.

    Returns:
        Whether it was; not where the surface is gone.
    """
    old, reading = field.lattice, field.reading()
    near = near_cells(old, reading.distance)
    if not bool(near.any()):
        return False
    ijk = near.nonzero()
    pad = HALF_WIDTH + 1
    low = (ijk.amin(0) - pad).clamp(min=0)
    high = torch.minimum(ijk.amax(0) + 1 + pad, old.cells.to(ijk))
    box = torch.stack([old.origin + old.edge * low, old.origin + old.edge * high])
    size = box[1] - box[0]
    edge = float(size.max()) / longest
    if edge >= float(old.edge):
        return True
    rough = old.refined(box, round(float(size.double().prod()) / edge**3), grown(near, 1))
    scale = float(old.edge / rough.edge)
    distances = scale * old.read(reading.distance[:, None], rough.vertices(), empty=torch.inf)[:, 0]
    # Vertices outside of the old band are farther away than the new band is wide.
    finer = grown(near_cells(rough, distances), HALF_WIDTH) & rough.occupied
    if not bool(finer.any()):
        # A speck that lay at a vertex of the old lattice, and between those of the new one.
        return False
    lattice = SparseLattice(rough.origin, float(rough.edge), finer)
    rows = lattice.rows_in(rough)
    distances = distances[rows]
    keys = old.read(field.keys, lattice.vertices())
    known = distances.isfinite()
    solid = _resampled(field.solid_cells, old, lattice)
    distances = torch.where(known, distances, 0.0)
    _fill(lattice, known, distances, keys, solid)
    field.take(lattice, distances, keys, solid)
    return True


def _resampled(mask: Bool[Tensor, "x y z"], old: SparseLattice, new: SparseLattice) -> Bool[Tensor, "u v w"]:
    """A mask of cells on another lattice, by the middles of its cells; False outside of the old one."""
    for axis, (count, limit) in enumerate(zip(new.shape, old.shape, strict=True)):
        middles = new.origin[axis] + new.edge * (torch.arange(count, device=mask.device) + 0.5)
        index = ((middles - old.origin[axis]) / old.edge).floor().long()
        inside = (index >= 0) & (index < limit)
        mask = mask.index_select(axis, index.clamp(0, limit - 1))
        mask = mask & inside.reshape([-1 if i == axis else 1 for i in range(3)])
    return mask


def solid_of_state(state: dict[str, Tensor], prefix: str, shape: tuple[int, int, int]) -> Bool[Tensor, "x y z"]:
    """The solid cells that a state_dict holds."""
    return unpack_bits(state[prefix + "solid"], shape)
