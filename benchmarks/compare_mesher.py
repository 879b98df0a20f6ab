"""Meshing a signed distance coarse to fine: our blocks beside libigl's octree and sparse marching cubes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mesh import BOX, analytic_sdf
from side_by_side import Cost, in_own_process, median_of, with_peak

NEEDS = "igl"
COLUMNS = ["field", "cells", "way", "wall s", "cpu s", "peak MiB", "points asked", "faces", "open edges", "largest |f|"]
_AT_ONCE = 1 << 18
Field = Callable[[np.ndarray], np.ndarray]


class _Counted:
    """A field that counts its points."""

    def __init__(self, field: Field) -> None:
        self.field, self.points = field, 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        self.points += len(points)
        return self.field(points)


def make_field(name: str, data: Path) -> Field:
    """The closed form of benchmarks/mesh.py, or the distance to a mesh, in the box from -1 to 1."""
    if name == "closed form":
        return analytic_sdf
    from inr_plugins.geometry.distance.signed_distance import MeshDistance
    from inr_plugins.geometry.io.mesh_read import read_mesh

    return MeshDistance(read_mesh(data / f"meshes/{name}.ply"))


def by_blocks(field: Field, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Ours."""
    from inr_plugins.geometry.levelset.block_lattice import ByDistance
    from inr_plugins.geometry.levelset.lattice import Lattice
    from inr_plugins.geometry.levelset.sparse_isosurface import extract_sparse_isosurface

    lattice = Lattice.for_box(BOX, resolution=cells + 1)
    found = extract_sparse_isosurface(field, lattice, choice=ByDistance(1.0), level=0.0, inside="below")
    return found.mesh.vertices, found.mesh.faces


def by_octree(field: Field, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """libigl's: the cells that a distance cannot rule out, their corners, and marching cubes of them."""
    igl = importlib.import_module(NEEDS)

    origin, side, depth = BOX[0], float(BOX[1, 0] - BOX[0, 0]), int(np.log2(cells))
    leaves = igl.lipschitz_octree(origin, side, depth, lambda p: np.abs(np.asarray(field(p), dtype=np.float64)))
    _, corners, places = igl.unique_sparse_voxel_corners(origin, side, depth, leaves)
    vertices, faces, _ = igl.marching_cubes(np.asarray(field(places), dtype=np.float64), places, corners, 0.0)
    return vertices, faces


WAYS = {"ours": by_blocks, "igl": by_octree}


def run(way: str, field_name: str, cells: int, data: Path) -> list[Any]:
    """One mesh, in this process: its costs, and what it is like."""
    field = make_field(field_name, data)
    # What has to be loaded is.
    WAYS[way](field, 16)
    counted = _Counted(field)
    (vertices, faces), cost, peak = with_peak(lambda: WAYS[way](counted, cells))
    off = max(float(np.abs(field(part)).max()) for part in np.array_split(vertices, 1 + len(vertices) // _AT_ONCE))
    return [tuple(cost), peak, counted.points, len(faces), open_edges(faces), off]


def open_edges(faces: np.ndarray) -> int:
    """Edges that are not run along as often one way as the other."""
    start, end = faces.reshape(-1).astype(np.int64), np.roll(faces, -1, axis=1).reshape(-1).astype(np.int64)
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, edge = np.unique(low * (faces.max() + 1) + high, return_inverse=True)
    return int(np.count_nonzero(np.bincount(edge.reshape(-1), weights=np.where(start < end, 1.0, -1.0))))


def compare(field: str, cells: int, data: Path, rounds: int) -> list[list[Any]]:
    """Rows of one field; each mesh is made by a process of its own."""
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(in_own_process(run, way, field, cells, data))
    rows = []
    for way, runs in found.items():
        if any(isinstance(each, str) for each in runs):
            rows.append([field, cells, way, next(each for each in runs if isinstance(each, str))])
            continue
        cost = median_of([Cost(*each[0]) for each in runs])
        rows.append([field, cells, way, *cost, float(np.median([each[1] for each in runs])), *runs[-1][2:]])
    return rows


def cases(data: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared."""
    asked = [("closed form", 256), ("closed form", 512), ("armadillo", 256), ("kitten", 256)]
    return {f"{field}, {cells}^3": (compare, field, cells, data) for field, cells in asked}


if __name__ == "__main__":
    print(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
