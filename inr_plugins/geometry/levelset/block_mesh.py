"""Marching cubes block by block, into pieces that join without seams.

Which cells hold triangles, and which corners these join, depends on signs alone: PyMCubes meshes the signs of one block
at a time, where every vertex comes out at the middle of its lattice edge and so names that edge exactly. The edge's
number in the whole lattice is the vertex's identity, whichever blocks it was met in; its place is interpolated from the
values at the edge's two ends afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.levelset.block_lattice import BlockLattice
from inr_plugins.geometry.mesh import Mesh

# Identity of a vertex: 4 * lattice point + axis of the edge that starts there, or + 3 for the point itself.
_AT_POINT = 3


@dataclass(frozen=True)
class Piece:
    """Triangles of one layer of blocks: corners as vertex identities, and where the vertices lie.

    Attributes:
        faces: identities of the corners.
        keys: the identities in them, ascending.
        index: place of each in lattice indices, without the rim.
    """

    faces: Int[np.ndarray, "f 3"]
    keys: Int[np.ndarray, " v"]
    index: Float[np.ndarray, "v 3"]


def mesh_layer(
    values: Float[np.ndarray, "planes ny nz"],
    blocks: BlockLattice,
    active: Bool[np.ndarray, "by bz"],
    i: int,
    reached: Bool[np.ndarray, "bx by bz"],
) -> Piece | None:
    """The triangles of the active blocks of layer i, None when there are none.

    Args:
        values: of the layer's lattice points with the rim, positive in the solid; more points at the ends of y and z
            are not read.
        blocks: the blocks.
        active: which of the layer's blocks to mesh; no value outside of them is read.
        i: number of the layer along x.
        reached: gets True for every block that shares a lattice face with a meshed one which the surface crosses.
    """
    edges, faces = _mesh_signs(values, blocks, active, i, reached)
    return _identify(values, blocks, i, edges, faces) if len(faces) else None


def _mesh_signs(
    values: Float[np.ndarray, "planes ny nz"],
    blocks: BlockLattice,
    active: Bool[np.ndarray, "by bz"],
    i: int,
    reached: Bool[np.ndarray, "bx by bz"],
) -> tuple[Int[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """Marching cubes on the signs of each active block of layer i; marks in `reached` where the surface goes on.

    Returns:
        Twice the middles of the crossed lattice edges, counted within the layer, and the triangles between them;
        edges on the faces between blocks appear once a block.
    """
    import mcubes

    cells = blocks.cells
    planes, ny, nz = min(cells + 1, blocks.points[0] - i * cells), *blocks.points[1:]
    edges, faces, count = [np.empty((0, 3), dtype=np.int64)], [np.empty((0, 3), dtype=np.int64)], 0
    for j, k in np.argwhere(active).tolist():
        y, z = j * cells, k * cells
        solid = values[:planes, y : min(y + cells + 1, ny), z : min(z + cells + 1, nz)] > 0
        if solid.all() or not solid.any():
            continue
        middles, triangles = mcubes.marching_cubes(solid, 0.5)
        block = (i, j, k)
        for axis, (low, high) in enumerate(zip(middles.min(axis=0), middles.max(axis=0), strict=True)):
            for step, touches in ((-1, low == 0), (1, high == solid.shape[axis] - 1)):
                neighbour = tuple(n + step * (a == axis) for a, n in enumerate(block))
                if touches and 0 <= neighbour[axis] < blocks.shape[axis]:
                    reached[neighbour] = True
        edges.append((2 * middles).astype(np.int64) + np.array([0, 2 * y, 2 * z]))
        faces.append(triangles.astype(np.int64) + count)
        count += len(middles)
    return np.concatenate(edges), np.concatenate(faces)


def _identify(
    values: Float[np.ndarray, "planes ny nz"],
    blocks: BlockLattice,
    i: int,
    edges: Int[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
) -> Piece:
    """Identities and places of the vertices on these edges of layer i (as `_mesh_signs` gives them).

    An edge into the rim is where a cap begins: its vertex lies at the edge's end in the box, in the box's face, and
    is the same for all such edges of that point. Caps of two faces of the box meet so, and the slivers between them,
    whose corners are now the same vertex, go.
    """
    rows = np.arange(len(edges))
    low = edges // 2
    axis = (edges % 2).argmax(axis=1)
    high = low.copy()
    high[rows, axis] += 1
    f_low, f_high = (values[tuple(end.T)].astype(np.float64) for end in (low, high))
    offset = np.array([i * blocks.cells, 0, 0])
    low, high = low + offset, high + offset
    start = low[rows, axis].astype(np.float64)
    # PyMCubes walks some edges downwards; the last bit of the place depends on it.
    downwards = ((axis == 0) & (low[:, 1] > 0)) | ((axis == 1) & (low[:, 0] == 0))
    place = np.where(downwards, f_high / (f_low - f_high) + (start + 1), -f_low / (f_high - f_low) + start)
    index = low.astype(np.float64)
    index[rows, axis] = place
    last = np.array(blocks.points) - 1
    point, kind = low, axis
    if blocks.rim:
        low_beyond = ((low == 0) | (low == last)).any(axis=1)
        high_beyond = ((high == 0) | (high == last)).any(axis=1)
        at_point = low_beyond | high_beyond
        point = np.where(low_beyond[:, None], high, low)
        kind = np.where(at_point, _AT_POINT, axis)
        index[at_point] = point[at_point]
    keys = 4 * np.ravel_multi_index(tuple(point.T), blocks.points).astype(np.int64) + kind
    corners = keys[faces]
    a, b, c = corners.T
    corners = corners[(a != b) & (b != c) & (c != a)]
    unique, first = np.unique(keys, return_index=True)
    used = np.unique(corners)
    return Piece(faces=corners, keys=used, index=index[first[np.searchsorted(unique, used)]] - blocks.rim)


def join(pieces: list[Piece], blocks: BlockLattice) -> Mesh:
    """One mesh of all pieces, one vertex an identity."""
    keys, first = np.unique(np.concatenate([piece.keys for piece in pieces]), return_index=True)
    index = np.concatenate([piece.index for piece in pieces])[first]
    faces = np.searchsorted(keys, np.concatenate([piece.faces for piece in pieces]))
    return Mesh(vertices=blocks.lattice.positions(index), faces=faces.astype(np.int64))
