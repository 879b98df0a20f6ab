"""Surfaces among what the page shows besides the picture: meshes and points, in numbers that a browser bears."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.cleaning import decimate

SCENE_UNITS = 10.0
"""Of the page in one normalised unit (nerfstudio's VISER_NERFSTUDIO_SCALE_RATIO)."""
MOST_FACES = MOST_POINTS = 100_000
"""In a page."""
_COLOUR = (255, 140, 50)
_POINT_SIZE = 0.004
"""Normalised units."""


def thinned_faces(mesh: Mesh) -> Mesh:
    """The mesh, with fewer faces where it has more than a page is to be sent; takes seconds then."""
    return decimate(mesh, max_faces=MOST_FACES)


def thinned_points(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """The points, or evenly chosen ones of them where there are more than a page is to be sent."""
    if len(points) <= MOST_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]


def show_triangles(
    scene: Any,
    name: str,
    mesh: Mesh,
    *,
    at: Float[np.ndarray, " 3"],
    opacity: float | None = None,
    wireframe: bool = False,
) -> Any:
    """Put a mesh into the page, in one colour and seen from both sides; returns what removes it.

    Args:
        scene: viser's SceneApi.
        name: of the node.
        mesh: normalised frame.
        at: by how much it is moved, normalised units.
        opacity: None hides what is behind.
        wireframe: edges only.
    """
    return scene.add_mesh_simple(
        name,
        mesh.vertices * SCENE_UNITS,
        mesh.faces,
        color=_COLOUR,
        wireframe=wireframe,
        opacity=None if wireframe else opacity,
        side="double",
        position=tuple(map(float, at * SCENE_UNITS)),
    )


def show_points(scene: Any, name: str, points: Float[np.ndarray, "n 3"], *, at: Float[np.ndarray, " 3"]) -> Any:
    """Put points into the page, arguments as in `show_triangles`; returns what removes them."""
    return scene.add_point_cloud(
        name,
        points.astype(np.float32) * SCENE_UNITS,
        _COLOUR,
        point_size=_POINT_SIZE * SCENE_UNITS,
        point_shape="circle",
        position=tuple(map(float, at * SCENE_UNITS)),
    )
