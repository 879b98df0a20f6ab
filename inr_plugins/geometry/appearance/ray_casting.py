"""The first triangle of a mesh that rays from one eye hit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.triangle_scene import FirstHits, TriangleScene

_RAYS_AT_ONCE = 1 << 19


class MeshCaster:
    """Casts rays at one mesh; both sides of its triangles stop a ray.

    Raises:
        InputError: open3d cannot be imported.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._scene = TriangleScene(mesh.bounds.mean(axis=0)).add(mesh.vertices, mesh.faces)

    def first_hits(self, origin: Float[np.ndarray, " 3"], directions: Float[np.ndarray, "n 3"]) -> FirstHits:
        """First hits of rays that all start at `origin`, in the mesh's frame."""
        count = len(directions)
        distance = np.empty(count, dtype=np.float32)
        face = np.empty(count, dtype=np.int64)
        barycentric, normal = (np.empty((count, 3), dtype=np.float32) for _ in range(2))
        for start in range(0, count, _RAYS_AT_ONCE):
            part = slice(start, min(start + _RAYS_AT_ONCE, count))
            distance[part], face[part], barycentric[part], normal[part] = self._scene.first_hits(
                origin, directions[part]
            )
        return FirstHits(distance, face, barycentric, normal)
