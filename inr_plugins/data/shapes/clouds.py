"""Clouds as shapes: what is double or stray is left out, and every point gets an outward normal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from inr_plugins.data.shapes.sampling import OPTION, SampleSettings
from inr_plugins.errors import InputError
from inr_plugins.geometry.distance.cloud_border import is_open_scan
from inr_plugins.geometry.distance.cloud_normals import (
    FEWEST_POINTS,
    agreed,
    least_variance,
    neighbourhoods,
    oriented_normals,
    oriented_outward,
)
from inr_plugins.geometry.io.clouds.columns import AmbiguousColumns
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.io.mesh_file import Tell
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.cloud_agreement import settled_normals
from inr_plugins.geometry.repair.cloud_cleaning import first_of_each, first_of_each_place, stray_points

CloudNormals = Literal["auto", "given", "estimated"]
Strays = Literal["drop", "keep"]
# A scanner sees no surface from behind; of normals of noisy points, or of edges, a few look away from it all the same.
_MOST_AWAY = 0.05
# More than this share of the points is how the cloud was taken.
_MOST_STRAY = 0.1


@dataclass
class CloudSettings(SampleSettings):
    """What becomes of a cloud of points before it is sampled."""

    cloud_points: int | None = None
    """Draw this many points, with normals, from the surface of each mesh and forget its faces."""
    cloud_normals: CloudNormals = "auto"
    """Normals of clouds: auto (those of the file where they stand across the surface and agree with each other, and
    turned or estimated where not), given (those of the file, whatever they are, and estimated only where it has none)
    or estimated (always)."""
    normal_neighbours: int = 12
    """How many neighbours of a point tell its normal where normals are estimated; more for noisy clouds."""
    scanner: tuple[float, float, float] | None = None
    """Where the scanner stood, in the frame and unit of the file, of a cloud that was scanned from one place: normals
    that are estimated look to it, and nid-fit has nothing between it and the points."""
    cloud_strays: Strays = "drop"
    """Points of a cloud that lie far from all others: drop or keep. Kept ones are part of the box that the shape is
    scaled by."""


def check_clouds(settings: CloudSettings) -> None:
    """Raise InputError for the first setting of clouds that cannot be used, with its name and range."""
    if settings.cloud_points is not None and settings.cloud_points < FEWEST_POINTS:
        raise InputError(f"{OPTION}cloud-points must be at least {FEWEST_POINTS}, got {settings.cloud_points}.")
    if settings.normal_neighbours < 3:
        raise InputError(f"{OPTION}normal-neighbours must be at least 3, got {settings.normal_neighbours}.")
    if settings.scanner is not None and not np.isfinite(settings.scanner).all():
        raise InputError(f"{OPTION}scanner must be three finite numbers, got {' '.join(map(str, settings.scanner))}.")


def read_shape_surface(path: Path, settings: CloudSettings, *, tell: Tell | None = None) -> Mesh | Cloud:
    """A mesh as the file has it, or a cloud that is ready to be sampled (see `ready_cloud`), in the file's frame.

    `tell` as in `read_surface`.

    Raises:
        InputError: as `read_surface`, or hardly any points; the sentence names the file.
    """
    try:
        surface = read_surface(path, normals=settings.cloud_normals != "estimated", tell=tell)
    except AmbiguousColumns as error:
        raise InputError(f"{error} {OPTION}cloud-normals estimated reads positions only.") from error
    return ready_cloud(surface, settings, path) if isinstance(surface, Cloud) else surface


def ready_cloud(cloud: Cloud, settings: CloudSettings, path: Path) -> Cloud:
    """The cloud without double and stray points, with an outward unit normal for each, and notes of what was done.

    Takes at most 650 bytes a point, the cloud itself included (`benchmarks/cloud.py` measures it).

    Args:
        cloud: as its file has it.
        settings: what is wanted.
        path: of the file, for sentences.

    Raises:
        InputError: fewer than 10 different points.
    """
    cloud = _without_double_points(cloud)
    if len(cloud.points) < FEWEST_POINTS:
        raise InputError(f"{path} has {len(cloud.points)} different points; a shape needs at least {FEWEST_POINTS}.")
    if settings.cloud_strays == "drop":
        cloud = _without_strays(cloud)
    cloud = with_normals(cloud, settings)
    if cloud.normals is not None and is_open_scan(cloud.points, cloud.normals):
        note = "open (the surface beyond its border is made up: inr-mesh --trim-to-points auto cuts it off)"
        cloud = replace(cloud, notes=(*cloud.notes, note))
    return cloud


def with_normals(cloud: Cloud, settings: CloudSettings) -> Cloud:
    """The cloud with outward normals, and a note of what was done for it."""
    notes: tuple[str, ...]
    if settings.scanner is not None and (cloud.normals is None or settings.cloud_normals == "estimated"):
        normals, notes = _facing(cloud.points, settings), ("normals estimated, turned to the scanner",)
    elif cloud.normals is None or settings.cloud_normals == "estimated":
        normals, notes = oriented_normals(cloud.points, settings.normal_neighbours), ("normals estimated",)
    elif settings.cloud_normals == "given":
        normals, inward = oriented_outward(cloud.points, cloud.normals)
        notes = ("normals looked inward, turned",) if inward else ()
    else:
        settled = settled_normals(cloud.points, cloud.normals, settings.normal_neighbours)
        normals, notes = settled.normals, settled.notes
    if settings.scanner is not None:
        away = float((((np.array(settings.scanner) - cloud.points) * normals).sum(1) < 0).mean())
        if away > _MOST_AWAY:
            notes = (*notes, f"{away:.0%} of the normals look away from the scanner")
    return Cloud(cloud.points, normals, (*cloud.notes, *notes))


def _facing(points: Float[np.ndarray, "n 3"], settings: CloudSettings) -> Float[np.ndarray, "n 3"]:
    """Unit normals by the points' neighbours, each on the side of the scanner."""
    near = neighbourhoods(points, settings.normal_neighbours)
    directions, _ = least_variance(points, near)
    to_scanner = np.array(settings.scanner) - points
    facing = np.where((to_scanner * directions).sum(1, keepdims=True) < 0, -directions, directions)
    found = agreed(points, facing, near)
    return np.where((to_scanner * found).sum(1, keepdims=True) < 0, facing, found)


