"""Inside or outside of a mesh by its winding number, also where it has holes, doubled sheets or cuts itself.

The winding number of a mesh around a point is the solid angle that its faces cover as seen from there, over 4 pi: 1
inside a closed mesh, 0 outside, and in between near a hole (Jacobson et al. 2013). It is had exactly: closed with cones
over its rims, the mesh has a whole winding number, which one ray counts; what the cones cover is taken off again.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.open3d_import import import_open3d
from inr_plugins.geometry.orientation import Cones

# Directions of the rays: along no edge or face that a file is likely to have.
_DIRECTIONS = np.array(
    [[0.5377, 0.4831, 0.6911], [-0.6113, 0.3347, 0.7171], [0.2239, -0.8117, 0.5393]], dtype=np.float32
)
_RAYS_AT_ONCE = 1 << 14
_PAIRS_AT_ONCE = 1 << 19


class WindingNumber:
    """Tells the points whose winding number is above one half.

    Args:
        mesh: positions in float32's reach of the origin (Embree reckons in it), faces outward.
        cones: what closes the mesh.

    Raises:
        InputError: open3d cannot be imported.
    """

    def __init__(self, mesh: Mesh, cones: Cones) -> None:
        self._o3d = import_open3d()
        self._cones = cones
        corners = np.concatenate([mesh.vertices[mesh.faces], cones.corners])
        weight = np.concatenate([np.ones(len(mesh.faces)), cones.weight])
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        # A ray that leaves through the outer side of a face has been inside it.
        self._passes = [np.sign(normals @ direction) * weight for direction in _DIRECTIONS]
        self._scene = self._o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._o3d.core.Tensor(np.ascontiguousarray(corners.reshape(-1, 3), dtype=np.float32)),
            self._o3d.core.Tensor(np.arange(3 * len(corners), dtype=np.uint32).reshape(-1, 3)),
        )

    def inside(self, points: Float[np.ndarray, "n 3"], guess: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether the winding number of the mesh around each point is above one half.

        Args:
            points: in the mesh's frame.
            guess: what another, less certain way says. A ray through an edge may count wrongly: where the first one
                does not confirm the guess, two more are cast, and the middle of the three numbers is taken.
        """
        number = self._closed(points, 0)
        (doubted,) = np.nonzero(number != guess)
        if len(doubted):
            more = [self._closed(points[doubted], ray) for ray in (1, 2)]
            number[doubted] = np.median(np.stack([number[doubted], *more]), axis=0)
        inside = number > 0.5
        # Cones that cover less than half of the directions decide nothing: the number without them is whole.
        (near,) = np.nonzero(cover_bound(points, self._cones) >= 0.5)
        if len(near):
            cover = solid_angle_share(points[near], self._cones.corners, self._cones.weight)
            inside[near] = number[near] - cover > 0.5
        return inside

    def _closed(self, points: Float[np.ndarray, "n 3"], ray: int) -> Float[np.ndarray, " n"]:
        """Winding number of mesh and cones together, counted along one ray."""
        number = np.empty(len(points))
        for start in range(0, len(points), _RAYS_AT_ONCE):
            part = points[start : start + _RAYS_AT_ONCE]
            rays = np.empty((len(part), 6), dtype=np.float32)
            rays[:, :3], rays[:, 3:] = part, _DIRECTIONS[ray]
            met = self._scene.list_intersections(self._o3d.core.Tensor(rays))
            passes = self._passes[ray][met["primitive_ids"].numpy()]
            number[start : start + len(part)] = np.bincount(
                met["ray_ids"].numpy().astype(np.int64), weights=passes, minlength=len(part)
            )
        return number


def solid_angle_share(
    points: Float[np.ndarray, "n 3"], corners: Float[np.ndarray, "t 3 3"], weight: Float[np.ndarray, " t"]
) -> Float[np.ndarray, " n"]:
    """The solid angle that triangles cover as seen from points, over 4 pi, positive where their backs are seen.

    For one triangle tan(angle / 2) = det(a, b, c) / (|a||b||c| + a.b |c| + b.c |a| + c.a |b|), with its corners a, b, c
    taken from the point (van Oosterom and Strackee 1983). But for the point's square, all products are linear in it, so
    that they are had as matrix products. A whole closed mesh, faces outward, gives its winding number.

    Args:
        points: where it is seen from, not much farther from the origin than from the triangles.
        corners: of the triangles.
        weight: how often each triangle counts.
    """
    a, b, c = corners.swapaxes(0, 1).astype(np.float64)
    ab, bc, ca = np.cross(a, b), np.cross(b, c), np.cross(c, a)
    determinant, slope = np.einsum("ti,ti->t", a, bc), ab + bc + ca
    share = np.zeros(len(points))
    at_once = max(1, _PAIRS_AT_ONCE // max(1, len(corners)))
    for start in range(0, len(points), at_once):
        seen_from = points[start : start + at_once].astype(np.float64)

        def product(one: np.ndarray, other: np.ndarray, p: np.ndarray = seen_from) -> Float[np.ndarray, "n t"]:
            """(one - p) . (other - p) for every point and triangle."""
            squared = np.einsum("ni,ni->n", p, p)[:, None]
            return np.einsum("ti,ti->t", one, other) - p @ (one + other).T + squared

        la, lb, lc = (np.sqrt(np.maximum(product(corner, corner), 0)) for corner in (a, b, c))
        below = la * lb * lc + product(a, b) * lc + product(b, c) * la + product(c, a) * lb
        half = np.arctan2(determinant - seen_from @ slope.T, below)
        share[start : start + at_once] = half @ weight / (2 * np.pi)
    return share


def cover_bound(points: Float[np.ndarray, "n 3"], cones: Cones) -> Float[np.ndarray, " n"]:
    """An upper bound of the solid angle over 4 pi that cones cover as seen from points; infinite close to one.

    A surface of area A that is nowhere nearer than r covers at most A / r^2.
    """
    bound = np.zeros(len(points))
    at_once = max(1, _PAIRS_AT_ONCE // max(1, len(cones.tip)))
    for start in range(0, len(points), at_once):
        part = points[start : start + at_once, None].astype(np.float64)
        gap = np.linalg.norm(part - cones.tip, axis=-1) - cones.radius
        clear = gap > 0
        covered = np.where(clear, cones.area / (4 * np.pi * np.where(clear, gap, 1.0) ** 2), np.inf)
        bound[start : start + at_once] = covered.sum(axis=1)
    return bound
