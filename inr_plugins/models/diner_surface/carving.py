"""A solid from what cameras see of a density: whatever none of them looks through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import cells_to_border, project
from inr_plugins.models.diner_surface.closing import closed
from inr_plugins.models.diner_surface.looks import Render, depth_views, looks_at
from inr_plugins.options import model_option

_PAD = 4
"""Cells around the box."""
_HITS, _THIN_HITS = 0.4, 0.2
"""Cameras whose light stops at a place of a hull, for each that looks through it, that are enough to keep it; and at a
thin part of it, which is finer than the density."""
_THIN = 2.0
"""Cells: what of a hull no ball of this radius fits into is thin."""
_SPECK = 20
"""Vertices of the smallest thin part."""
_SMALLEST_PIECE = 0.01
"""Of the largest piece of the solid: smaller ones float, and go."""


def carved_distances(
    cameras: Cameras, render: Render, box: Float[Tensor, "2 3"], longest: int, *, margin: float, device: torch.device
) -> tuple[Float[Tensor, " 3"], float, Float[Tensor, "x y z"]]:
    """The signed distance to the border of what no camera looks through, on a lattice over a box.

    Args:
        cameras: perspective cameras, normalised frame, on the CPU.
        render: what rays see of the density.
        box: to look in; the solid is closed where it reaches past it.
        longest: cells along the longest side of the lattice.
        margin: see `looks_at`.
        device: where the density is.

    Returns:
        Lowest corner and edge of the cells, normalised units, and the distance of each vertex in cells, negative
        inside.

    Raises:
        InputError: all of the box is looked through.
    """
    views = depth_views(cameras, render, device)
    cell = float((box[1] - box[0]).max()) / (longest - 2 * _PAD)
    counts = ((box[1] - box[0]) / cell - 1e-3).ceil().long() + 2 * _PAD
    origin = box.mean(0) - cell / 2 * counts
    axes = [origin[i] + cell * torch.arange(int(counts[i]) + 1) for i in range(3)]
    x = torch.cartesian_prod(*axes)
    # The last vertex within the box is outside: the surface is in the box then.
    solid = ((x > box[0] + cell / 2) & (x < box[1] - cell / 2)).all(-1)
    solid[solid.clone()] = looks_at(cameras, views, x[solid], margin=margin).solid()
    solid = without_small_pieces(solid.view([len(axis) for axis in axes]))
    if not bool(solid.any()):
        raise InputError(
            "Nothing solid was found where the cameras look: see that the poses are right, or give "
            f"{model_option('coarse_steps')} more steps."
        )
    return origin, cell, cells_to_border(solid)


@dataclass(frozen=True)
class CarvedHull:
    """What of a hull is the object, on the hull's lattice.

    Attributes:
        distances: signed, of each vertex to the border of the object, in cells, negative inside.
        hidden: what no camera looks through and none sees, and which was taken out nevertheless.
    """

    distances: Float[Tensor, "x y z"]
    hidden: Bool[Tensor, "x y z"]


def carved_hull(
    cameras: Cameras,
    render: Render,
    origin: Float[Tensor, " 3"],
    cell: float,
    distances: Float[Tensor, "x y z"],
    *,
    margin: float,
    device: torch.device,
) -> CarvedHull:
    """What of a hull no camera looks through, closed where none sees it by the smallest surface.

    Args:
        cameras: perspective cameras, normalised frame, on the CPU.
        render: what rays see of a density in the hull.
        origin: lowest vertex of the lattice, normalised frame.
        cell: edge of its cells.
        distances: to the hull's surface at its vertices, in cells, negative inside.
        margin: see `looks_at`.
        device: where the density is.

    Raises:
        InputError: all of the hull is looked through.
    """
    views = depth_views(cameras, render, device)
    axes = [origin[i] + cell * torch.arange(n) for i, n in enumerate(distances.shape)]
    hull = distances < 0
    x = torch.cartesian_prod(*axes)[hull.reshape(-1)]
    looks = looks_at(cameras, views, x, margin=margin)
    solid, seen = torch.zeros(2, *hull.shape, dtype=torch.bool)
    solid[hull] = looks.solid(torch.where(thin_parts(distances)[hull], _THIN_HITS, _HITS))
    seen[hull] = looks.seen
    solid = without_cavities(solid)
    kept = without_cavities(closed(solid, seen))
    kept = without_flakes(kept, pictures_of(cameras, torch.cartesian_prod(*axes)).view(solid.shape))
    if not bool(kept.any()):
        raise InputError(
            "Nothing solid was found in what the masks leave of the object: see that the poses are right, or give "
            f"{model_option('hull_steps')} more steps."
        )
    return CarvedHull(cells_to_border(kept), solid & ~kept)


def thin_parts(distances: Float[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """What is inside, but in no ball of radius `_THIN` that is: rods, plates and sharp edges (a morphological opening
    leaves them out).

    Args:
        distances: signed, in cells, negative inside.
    """
    from scipy.ndimage import distance_transform_edt, label

    inside, core = distances < 0, distances <= -_THIN
    if not bool(core.any()):
        return inside
    # Half a cell's diagonal more, since middles of balls are vertices here; what rounding leaves beyond that is specks.
    thin = (distance_transform_edt(~core.numpy()) > _THIN + 0.5 * 3**0.5) & inside.numpy()
    pieces, _ = label(thin, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.reshape(-1))
    return torch.from_numpy(thin & (sizes >= _SPECK)[pieces])


def pictures_of(cameras: Cameras, x: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    """How many pictures show each point, whatever is before it."""
    shows = torch.zeros(len(x), dtype=torch.int32)
    for number in range(len(cameras)):
        u, v, front = project(cameras, number, x)
        shows += front & (u >= 0) & (u < cameras.width[number]) & (v >= 0) & (v < cameras.height[number])
    return shows


def without_cavities(solid: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The solid, and what it shuts in, which no camera can look into."""
    from scipy.ndimage import binary_fill_holes

    return torch.from_numpy(binary_fill_holes(solid.numpy()))


def without_flakes(solid: Bool[Tensor, "x y z"], shown: Int[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The solid without small pieces before a few cameras: what only half as many pictures show as the largest piece.

    Small pieces that all cameras see are a part of the object.
    """
    from scipy.ndimage import label

    pieces, _ = label(solid.numpy(), np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    seen = np.bincount(pieces.reshape(-1), shown.reshape(-1).numpy()) / np.maximum(sizes, 1)
    largest = sizes.argmax()
    kept = (sizes >= _SMALLEST_PIECE * sizes[largest]) | (seen > 0.5 * seen[largest])
    return solid & torch.from_numpy(kept[pieces])


def without_small_pieces(solid: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The solid without what floats beside it."""
    from scipy.ndimage import label

    pieces, count = label(solid.numpy())
    if count < 2:
        return solid
    sizes = torch.bincount(torch.from_numpy(pieces).reshape(-1).long())
    sizes[0] = 0
    return (sizes >= _SMALLEST_PIECE * sizes.max())[torch.from_numpy(pieces).long()]
