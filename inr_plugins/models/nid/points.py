"""What a dictionary needs of the data before training: points of surfaces with normals, out of the first batches."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.errors import InputError
from inr_plugins.shape_points import ShapePoints
from inr_plugins.sparse_codes.code_equations import Drawn

_NO_SURFACE = (
    "None of the points that are drawn lies on the surface: raise --pipeline.datamanager.surface-share above 0."
)
_LEAST_POINTS = 10
_BOX_SIDE = 2.0
ESTIMATED = "normals estimated"
"""What is noted of a cloud whose normals were (data.shapes.clouds)."""


@runtime_checkable
class PointSource(Protocol):
    """A datamanager of shapes."""

    def next_train(self, step: int) -> tuple[ShapePoints, dict[str, Any]]:
        """Points of a training step, and what is known of them."""


@runtime_checkable
class HoldsSurfaces(Protocol):
    """A datamanager that tells what a shape is learnt from."""

    def shape_surface(self, number: int) -> Any:
        """A mesh or a cloud, normalised frame."""


@runtime_checkable
class CloudLike(Protocol):
    """Points of a surface (n, 3) with outward unit normals, or None."""

    points: np.ndarray
    normals: np.ndarray | None


def has_estimated_normals(source: PointSource) -> bool:
    """Whether the first shape is a cloud whose normals nobody gave, so that their signs are a guess."""
    surface = source.shape_surface(0) if isinstance(source, HoldsSurfaces) else None
    return ESTIMATED in getattr(surface, "notes", ())


@runtime_checkable
class HasScanner(Protocol):
    """A datamanager that may know from where a shape was scanned."""

    def scanner_of(self, number: int) -> Float[np.ndarray, " 3"] | None:
        """Where the scanner stood, normalised frame."""


def scanner_of(source: PointSource) -> Float[Tensor, " 3"] | None:
    """From where the first shape was scanned, normalised frame; None: nobody said."""
    place = source.scanner_of(0) if isinstance(source, HasScanner) else None
    return None if place is None else torch.from_numpy(place).float()


def free_space(
    scanner: Float[Tensor, " 3"], points: Float[Tensor, "n 3"], *, count: int
) -> tuple[Float[Tensor, "f 3"], Float[Tensor, " f"]]:
    """Places between a scanner and the points that it saw, where nothing can be, and how far the nearest point is.

    Args:
        scanner: where it stood.
        points: that it saw, in the same frame.
        count: most places; only those in [-1, 1]^3 and clear of all points by a fortieth of that box's side are given.
    """
    from scipy.spatial import cKDTree

    generator = torch.Generator().manual_seed(0)
    seen = points[torch.randint(len(points), (4 * count,), generator=generator).to(points.device)]
    # As many near the points as far from them, of the way that lies in the box.
    way = F.normalize(scanner.to(seen) - seen, dim=-1)
    length = torch.minimum((scanner.to(seen) - seen).norm(dim=-1), seen.new_tensor(_BOX_SIDE))
    share = torch.rand(len(seen), generator=generator).to(seen)
    places = seen + (share * length)[:, None] * way
    places = places[(places.abs() <= 1).all(-1)]
    away = torch.from_numpy(cKDTree(points.cpu().numpy()).query(places.cpu().numpy(), workers=-1)[0]).to(places)
    clear = away > _BOX_SIDE / 40
    return places[clear][:count], away[clear][:count]


def draw_surface(source: PointSource, *, points: int, most_batches: int = 64) -> Drawn:
    """Take batches of one shape until that many points of its surface were drawn, twice over.

    Of a cloud, whose points batches draw with replacement, all points are taken, or a random choice of so many.

    Args:
        source: gives the batches of steps 0, 1, ...
        points: of the surface; fewer come back where the cloud has fewer.
        most_batches: however few of their points lie on the surface.

    Raises:
        InputError: the batches hold no points of the surface, too few different ones, or none with a normal.
    """
    on, normal, off, sdf = [], [], [], []
    seen = 0
    for step in range(most_batches):
        asked, batch = source.next_train(step)
        at, is_on = asked.points[0].float(), batch["on"][0]
        if not bool(is_on.any()):
            raise InputError(_NO_SURFACE)
        on.append(at[is_on])
        normal.append(batch["normal"][0][is_on].float())
        off.append(at[~is_on])
        sdf.append(batch["sdf"][0][~is_on].float())
        seen += len(on[-1])
        if seen >= 2 * points:
            break
    cloud = cloud_of(source, points=points, device=on[0].device)
    different, normals = _different(torch.cat(on), torch.cat(normal)) if cloud is None else cloud
    known = normals.norm(dim=-1) > 0.5
    if not bool(known.any()):
        raise InputError(
            "The points have no normals and none could be estimated, so what is inside is unknown: give a mesh, or a "
            "cloud with normals."
        )
    different, normals = different[known][:points], normals[known][:points]
    if len(different) < _LEAST_POINTS:
        raise InputError(f"No code can be found from {len(different)} different points: give {_LEAST_POINTS} or more.")
    return Drawn(different, F.normalize(normals, dim=-1), torch.cat(off), torch.cat(sdf))


def surface_of(
    source: PointSource, *, points: int, device: torch.device | str
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Different points of the surface with their outward unit normals, at most so many.

    Raises:
        InputError: as `draw_surface`.
    """
    cloud = cloud_of(source, points=points, device=device)
    if cloud is not None:
        known = cloud[1].norm(dim=-1) > 0.5
        return cloud[0][known], F.normalize(cloud[1][known], dim=-1)
    drawn = draw_surface(source, points=points)
    return drawn.points, drawn.normals


