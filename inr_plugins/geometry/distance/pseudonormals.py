"""On which side of a mesh a point lies, by the normal of what is nearest to it: a face, an edge or a vertex."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.geometry.mesh import Mesh, face_normals

# Shares of the corners' weights (barycentric coordinates) below which the nearest point lies at an edge or a vertex.
# Embree gives them in float32.
_WELL_INSIDE = 1e-3
_AT_VERTEX = 1e-5
# 1 - cosine of the angle to the face's normal within which the nearest point is taken to be inside the face.
_UPRIGHT = 1e-4


class Pseudonormals:
    """Normals of the faces, edges and vertices of a mesh whose faces look outward.

    That of an edge is the sum of its faces' unit normals, that of a vertex the sum weighted by the angles of the faces
    there: a point is outside a closed mesh exactly if its offset from the nearest point has a positive product with the
    pseudonormal of what that point lies on (Baerentzen and Aanaes 2005). With the normal of just any face there, points
    across a sharp edge may come out on the wrong side.

    Args:
        mesh: every face must have an area.
    """

    def __init__(self, mesh: Mesh) -> None:
        normals = face_normals(mesh)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
        key = np.minimum(start, end) * len(mesh.vertices) + np.maximum(start, end)
        _, edge = np.unique(key, return_inverse=True)
        edges = _sums(edge, np.repeat(normals, 3, axis=0))[edge].reshape(-1, 3, 3)
        weighted = (_angles(mesh)[:, :, None] * normals[:, None]).reshape(-1, 3)
        self._corners = mesh.faces
        self._vertices = _sums(start, weighted, count=len(mesh.vertices)).astype(np.float32)
        # Edge k runs from corner k to the next.
        self._edges = edges.astype(np.float32)
        self.faces: Float[np.ndarray, "f 3"] = normals.astype(np.float32)
        """Outward unit normals of the faces."""

    def side(
        self,
        offset: Float[np.ndarray, "n 3"],
        face: Int[np.ndarray, " n"],
        barycentric: Float[np.ndarray, "n 3"],
    ) -> Float[np.ndarray, " n"]:
        """Positive for points outside, negative for points inside; its size means nothing.

        Args:
            offset: from the nearest point of the mesh to the point.
            face: on which the nearest point lies; if it lies on several, any of them.
            barycentric: weights of that face's corners at the nearest point.
        """
        height = np.einsum("ij,ij->i", offset, self.faces[face])
        upright = np.abs(height) >= (1 - _UPRIGHT) * np.linalg.norm(offset, axis=1)
        (bent,) = np.nonzero(~(upright | (barycentric.min(axis=1) > _WELL_INSIDE)))
        if len(bent) == 0:
            return height
        weights, of = barycentric[bent], face[bent]
        # Where corner j has no weight, the point lies on the edge that begins at the next corner.
        normals = self._edges[of, (weights.argmin(axis=1) + 1) % 3]
        (sharp,) = np.nonzero(np.sort(weights, axis=1)[:, 1] < _AT_VERTEX)
        normals[sharp] = self._vertices[self._corners[of[sharp], weights[sharp].argmax(axis=1)]]
        height[bent] = np.einsum("ij,ij->i", offset[bent], normals)
        return height


def _sums(
    group: Int[np.ndarray, " n"], vectors: Float[np.ndarray, "n 3"], *, count: int = 0
) -> Float[np.ndarray, "groups 3"]:
    """Sum of the vectors in each group."""
    return np.stack([np.bincount(group, weights=vectors[:, k], minlength=count) for k in range(3)], axis=1)


def _angles(mesh: Mesh) -> Float[np.ndarray, "f 3"]:
    """Angle of each face at each of its corners, in radians."""
    corners = mesh.vertices[mesh.faces]
    ahead = np.roll(corners, -1, axis=1) - corners
    back = np.roll(corners, 1, axis=1) - corners
    across = np.linalg.norm(np.cross(ahead, back), axis=-1)
    return np.arctan2(across, np.einsum("fki,fki->fk", ahead, back))
