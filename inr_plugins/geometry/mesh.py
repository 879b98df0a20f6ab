"""Triangle meshes as plain arrays: what they measure, how they move between frames, how they become open3d's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.frames import Similarity

if TYPE_CHECKING:
    import open3d


@dataclass(frozen=True)
class Mesh:
    """Triangles over shared vertices. Corners run anticlockwise seen from outside, in a right-handed frame.

    Attributes:
        vertices: positions, in the frame and units the maker says.
        faces: indices of each triangle's corners.
        normals: outward unit normals of the vertices, or None.
        colours: sRGB in [0, 1] of the vertices, or None.
        observed: how much of each vertex points speak of, from 0 (none is near, the surface is made up) to 1, or None.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    normals: Float[np.ndarray, "v 3"] | None = None
    colours: Float[np.ndarray, "v 3"] | None = None
    observed: Float[np.ndarray, " v"] | None = None

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest corner of the axis-aligned box around the vertices."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])


def transform_mesh(mesh: Mesh, similarity: Similarity) -> Mesh:
    """The mesh moved by a similarity; when that mirrors, corners are reordered so that faces still look outward."""
    return replace(
        mesh,
        vertices=similarity.points(mesh.vertices),
        faces=mesh.faces[:, ::-1] if similarity.mirrors else mesh.faces,
        normals=None if mesh.normals is None else similarity.directions(mesh.normals),
    )


def face_normals(mesh: Mesh) -> Float[np.ndarray, "f 3"]:
    """Outward normals whose length is *twice* the face's area: (b - a) x (c - a)."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(mesh: Mesh) -> Float[np.ndarray, "v 3"]:
    """Outward unit normals: the area-weighted mean over the faces at each vertex.

    A vertex whose faces cancel or have no area gets +z, so that every normal has length 1.
    """
    normals = np.zeros_like(mesh.vertices)
    weighted = face_normals(mesh)
    for corner in mesh.faces.T:
        for axis in range(3):
            normals[:, axis] += np.bincount(corner, weights=weighted[:, axis], minlength=len(normals))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0, normals / np.where(length > 0, length, 1.0), np.array([0.0, 0.0, 1.0]))


def surface_area(mesh: Mesh) -> float:
    """Total area, in squared units of the vertices."""
    return float(np.linalg.norm(face_normals(mesh), axis=1).sum() / 2)


def signed_volume(mesh: Mesh) -> float:
    """Enclosed volume in cubed units, positive when faces look outward; means nothing for an open mesh.

    The sum of the tetrahedra (centre, a, b, c), a.(b x c) / 6 (divergence theorem). Measured from the middle of the
    mesh, since far from the origin the terms are large and cancel.
    """
    centred = mesh.vertices - mesh.bounds.mean(axis=0)
    a, b, c = (centred[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def is_watertight(mesh: Mesh) -> bool:
    """True when every edge joins exactly two faces that run along it in opposite directions."""
    start = mesh.faces.reshape(-1)
    end = np.roll(mesh.faces, -1, axis=1).reshape(-1)
    count = len(mesh.vertices)
    forward, backward = np.sort(start * count + end), np.sort(end * count + start)
    return bool(len(start) and (np.diff(forward) > 0).all() and (forward == backward).all())


def select_faces(mesh: Mesh, keep: Bool[np.ndarray, " f"]) -> Mesh:
    """The mesh of the chosen faces, with only the vertices they use."""
    faces = mesh.faces if keep.all() else mesh.faces[keep]
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[faces] = True
    if used.all():
        return replace(mesh, faces=faces)
    renumbered = np.cumsum(used) - 1
    return Mesh(
        vertices=mesh.vertices[used],
        faces=renumbered[faces],
        normals=None if mesh.normals is None else mesh.normals[used],
        colours=None if mesh.colours is None else mesh.colours[used],
    )


def to_open3d(mesh: Mesh) -> open3d.geometry.TriangleMesh:
    """open3d's TriangleMesh with the same vertices, faces, normals and colours.

    Raises:
        InputError: open3d cannot be imported.
    """
    from inr_plugins.geometry.open3d_import import import_open3d

    o3d = import_open3d()
    result = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(mesh.vertices), o3d.utility.Vector3iVector(mesh.faces.astype(np.int32))
    )
    if mesh.normals is not None:
        result.vertex_normals = o3d.utility.Vector3dVector(mesh.normals)
    if mesh.colours is not None:
        result.vertex_colors = o3d.utility.Vector3dVector(mesh.colours)
    return result


def from_open3d(mesh: open3d.geometry.TriangleMesh) -> Mesh:
    """Our mesh from open3d's TriangleMesh."""
    return Mesh(
        vertices=np.asarray(mesh.vertices, dtype=np.float64).copy(),
        faces=np.asarray(mesh.triangles, dtype=np.int64).copy(),
        normals=np.asarray(mesh.vertex_normals).copy() if mesh.has_vertex_normals() else None,
        colours=np.asarray(mesh.vertex_colors).copy() if mesh.has_vertex_colors() else None,
    )