def cloud_of(
    source: PointSource, *, points: int, device: torch.device | str
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]] | None:
    """Points of the cloud that the first shape is, with their normals, at most so many; None if it is no such cloud."""
    surface = source.shape_surface(0) if isinstance(source, HoldsSurfaces) else None
    if not isinstance(surface, CloudLike) or surface.normals is None:
        return None
    chosen = np.random.default_rng(0).permutation(len(surface.points))[:points]
    pair = [torch.from_numpy(each[chosen]).float().to(device) for each in (surface.points, surface.normals)]
    return pair[0], pair[1]


def _different(points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
    """Each point once, in the order in which they were first seen."""
    _, group = torch.unique(points, dim=0, return_inverse=True)
    order = torch.arange(len(points), device=points.device)
    first = torch.full_like(order[: int(group.max()) + 1], len(points)).scatter_reduce(0, group, order, "amin")
    first = first.sort().values
    return points[first], normals[first]


def draw_clouds(source: PointSource, *, shapes: int, points: int, most_batches: int = 10_000) -> Float[Tensor, "s p 6"]:
    """Points of the surface of every shape with their normals beside them.

    Args:
        source: gives the batches of steps 0, 1, ...
        shapes: how many there are.
        points: of each.
        most_batches: within which every shape must have come up often enough.

    Raises:
        InputError: the batches hold no points of the surface, or a shape does not come up.
    """
    found: list[list[Tensor]] = [[] for _ in range(shapes)]
    held = [0] * shapes
    for step in range(most_batches):
        asked, batch = source.next_train(step)
        if not bool(batch["on"].any()):
            raise InputError(_NO_SURFACE)
        for row, number in enumerate(asked.shape.tolist()):
            on = batch["on"][row]
            found[number].append(torch.cat([asked.points[row][on], batch["normal"][row][on]], -1).float())
            held[number] += len(found[number][-1])
        if min(held) >= points:
            return torch.stack([torch.cat(each)[:points] for each in found])
    raise InputError(f"Shape {held.index(min(held))} did not come up in {most_batches} batches: give fewer shapes.")
