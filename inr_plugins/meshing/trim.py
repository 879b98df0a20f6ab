"""What of a run's mesh lies far from all points that it was trained on, and cutting it off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh, surface_area
from inr_plugins.geometry.repair.trimming import CloudReach, cut_where_above

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.settings import MeshSettings
    from inr_plugins.meshing.shapes import RunShape


@runtime_checkable
class HoldsClouds(Protocol):
    """A datamanager whose shapes may be clouds of points."""

    def shape_points(self, number: int) -> Float[np.ndarray, "n 3"] | None:
        """The points of a shape that is a cloud, in the normalised frame; None of a mesh."""


@dataclass(frozen=True)
class Reach:
    """How far from a cloud the surface may go.

    Attributes:
        cloud: tells the distance to its points, normalised frame.
        distance: in normalised units.
        source: where the distance comes from, in words.
    """

    cloud: CloudReach
    distance: float
    source: str


@dataclass(frozen=True)
class Trimmed:
    """What lay beyond the reach of the points.

    Attributes:
        distance: beyond which it is far, in normalised units.
        source: where the distance comes from, in words.
        share: of the mesh's area that was far.
        cut: whether it was cut off.
    """

    distance: float
    source: str
    share: float
    cut: bool

    def describe(self, scale: float) -> dict[str, Any]:
        """For the sidecar, in units of the file, one of which has the normalised length `scale`."""
        return {"distance": self.distance / scale, "distance_from": self.source, "area": self.share, "cut": self.cut}


def find_reach(run: Run, options: MeshSettings, shape: RunShape | None, to_normalised: Similarity) -> Reach | None:
    """The points that a run was trained on and how far from them its surface may go; None where there are none.

    Raises:
        InputError: `trim_to_points` for a run that was not trained on a cloud of points.
    """
    wanted = options.trim_to_points
    manager = getattr(run.pipeline, "datamanager", None)
    points = manager.shape_points(shape.number) if shape is not None and isinstance(manager, HoldsClouds) else None
    if points is None:
        if wanted is None:
            return None
        what = "images" if shape is None else f"{shape.file.name}, which is a mesh"
        raise InputError(
            f"{setting('trim_to_points')} needs a run on a cloud of points, and this one is on {what}; leave it out."
        )
    cloud = CloudReach(points)
    if isinstance(wanted, float):
        return Reach(cloud, wanted * to_normalised.scale, "given")
    return Reach(cloud, cloud.usual, "the spacing of the points")


def observed(mesh: Mesh, reach: Reach | None) -> Float[np.ndarray, " v"] | None:
    """How much of each vertex points speak of: 1 within their reach, falling to 0 at twice that; None without points.

    Args:
        mesh: in the normalised frame.
        reach: from `find_reach`.
    """
    if reach is None:
        return None
    distance = reach.cloud.distance(mesh.vertices, most=2 * reach.distance)
    return np.clip(2 - distance / reach.distance, 0.0, 1.0)


def trim(mesh: Mesh, reach: Reach | None, options: MeshSettings) -> tuple[Mesh, Trimmed | None]:
    """The mesh, without what is out of reach where that is wanted, and how much that was.

    Args:
        mesh: in the normalised frame.
        reach: from `find_reach`.
        options: whether to cut.

    Raises:
        InputError: all of it is out of reach.
    """
    if reach is None:
        return mesh, None
    # Within twice the distance values are needed for the cut; beyond, that they are large.
    distance = reach.cloud.distance(mesh.vertices, most=2 * reach.distance)
    near = cut_where_above(mesh, distance, reach.distance)
    area = surface_area(mesh)
    share = 1 - surface_area(near) / area if len(near.faces) and area else 1.0
    found = Trimmed(reach.distance, reach.source, share, cut=options.trim_to_points is not None)
    if not found.cut:
        return mesh, found
    if len(near.faces) == 0:
        raise InputError(
            f"{setting('trim_to_points', options.trim_to_points)} leaves nothing, since no part of the surface is "
            "so near to the "
            "points; give a larger distance, or train for longer."
        )
    return near, found