def _without_double_points(cloud: Cloud) -> Cloud:
    count = len(cloud.points)
    cloud = _only(cloud, first_of_each(cloud.points))
    notes = [f"{count - len(cloud.points):,} double points dropped"] if len(cloud.points) < count else []
    if len(cloud.points) > FEWEST_POINTS:
        kept, within = first_of_each_place(cloud.points)
        if len(kept) < len(cloud.points):
            notes.append(f"{len(cloud.points) - len(kept):,} points dropped that lie within {within:.2g} of another")
            cloud = _only(cloud, kept)
    return replace(cloud, notes=(*cloud.notes, *notes))


def _without_strays(cloud: Cloud) -> Cloud:
    stray = stray_points(cloud.points)
    count = int(stray.sum())
    if count == 0:
        return cloud
    if count > _MOST_STRAY * len(stray):
        note = f"{count:,} points kept that lie far from all others, more than are taken for stray"
        return replace(cloud, notes=(*cloud.notes, note))
    words = "1 point dropped that lies" if count == 1 else f"{count:,} points dropped that lie"
    note = f"{words} far from all others ({OPTION}cloud-strays keep keeps them)"
    return replace(_only(cloud, np.flatnonzero(~stray)), notes=(*cloud.notes, note))


def _only(cloud: Cloud, kept: np.ndarray) -> Cloud:
    if len(kept) == len(cloud.points):
        return cloud
    return replace(cloud, points=cloud.points[kept], normals=None if cloud.normals is None else cloud.normals[kept])
