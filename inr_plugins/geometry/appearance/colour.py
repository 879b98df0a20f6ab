"""The colour of a mesh's vertices as the cameras saw them, for fields whose colour depends on the direction of view."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.appearance.visibility import visible_vertices
from inr_plugins.geometry.levelset.lattice import Progress
from inr_plugins.geometry.mesh import Mesh, vertex_normals
from inr_plugins.geometry.pinhole import PinholeViews

ColourFunction = Callable[[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]], Float[np.ndarray, "n 3"]]
"""sRGB (n, 3) at points (n, 3), given one unit vector (n, 3) for each: a viewing direction, or a surface normal."""


def mean_over_views(
    mesh: Mesh,
    views: PinholeViews,
    colour: ColourFunction,
    fallback: Float[np.ndarray, "v 3"],
    *,
    tolerance: float = 1e-4,
    chunk_points: int = 131_072,
    progress: Progress | None = None,
) -> tuple[Float[np.ndarray, "v 3"], int]:
    """Mean colour of each vertex over the cameras that see it, and how many vertices no camera sees.

    A camera counts by the cosine between the vertex's outward normal and the direction to the camera: seen edge-on, a
    field learnt from pictures blends what lies behind. Each colour is clipped to [0, 1] first, as in a picture.

    Args:
        mesh: in the frame that `colour` knows; without normals, they are made from its faces.
        views: cameras in the same frame.
        colour: of points, given unit viewing directions, which run *from* the camera to the point.
        fallback: colours of the vertices that no camera sees.
        tolerance: of what lies between camera and vertex, as a share of their distance.
        chunk_points: most points to evaluate at once.
        progress: called with (views done, views in all).

    Memory grows with the vertices, 32 bytes each beside the mesh and the caster's copy of it, and not with the cameras:
    they are asked one by one, about some vertices at a time (`visibility`).

    Raises:
        InputError: a colour is NaN or infinite, or open3d cannot be imported.
    """
    normals = vertex_normals(mesh) if mesh.normals is None else mesh.normals
    total = np.zeros((len(mesh.vertices), 3))
    weight = np.zeros(len(mesh.vertices))
    for view, seen, directions in visible_vertices(mesh, views, normals=normals, tolerance=tolerance):
        for start in range(0, len(seen), chunk_points):
            some, towards = seen[start : start + chunk_points], directions[start : start + chunk_points]
            cosine = np.maximum(-np.einsum("ij,ij->i", normals[some], towards), 0.0)
            total[some] += cosine[:, None] * checked_colours(colour, mesh.vertices[some], towards)
            weight[some] += cosine
        if progress is not None:
            progress(view + 1, len(views))
    if progress is not None:
        progress(len(views), len(views))  # the last cameras may see nothing
    known = weight > 0
    mean = np.where(known[:, None], total / np.where(known, weight, 1.0)[:, None], fallback)
    return mean, int((~known).sum())


def checked_colours(
    colour: ColourFunction, points: Float[np.ndarray, "n 3"], vectors: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """The function's colours, clipped to [0, 1].

    Raises:
        InputError: a colour is NaN or infinite.
    """
    found = np.asarray(colour(points, vectors))
    if not np.isfinite(found).all():
        raise InputError(
            f"The field's colour is NaN or infinite on the surface; give {setting('colour', 'none')}, or train again."
        )
    return found.clip(0.0, 1.0)
