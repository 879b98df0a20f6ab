"""The first triangle of a mesh that rays hit, by open3d's RaycastingScene (Embree) on the CPU; no display."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.open3d_import import import_open3d

_RAYS_AT_ONCE = 1 << 19


class FirstHits(NamedTuple):
    """What n rays hit first.

    `distance`: in multiples of the ray's direction, infinite where it hits nothing. `face`: number of the triangle, -1
    where nothing. `barycentric`: weights of its corners at the hit, in the order of the face; no meaning where nothing.
    """

    distance: Float[np.ndarray, " n"]
    face: Int[np.ndarray, " n"]
    barycentric: Float[np.ndarray, "n 3"]


class MeshCaster:
    """Casts rays at one mesh; both sides of its triangles stop a ray.

    Embree reckons in float32, so everything is measured from the middle of the mesh.

    Raises:
        InputError: open3d cannot be imported.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._o3d = import_open3d()
        self._middle = mesh.bounds.mean(axis=0)
        self._scene = self._o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._o3d.core.Tensor(np.ascontiguousarray(mesh.vertices - self._middle, dtype=np.float32)),
            self._o3d.core.Tensor(np.ascontiguousarray(mesh.faces, dtype=np.uint32)),
        )

    def first_hits(self, origin: Float[np.ndarray, " 3"], directions: Float[np.ndarray, "n 3"]) -> FirstHits:
        """First hits of rays that all start at `origin`, in the mesh's frame."""
        count = len(directions)
        distance = np.empty(count, dtype=np.float32)
        face = np.empty(count, dtype=np.int64)
        barycentric = np.empty((count, 3), dtype=np.float32)
        for start in range(0, count, _RAYS_AT_ONCE):
            part = slice(start, min(start + _RAYS_AT_ONCE, count))
            rays = np.empty((part.stop - start, 6), dtype=np.float32)
            rays[:, :3], rays[:, 3:] = origin - self._middle, directions[part]
            answer = self._scene.cast_rays(self._o3d.core.Tensor(rays))
            distance[part] = answer["t_hit"].numpy()
            face[part] = answer["primitive_ids"].numpy()
            uv = answer["primitive_uvs"].numpy()
            barycentric[part, 0], barycentric[part, 1:] = 1 - uv[:, 0] - uv[:, 1], uv
        face[~np.isfinite(distance)] = -1
        return FirstHits(distance, face, barycentric)
