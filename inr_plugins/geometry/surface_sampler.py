"""Random points of a mesh's surface, many times from the same mesh."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError
from inr_plugins.geometry.mesh import Mesh, face_normals


class SurfaceSampler:
    """Draws independent points, uniform over the area of a mesh, with the unit normals of their faces.

    A face is drawn by its area, then a point of it as (1 - s) a + s (1 - t) b + s t c with s the square root of a
    uniform number and t uniform (Osada et al. 2002). What depends on the mesh only is reckoned once.

    Raises:
        InputError: no face with an area.
    """

    def __init__(self, mesh: Mesh) -> None:
        # In float64 whatever the mesh has: a sum over millions of areas loses the small ones in float32.
        mesh = replace(mesh, vertices=mesh.vertices.astype(np.float64, copy=False))
        doubled = face_normals(mesh)
        area = np.linalg.norm(doubled, axis=1)
        (solid,) = np.nonzero(area > 0)
        if len(solid) == 0:
            raise InputError(f"None of the {len(area)} faces of the mesh has an area; give a mesh with a surface.")
        self._corners = mesh.vertices[mesh.faces[solid]]
        self._normals = doubled[solid] / area[solid, None]
        self._upto = np.cumsum(area[solid])

    def sample(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
        """Points and the outward unit normals of their faces, in the mesh's frame."""
        drawn = np.searchsorted(self._upto, rng.random(count) * self._upto[-1], side="right")
        # The product can round up to the total, which is one past the last face.
        face = np.minimum(drawn, len(self._upto) - 1)
        s, t = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
        a, b, c = self._corners[face].swapaxes(0, 1)
        return (1 - s) * a + s * (1 - t) * b + s * t * c, self._normals[face]
