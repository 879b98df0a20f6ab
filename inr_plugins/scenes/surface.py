"""What the ray caster draws: one triangle mesh, corner normals, and a material for each part of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.geometry.distinct_rows import distinct_rows
from inr_plugins.scenes.textures import Plain, SurfacePoints, Texture

_SMOOTHED_VALENCE = 256
_CORNERS_AT_ONCE = 1 << 17
_DULL_GREY = Plain((0.6, 0.6, 0.6))


@dataclass(frozen=True)
class Material:
    """How a part looks: its texture (linear RGB), GGX roughness in (0, 1], and whether it is a metal.

    `reflectance` is the mirror reflection at normal incidence of a non-metal; a metal reflects its texture's colour.
    """

    texture: Texture = _DULL_GREY
    roughness: float = 0.5
    reflectance: float = 0.04
    metal: bool = False


@dataclass(frozen=True)
class SceneMesh:
    """A mesh with materials, in the frame it was modelled in.

    Args:
        vertices: positions, in the source's units.
        faces: indices of the three corners, counter-clockwise seen from outside.
        face_material: index into `materials`.
        materials: one for each part.
        corner_normals: unit normals at the three corners of each face; filled in by `with_normals`.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    face_material: Int[np.ndarray, " f"]
    materials: tuple[Material, ...]
    corner_normals: Float[np.ndarray, "f 3 3"] = field(default_factory=lambda: np.zeros((0, 3, 3)))

    def albedo(self, surface: SurfacePoints) -> Float[np.ndarray, "n 3"]:
        """Linear RGB reflectance at points of the surface, each from its own part's texture."""
        out = np.empty(surface.position.shape, dtype=np.float32)
        part = self.face_material[surface.face]
        for index in np.flatnonzero(np.bincount(part)):
            mine = np.flatnonzero(part == index)
            some = SurfacePoints(surface.position[mine], surface.face[mine], surface.barycentric[mine])
            out[mine] = self.materials[index].texture(some)
        return out

    def vertex_colours(self) -> Float[np.ndarray, "v 3"]:
        """Linear RGB at each vertex; where parts meet, the colour of the last part that uses the vertex."""
        face = np.zeros(len(self.vertices), dtype=np.int64)
        corner = np.zeros(len(self.vertices), dtype=np.int64)
        for k in range(3):
            face[self.faces[:, k]] = np.arange(len(self.faces))
            corner[self.faces[:, k]] = k
        return self.albedo(SurfacePoints(self.vertices.astype(np.float32), face, np.eye(3, dtype=np.float32)[corner]))


def with_normals(mesh: SceneMesh, crease_angle: float) -> SceneMesh:
    """The mesh with corner normals that are smooth across edges flatter than `crease_angle` (degrees).

    A corner's normal is the area-weighted mean over the faces around that *position* whose own normals are within the
    angle of this face's. So a sphere looks round, a box keeps its edges, and split vertices (STL, texture seams) do
    not show.
    """
    triangle = mesh.vertices[mesh.faces]
    weighted = np.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0])
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-30)

    _, place = distinct_rows(mesh.vertices)
    corner_place = place[mesh.faces].reshape(-1)
    order = np.argsort(corner_place, kind="stable")
    counts = np.bincount(corner_place)
    starts = np.cumsum(counts) - counts
    total = np.repeat(weighted * 1e-12, 3, axis=0)  # a corner with no neighbour keeps its own face's normal
    # Every corner meets all corners at its place, valence ** 2 pairs: a few corners at once, and hubs of very large
    # fans stay flat.
    smooth = np.flatnonzero(counts[corner_place] <= _SMOOTHED_VALENCE)
    for some in np.array_split(smooth, len(smooth) // _CORNERS_AT_ONCE + 1):
        repeat = counts[corner_place[some]]
        here = np.repeat(np.arange(len(some)), repeat)
        step = np.arange(len(here)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
        there = order[starts[corner_place[some[here]]] + step] // 3
        alike = np.einsum("ij,ij->i", unit[some[here] // 3], unit[there]) >= np.cos(np.radians(crease_angle))
        for axis in range(3):
            weights = weighted[there[alike], axis]
            total[some, axis] += np.bincount(here[alike], weights=weights, minlength=len(some))
    normals = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)
    return SceneMesh(mesh.vertices, mesh.faces, mesh.face_material, mesh.materials, normals.reshape(-1, 3, 3))
