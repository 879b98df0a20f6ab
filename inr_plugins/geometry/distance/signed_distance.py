"""The signed distance to a mesh, whole or broken, by open3d's RaycastingScene (Embree) on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from inr_plugins.errors import InputError
from inr_plugins.geometry.distance.pseudonormals import Pseudonormals
from inr_plugins.geometry.distance.space_order import space_order
from inr_plugins.geometry.distance.winding import WindingNumber
from inr_plugins.geometry.mesh import Mesh, face_normals, select_faces
from inr_plugins.geometry.repair.solid import MOST_OPEN_EDGES, Solid, solid_of
from inr_plugins.geometry.triangle_scene import TriangleScene

Sign = Literal["winding", "parity", "normals", "unsigned"]

# open3d keeps Python's lock while it works: other threads get on between the chunks.
_POINTS_AT_ONCE = 1 << 12
# Rays that vote on parity.
_VOTES = 3


class _Nearest(NamedTuple):
    """Some of the points, by their numbers, measured from the mesh's middle, and what is nearest to them."""

    part: Int[np.ndarray, " n"]
    points: Float32[np.ndarray, "n 3"]
    offset: Float32[np.ndarray, "n 3"]
    face: Int[np.ndarray, " n"]
    barycentric: Float32[np.ndarray, "n 3"]


class MeshDistance:
    """The distance to a mesh, negative inside, in the units and the frame of its vertices.

    Distances are those to the triangles, in float32: good to about 1e-7 of the mesh's size. Before anything is measured
    the mesh is made a solid by `repair.solid.solid_of`, so that faces that look the wrong way, twofold faces and parts
    that are inside out do no harm.

    What is inside is said in one of four ways:

    - "winding": where the winding number is above one half. For closed meshes, also such as cut or enclose
      themselves, and for open ones, whose holes are closed as by a film. The number is counted along a ray, and
      the side of the nearest face confirms it; where they disagree three rays vote. Distances are those to the solid's
      surface: faces of one part that lie in another do not count.
    - "parity": where rays meet the mesh an odd number of times, by the vote of three. For closed meshes whose faces do
      not know in from out; where two solids overlap it says outside.
    - "normals": where the nearest face, edge or vertex looks away. The fastest; for closed meshes that do not cut
      themselves, and for sheets, which it gives two sides.
    - "unsigned": nowhere; distances are positive.

    Args:
        mesh: in any frame; at least one face must have an area. Or the solid that `solid_of` made of it.
        sign: what is inside.

    Attributes:
        solid: the solid.
        mesh: all its faces, looking outward.
        sign: as given.
        open_edges: number of edges where the surface ends, or three or more faces meet that do not fit; 0 for a closed
            mesh.

    Raises:
        ValueError: an unknown `sign`.
        InputError: no face with an area, more than 20,000 open edges and a sign by winding number, or open3d cannot be
            imported.
    """

    def __init__(self, mesh: Mesh | Solid, sign: Sign = "winding") -> None:
        if sign not in get_args(Sign):
            raise ValueError(f"sign is {sign!r}; it must be one of {', '.join(get_args(Sign))}.")
        self.solid = solid_of(mesh) if isinstance(mesh, Mesh) else mesh
        self.sign = sign
        self.mesh = self.solid.mesh
        self.open_edges = self.solid.open_edges
        if sign == "winding" and self.open_edges > MOST_OPEN_EDGES:
            raise InputError(
                f"The mesh has {self.open_edges} open edges on {len(self.mesh.faces)} faces, too many for a sign by "
                "winding number; join its triangles, or choose the sign normals or unsigned."
            )
        self._middle = self.mesh.bounds.mean(axis=0)
        # Only the winding number tells inner faces.
        surface = _with_area(self.solid.surface if sign == "winding" else self.mesh)
        centred = Mesh(vertices=surface.vertices - self._middle, faces=surface.faces)
        self._normals = Pseudonormals(centred)
        self._winding = None
        if sign == "winding":
            whole = Mesh(vertices=self.mesh.vertices - self._middle, faces=self.mesh.faces)
            self._winding = WindingNumber(whole, self.solid.cones.moved(-self._middle), self.solid.part)
        self._scene = TriangleScene(np.zeros(3, dtype=np.float32)).add(centred.vertices, centred.faces)

    def __call__(self, points: Float[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
        """Signed distances of points in the mesh's frame."""
        distance = np.empty(len(points), dtype=np.float32)
        for nearest in self._nearest(points):
            length = np.linalg.norm(nearest.offset, axis=1)
            distance[nearest.part] = np.where(self._inside(nearest), -length, length)
        return distance

    def closest(self, points: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """The points of the mesh nearest to points, in its frame, and the outward unit normals of their faces."""
        found, normals = np.empty((len(points), 3)), np.empty((len(points), 3))
        for nearest in self._nearest(points):
            found[nearest.part] = (nearest.points - nearest.offset) + self._middle
            normals[nearest.part] = self._normals.faces[nearest.face]
        return found, normals

    def _nearest(self, points: Float[np.ndarray, "n 3"]) -> Iterator[_Nearest]:
        order = space_order(points)
        for start in range(0, len(points), _POINTS_AT_ONCE):
            part = order[start : start + _POINTS_AT_ONCE]
            chunk = np.ascontiguousarray(points[part] - self._middle, dtype=np.float32)
            found = self._scene.nearest(chunk)
            yield _Nearest(
                part=part,
                points=chunk,
                offset=chunk - found.points,
                face=found.face,
                barycentric=found.barycentric,
            )

    def _inside(self, nearest: _Nearest) -> Bool[np.ndarray, " n"]:
        if self.sign == "unsigned":
            return np.zeros(len(nearest.points), dtype=bool)
        if self.sign == "parity":
            return self._scene.inside_by_parity(nearest.points, votes=_VOTES)
        behind = self._normals.side(nearest.offset, nearest.face, nearest.barycentric) < 0
        return behind if self._winding is None else self._winding.inside(nearest.points, behind)


def _with_area(mesh: Mesh) -> Mesh:
    """The mesh without faces that are lines: what they cover, their neighbours do."""
    solid = np.linalg.norm(face_normals(mesh), axis=1) > 0
    if not solid.any():
        raise InputError(f"None of the {len(mesh.faces)} faces of the mesh has an area; give a mesh with a surface.")
    return mesh if solid.all() else select_faces(mesh, solid)
