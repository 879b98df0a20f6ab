"""Open sheets, such as terrain and cloth: meshes that bound nothing, however their holes are closed."""

from __future__ import annotations

import numpy as np

from inr_plugins.geometry.distance.winding import Crossings, solid_angle_share
from inr_plugins.geometry.mesh import surface_area
from inr_plugins.geometry.repair.nesting import BESIDE
from inr_plugins.geometry.repair.solid import Solid
from inr_plugins.geometry.surface_sampler import SurfaceSampler

_POINTS = 256
# Of the area of a mesh: lids so small leave it closed enough.
_SMALL_LIDS = 0.15


def closed_share(solid: Solid) -> float:
    """The winding number just behind a mesh's faces, in the middle of many places: 1 if it is closed.

    In front of a face the number is one less. Behind a flat sheet it is 1/2: there is as much of the sheet to be seen
    as not. Behind half a ball it is 3/4 at the rim and 0.85 at the pole. Loose patches that together bound a solid
    count as the closed surface that they look like.

    Raises:
        InputError: open3d is needed and cannot be imported.
    """
    mesh, cones = solid.mesh, solid.cones
    if cones.area.sum() <= _SMALL_LIDS * surface_area(mesh):
        return 1.0
    points, normals = SurfaceSampler(mesh).sample(_POINTS, np.random.default_rng(0))
    points = points - BESIDE * float(np.ptp(mesh.bounds, axis=0).max()) * normals
    closed = Crossings(
        np.concatenate([mesh.vertices[mesh.faces], cones.corners]),
        np.concatenate([np.ones(len(mesh.faces)), cones.weight]),
    )
    # Seen from the middle of the mesh's box, sums of products of coordinates lose least.
    middle = mesh.bounds.mean(axis=0)
    cover = solid_angle_share(points - middle, cones.corners - middle, cones.weight)
    return float(np.median(closed(points) - cover))
