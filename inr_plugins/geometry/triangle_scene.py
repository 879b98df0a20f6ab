"""Triangles that rays are cast at and distances are measured to: open3d's RaycastingScene (Embree), CPU, no display.

The only place where open3d's scene is made: what goes in and comes out are numpy arrays in the frame of the caller.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from inr_plugins.geometry.open3d_import import import_open3d

_LARGEST = float(np.finfo(np.float32).max)


class FirstHits(NamedTuple):
    """What n rays hit first.

    `distance`: in multiples of the ray's direction, infinite where it hits nothing. `face`: number of the triangle, -1
    where nothing. `barycentric`: weights of its corners at the hit, in the order of the face; no meaning where nothing.
    `normal`: unit normal of the triangle, outward by the order of its corners; the same.
    """

    distance: Float32[np.ndarray, " n"]
    face: Int[np.ndarray, " n"]
    barycentric: Float32[np.ndarray, "n 3"]
    normal: Float32[np.ndarray, "n 3"]


class NearestPoints(NamedTuple):
    """The points of the triangles nearest to n points.

    `points`: measured from the scene's origin. `face`: number of the triangle. `barycentric`: weights of its corners.
    """

    points: Float32[np.ndarray, "n 3"]
    face: Int[np.ndarray, " n"]
    barycentric: Float32[np.ndarray, "n 3"]


class TriangleScene:
    """Triangles of one frame, for rays from both sides.

    Embree reckons in float32, so everything is measured from an origin: what is farther from it than 2e7 times a detail
    does not have that detail. Rays that start or end at a triangle may miss it; lift them by a millionth of the scene.

    Attributes:
        origin: as given, in the frame of the triangles.

    Raises:
        InputError: open3d cannot be imported.
    """

    def __init__(self, origin: Float[np.ndarray, " 3"], *, threads: int = 0) -> None:
        """
        Args:
            origin: near the triangles, best their middle.
            threads: that build the scene and answer; 0: as many as there are processors.
        """
        self._o3d = import_open3d()
        self.origin = origin
        self._scene = self._o3d.t.geometry.RaycastingScene(nthreads=threads)
        self._first: list[int] = []
        self._faces = 0

    def add(self, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> TriangleScene:
        """Add triangles, numbered after those that are there; returns the scene.

        Raises:
            ValueError: a vertex that is not finite or too far from the origin for float32, which Embree leaves out
                without a word, or a face without its vertices.
        """
        centred = vertices - self.origin
        if not (np.abs(centred) <= _LARGEST).all():
            raise ValueError("vertices of a TriangleScene must be finite, also in float32")
        if len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices):
            raise ValueError(f"faces of a TriangleScene must be numbers of its {len(vertices)} vertices")
        self._scene.add_triangles(self._tensor(centred), self._tensor(faces, np.uint32))
        self._first.append(self._faces)
        self._faces += len(faces)
        return self

    def first_hits(
        self, origins: Float[np.ndarray, "n 3"] | Float[np.ndarray, " 3"], directions: Float[np.ndarray, "n 3"]
    ) -> FirstHits:
        """The first triangle that each ray hits."""
        answer = self._scene.cast_rays(self._rays(origins, directions))
        distance, uv = answer["t_hit"].numpy(), answer["primitive_uvs"].numpy()
        face = self._numbers(answer["primitive_ids"], answer["geometry_ids"], np.isfinite(distance))
        return FirstHits(distance, face, _barycentric(uv), answer["primitive_normals"].numpy())

    def crossings(
        self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"] | Float[np.ndarray, " 3"]
    ) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """All triangles that rays cross: the number of the ray and of the triangle of each crossing.

        Of triangles of one `add` that a ray meets at the same distance one is counted, since they may share an edge;
        those of different ones all count.
        """
        met = self._scene.list_intersections(self._rays(origins, directions))
        ray = met["ray_ids"].numpy().astype(np.int64)
        return ray, self._numbers(met["primitive_ids"], met["geometry_ids"], np.ones(len(ray), dtype=bool))

    def blocked(
        self,
        origins: Float[np.ndarray, "n 3"] | Float[np.ndarray, " 3"],
        directions: Float[np.ndarray, "n 3"],
        *,
        reach: float = np.inf,
    ) -> Bool[np.ndarray, " n"]:
        """Whether rays hit anything within `reach`, in multiples of their directions."""
        return self._scene.test_occlusions(self._rays(origins, directions), tnear=0.0, tfar=reach).numpy()

    def nearest(self, points: Float[np.ndarray, "n 3"]) -> NearestPoints:
        """The nearest points of the triangles."""
        answer = self._scene.compute_closest_points(self._tensor(points - self.origin))
        face = self._numbers(answer["primitive_ids"], answer["geometry_ids"], np.ones(len(points), dtype=bool))
        return NearestPoints(answer["points"].numpy(), face, _barycentric(answer["primitive_uvs"].numpy()))

    def inside_by_parity(self, points: Float[np.ndarray, "n 3"], *, votes: int) -> Bool[np.ndarray, " n"]:
        """Whether most of `votes` rays from each point cross an odd number of triangles; `votes` is odd."""
        return self._scene.compute_occupancy(self._tensor(points - self.origin), nsamples=votes).numpy() > 0.5

    def _rays(self, origins: np.ndarray, directions: np.ndarray) -> Any:
        rays = np.empty((max(np.atleast_2d(origins).shape[0], np.atleast_2d(directions).shape[0]), 6), dtype=np.float32)
        rays[:, :3], rays[:, 3:] = origins - self.origin, directions
        return self._o3d.core.Tensor(rays)

    def _tensor(self, values: np.ndarray, dtype: type = np.float32) -> Any:
        return self._o3d.core.Tensor(np.ascontiguousarray(values, dtype=dtype))

    def _numbers(self, primitives: Any, geometries: Any, hit: Bool[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        """Numbers of triangles over all that were added, -1 where nothing was hit."""
        face = primitives.numpy().astype(np.int64)
        if len(self._first) > 1:
            face[hit] += np.array(self._first, dtype=np.int64)[geometries.numpy().astype(np.int64)[hit]]
        face[~hit] = -1
        return face


def _barycentric(uv: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 3"]:
    return np.concatenate([1 - uv.sum(axis=1, keepdims=True), uv], axis=1)
