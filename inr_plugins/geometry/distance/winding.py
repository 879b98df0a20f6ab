"""Inside or outside of a mesh by its winding number, also where it has holes, doubled sheets or cuts itself.

The winding number of a mesh around a point is the solid angle that its faces cover as seen from there, over 4 pi: 1
inside a closed mesh, 0 outside, and in between near a hole (Jacobson et al. 2013). It is had exactly: closed with cones
over its rims, the mesh has a whole winding number, which one ray counts; what the cones cover is taken off again.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.distance.space_order import space_order
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.cones import Cones
from inr_plugins.geometry.triangle_scene import TriangleScene

# Directions of the rays: along no edge or face that a file is likely to have.
_DIRECTIONS = np.array(
    [[0.5377, 0.4831, 0.6911], [-0.6113, 0.3347, 0.7171], [0.2239, -0.8117, 0.5393]], dtype=np.float32
)
_RAYS_AT_ONCE = 1 << 14
_PAIRS_AT_ONCE = 1 << 19
# Parts beyond so many share their places in the ray caster.
_MOST_PARTS = 4096


class Crossings:
    """Counts how a ray leaves a closed set of triangles: the winding number of the set around the ray's origin.

    Args:
        corners: of the triangles, anticlockwise seen from outside.
        weight: how often each counts; None: once.
        part: number of the part of each, 0 or more; None: there is one. Of triangles of one part that a ray meets at
            the same distance open3d counts one, since they may share an edge; those of different parts all count.

    Raises:
        InputError: open3d cannot be imported.
    """

    def __init__(
        self,
        corners: Float[np.ndarray, "t 3 3"],
        weight: Float[np.ndarray, " t"] | None = None,
        part: Int[np.ndarray, " t"] | None = None,
    ) -> None:
        if part is not None:
            order = np.argsort(part % _MOST_PARTS, kind="stable")
            corners, part = corners[order], (part % _MOST_PARTS)[order]
            weight = None if weight is None else weight[order]
        flat = corners.reshape(-1, 3)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        # A ray that leaves through the outer side of a face has been inside it.
        signs = [np.sign(normals @ direction) for direction in _DIRECTIONS]
        self._passes = signs if weight is None else [sign * weight for sign in signs]
        self._scene = TriangleScene((flat.min(axis=0) + flat.max(axis=0)) / 2)
        starts = [0] if part is None else np.flatnonzero(np.diff(part, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(corners)], strict=True):
            vertices = flat[3 * start : 3 * end]
            self._scene.add(vertices, np.arange(len(vertices)).reshape(-1, 3))

    def __call__(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The number that two rays agree on, or the middle of three: a ray through an edge may count wrongly."""
        order = space_order(points)
        points = points[order]
        number, second = self.along(points, 0), self.along(points, 1)
        (doubted,) = np.nonzero(number != second)
        third = self.along(points[doubted], 2)
        number[doubted] = np.median(np.stack([number[doubted], second[doubted], third]), axis=0)
        found = np.empty(len(points))
        found[order] = number
        return found

    def along(self, points: Float[np.ndarray, "n 3"], ray: int) -> Float[np.ndarray, " n"]:
        """The number that one ray from each point counts, the first, second or third."""
        number = np.empty(len(points))
        for start in range(0, len(points), _RAYS_AT_ONCE):
            part = points[start : start + _RAYS_AT_ONCE]
            ray_number, face = self._scene.crossings(part, _DIRECTIONS[ray])
            passes = self._passes[ray][face]
            number[start : start + len(part)] = np.bincount(ray_number, weights=passes, minlength=len(part))
        return number


class WindingNumber:
    """Tells the points whose winding number is above one half.

    Args:
        mesh: faces outward.
        cones: what closes the mesh.
        part: number of the part of each face where parts have faces that lie on each other; see `Crossings`.

    Raises:
        InputError: open3d cannot be imported.
    """

    def __init__(self, mesh: Mesh, cones: Cones, part: Int[np.ndarray, " f"] | None = None) -> None:
        self._cones = cones
        corners = np.concatenate([mesh.vertices[mesh.faces], cones.corners])
        weight = np.concatenate([np.ones(len(mesh.faces)), cones.weight])
        if part is not None:
            part = np.concatenate([part, part[cones.face]])
        self._closed = Crossings(corners, weight, part)

    def inside(self, points: Float[np.ndarray, "n 3"], guess: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether the winding number of the mesh around each point is above one half.

        Args:
            points: in the mesh's frame.
            guess: what another, less certain way says. A ray through an edge may count wrongly: where the first one
                does not confirm the guess, two more are cast, and the middle of the three numbers is taken.
        """
        number = self._closed.along(points, 0)
        (doubted,) = np.nonzero((number > 0.5) != guess)
        if len(doubted):
            more = [self._closed.along(points[doubted], ray) for ray in (1, 2)]
            number[doubted] = np.median(np.stack([number[doubted], *more]), axis=0)
        return self._uncovered(number, points) > 0.5

    def __call__(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The winding number around each point, up to less than one half where that is below or above one half."""
        return self._uncovered(self._closed(points), points)

    def _uncovered(self, number: Float[np.ndarray, " n"], points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The winding number of the mesh without its cones, from that with them."""
        # Cones that cover less than half of the directions decide nothing: the number without them is whole.
        (near,) = np.nonzero(cover_bound(points, self._cones) >= 0.5)
        if len(near):
            number = number.copy()
            number[near] -= solid_angle_share(points[near], self._cones.corners, self._cones.weight)
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
