"""Cutting a mesh along a line: of what lies farther from a cloud than it may, nothing is left."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.mesh import Mesh, select_faces

_POINTS_AT_ONCE = 1 << 18
# With 95 in 100 points the fourth neighbour is nearer than the middle of the largest gap among millions of randomly
# drawn points is to them; a half more is for the surface that was fitted.
_NEIGHBOURS, _QUANTILE, _TIMES = 4, 0.95, 1.5


class CloudReach:
    """How far positions are from a cloud, and how far from it a surface may go.

    Args:
        points: of the cloud, in any frame.
    """

    def __init__(self, points: Float[np.ndarray, "n 3"]) -> None:
        from scipy.spatial import cKDTree

        self._tree = cKDTree(points)

    @property
    def usual(self) -> float:
        """The distance up to which a surface goes with the cloud, in its units.

        One and a half times the distance within which 95 in 100 points have their fourth neighbour.
        """
        asked = self._tree.data[np.random.default_rng(0).permutation(self._tree.n)[:_POINTS_AT_ONCE]]
        count = min(_NEIGHBOURS + 1, self._tree.n)
        return _TIMES * float(np.quantile(self._tree.query(asked, k=[count], workers=-1)[0], _QUANTILE))

    def distance(self, at: Float[np.ndarray, "v 3"], *, most: float) -> Float[np.ndarray, " v"]:
        """Distance of each position to the nearest point, in their units; infinite beyond `most`."""
        distance = np.empty(len(at))
        for start in range(0, len(at), _POINTS_AT_ONCE):
            part = slice(start, start + _POINTS_AT_ONCE)
            distance[part] = self._tree.query(at[part], distance_upper_bound=most, workers=-1)[0]
        return distance


def cut_where_above(mesh: Mesh, values: Float[np.ndarray, " v"], limit: float) -> Mesh:
    """The part of a mesh whose values are at most `limit`, cut straight through the faces on its border.

    Values run linearly along edges; so do colours and, before they are scaled to length 1, normals. Where one is
    infinite, the edge is cut in the middle.

    Args:
        mesh: of which no face may be left.
        values: of its vertices.
        limit: the largest value that stays.
    """
    stays = values <= limit
    inside = stays[mesh.faces].sum(axis=1)
    # Turned so that the first corner is the one unlike the other two.
    odd = np.where(inside[:, None] == 1, stays[mesh.faces], ~stays[mesh.faces]).argmax(axis=1)
    turned = np.take_along_axis(mesh.faces, (odd[:, None] + np.arange(3)) % 3, axis=1)
    one, two = turned[inside == 1], turned[inside == 2]
    edges = np.concatenate([one[:, [0, 1]], one[:, [0, 2]], two[:, [0, 1]], two[:, [0, 2]]])
    edges, number = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    number = number.reshape(-1) + len(mesh.vertices)
    m, n = len(one), len(two)
    first, second, third, fourth = number[:m], number[m : 2 * m], number[2 * m : 2 * m + n], number[2 * m + n :]
    faces = np.concatenate(
        [
            mesh.faces[inside == 3],
            np.column_stack([one[:, 0], first, second]),
            np.column_stack([third, two[:, 1], two[:, 2]]),
            np.column_stack([third, two[:, 2], fourth]),
        ]
    )
    share = _crossing(values, edges, limit)
    grown = Mesh(
        vertices=_grown(mesh.vertices, edges, share),
        faces=faces,
        normals=None if mesh.normals is None else _unit(_grown(mesh.normals, edges, share)),
        colours=None if mesh.colours is None else _grown(mesh.colours, edges, share),
    )
    return select_faces(grown, np.ones(len(faces), dtype=bool))


def _crossing(values: Float[np.ndarray, " v"], edges: Int[np.ndarray, "e 2"], limit: float) -> Float[np.ndarray, "e 1"]:
    """Where along each edge, from its first end, the value is the limit."""
    start, end = values[edges].T
    with np.errstate(invalid="ignore"):
        share = (limit - start) / (end - start)
    known: Bool[np.ndarray, " e"] = np.isfinite(start) & np.isfinite(end)
    return np.where(known, share, 0.5)[:, None]


def _grown(
    values: Float[np.ndarray, "v k"], edges: Int[np.ndarray, "e 2"], share: Float[np.ndarray, "e 1"]
) -> Float[np.ndarray, "w k"]:
    """Values of the vertices, and after them those on the edges."""
    between = values[edges[:, 0]] * (1 - share) + values[edges[:, 1]] * share
    return np.concatenate([values, between])


def _unit(normals: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(length > 0, length, 1.0)
