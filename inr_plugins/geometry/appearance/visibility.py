"""Which faces and vertices of a mesh some camera sees: what was never photographed is a guess, and can go.

The inner wall of a hollow density, the underside of an object on a table and floaters inside the solid are such
guesses. Seen is whatever a ray from a camera meets first, from either side: an open surface has no inside.

Cameras are asked one by one, and each about 262,144 points at a time: beside the mesh, the caster's copy of it and the
answer, this takes some 100 MB, however many cameras there are and however large their images.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.ray_casting import MeshCaster
from inr_plugins.geometry.levelset.lattice import Progress
from inr_plugins.geometry.mesh import Mesh, select_faces
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.geometry.triangle_scene import TriangleScene

# Points that a camera is asked about at once.
_POINTS_AT_ONCE = 1 << 18


def seen_faces(
    mesh: Mesh,
    views: PinholeViews,
    *,
    longest_side: int = 512,
    rings: int = 2,
    tolerance: float = 1e-4,
    progress: Progress | None = None,
) -> Bool[np.ndarray, " f"]:
    """Whether each face is seen by some camera.

    A camera sees a face when the ray through the centre of one of its pixels meets the face first. Faces smaller than a
    pixel fall between those rays: of the others, a camera also sees those whose centroid projects into its image with
    nothing in between.

    Args:
        mesh: in any frame.
        views: cameras in the same frame.
        longest_side: rays along the longer side of an image; an image with more pixels gets coarser ones.
        rings: how many rings of neighbours of the seen faces count as seen too. Where the surface is seen edge-on, or
            grazes the border of the image, single faces are missed, and dropping them would tear holes.
        tolerance: of what lies between, as a share of the distance to the centroid: rounding, not thickness.
        progress: called with (views done, views in all).

    Raises:
        ValueError: `longest_side` below 1, or `rings` negative.
        InputError: open3d cannot be imported.
    """
    if longest_side < 1 or rings < 0:
        raise ValueError(f"longest_side is {longest_side} and rings {rings}; they must be at least 1 and 0.")
    caster = MeshCaster(mesh)
    seen = np.zeros(len(mesh.faces), dtype=bool)
    for view in range(len(views)):
        width, height = int(views.width[view]), int(views.height[view])
        shrink = min(1.0, longest_side / max(width, height))
        columns, rows = max(1, round(width * shrink)), max(1, round(height * shrink))
        rays = views.directions(view, views.pixel_grid(view, columns=columns, rows=rows))
        first = caster.first_hits(views.origin(view), rays).face
        seen[first[first >= 0]] = True
        (left,) = np.nonzero(~seen)
        for start in range(0, len(left), _POINTS_AT_ONCE):
            some = left[start : start + _POINTS_AT_ONCE]
            centroids = mesh.vertices[mesh.faces[some]].mean(axis=1)
            clear, _ = _clear_sight(caster, views, view, centroids, tolerance=tolerance)
            seen[some[clear]] = True
        if progress is not None:
            progress(view + 1, len(views))
    return _dilated(mesh, seen, rings=rings)


def drop_unseen_faces(
    mesh: Mesh,
    views: PinholeViews,
    *,
    longest_side: int = 512,
    rings: int = 2,
    tolerance: float = 1e-4,
    progress: Progress | None = None,
) -> tuple[Mesh, int]:
    """The mesh without the faces that no camera sees, and how many went. What is left is open where they were.

    Args:
        mesh: as for `seen_faces`, and so are the others.

    Raises:
        ValueError: as `seen_faces`.
        InputError: no camera sees any face, or open3d cannot be imported.
    """
    seen = seen_faces(mesh, views, longest_side=longest_side, rings=rings, tolerance=tolerance, progress=progress)
    if not seen.any():
        raise InputError(
            f"None of the {len(views)} cameras sees the mesh, so that dropping what they do not see would leave "
            "nothing; keep the unseen faces, or check the box and the poses."
        )
    if seen.all():
        return mesh, 0
    return select_faces(mesh, seen), int((~seen).sum())


def visible_vertices(
    mesh: Mesh,
    views: PinholeViews,
    *,
    normals: Float[np.ndarray, "v 3"] | None = None,
    tolerance: float = 1e-4,
) -> Iterator[tuple[int, Int[np.ndarray, " n"], Float[np.ndarray, "n 3"]]]:
    """For each camera, some vertices at a time: its number, those it sees, and unit directions from it to them.

    Nothing is given where a camera sees none.

    Args:
        mesh: in any frame.
        views: cameras in the same frame.
        normals: of the vertices; where given, only vertices that look towards the camera count.
        tolerance: of what lies between, as a share of the distance to the vertex.

    Raises:
        InputError: open3d cannot be imported.
    """
    caster = MeshCaster(mesh)
    for view in range(len(views)):
        for start in range(0, len(mesh.vertices), _POINTS_AT_ONCE):
            asked = np.arange(start, min(start + _POINTS_AT_ONCE, len(mesh.vertices)))
            if normals is not None:
                asked = asked[np.einsum("ij,ij->i", normals[asked], mesh.vertices[asked] - views.origin(view)) < 0]
            clear, sight = _clear_sight(caster, views, view, mesh.vertices[asked], tolerance=tolerance)
            if len(clear):
                yield view, asked[clear], sight / np.linalg.norm(sight, axis=1, keepdims=True)


class PointsSeen:
    """Tells which points of space some camera sees, with a mesh as the only thing that may stand in the way.

    Raises:
        InputError: open3d cannot be imported.
    """

    def __init__(self, mesh: Mesh, views: PinholeViews, *, tolerance: float = 1e-4) -> None:
        """
        Args:
            mesh: that both sides of hide what is behind, in any frame.
            views: cameras in the same frame.
            tolerance: of what lies between, as a share of the distance to the point: rounding, not thickness. Within
                it, the mesh's own points are not hidden by their faces.
        """
        self._scene = TriangleScene(mesh.bounds.mean(axis=0)).add(mesh.vertices, mesh.faces)
        self._views, self._reach = views, 1 - tolerance

    def __call__(self, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Points that project into a camera's image, with nothing between them and the camera."""
        seen = np.zeros(len(points), dtype=bool)
        for start in range(0, len(points), _POINTS_AT_ONCE):
            left = np.arange(start, min(start + _POINTS_AT_ONCE, len(points)))
            for view in range(len(self._views)):
                asked = np.nonzero(self._views.contains(view, points[left]))[0]
                if len(asked) == 0:
                    continue
                origin = self._views.origin(view)
                sight = points[left[asked]] - origin
                clear = asked[~self._scene.blocked(origin, sight, reach=self._reach)]
                seen[left[clear]] = True
                left = np.delete(left, clear)
        return seen


def _clear_sight(
    caster: MeshCaster, views: PinholeViews, view: int, points: Float[np.ndarray, "n 3"], *, tolerance: float
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k 3"]]:
    """Which points of the mesh a camera sees, and the vectors from the camera to them."""
    (inside,) = np.nonzero(views.contains(view, points))
    sight = points[inside] - views.origin(view)
    # The direction ends at the point: what is met before 1 stands in the way, and the point's own face is met at 1.
    clear = caster.first_hits(views.origin(view), sight).distance >= 1 - tolerance
    return inside[clear], sight[clear]


def _dilated(mesh: Mesh, faces: Bool[np.ndarray, " f"], *, rings: int) -> Bool[np.ndarray, " f"]:
    """The chosen faces and `rings` rings of faces around them; faces that share a vertex are neighbours."""
    for _ in range(rings):
        touched = np.zeros(len(mesh.vertices), dtype=bool)
        touched[mesh.faces[faces]] = True
        faces = touched[mesh.faces].any(axis=1)
    return faces
