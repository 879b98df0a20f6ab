"""A solid from what cameras see of a density: whatever none of them looks through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import cells_to_border, project
from inr_plugins.options import model_option
from inr_plugins.rendering.packed import sums_before
from inr_plugins.rendering.voxel_render import Rendering

_LONGEST = 160
"""Pixels along the longer side of a picture of depths."""
_RAYS_AT_ONCE = 1 << 14
_PAD = 4
"""Cells around the box."""
_FEWEST_VOTES = 2
"""Cameras that have to look through a place for it to be empty; a density learnt in seconds has holes."""
_HITS, _THIN_HITS = 0.4, 0.2
"""Cameras whose light stops at a place of a hull, for each that looks through it, that are enough to keep it; and at a
thin part of it, which is finer than the density."""
_THIN = 2.0
"""Cells: what of a hull no ball of this radius fits into is thin."""
_SPECK = 20
"""Vertices of the smallest thin part."""
_SMALLEST_PIECE = 0.01
"""Of the largest piece of the solid: smaller ones float, and go."""

Render = Callable[[Float[Tensor, "r 3"], Float[Tensor, "r 3"]], Rendering]


@dataclass(frozen=True)
class DepthView:
    """What a camera sees: the distance at which half of a ray's light is stopped, infinite where less is.

    Attributes:
        number: of the camera.
        distance: along the ray through each place of an even grid over the picture, normalised units.
    """

    number: int
    distance: Float[Tensor, "rows columns"]


def median_distance(seen: Rendering, num_rays: int) -> Float[Tensor, " r"]:
    """The distance at which half of each ray's light is stopped; infinity where it never is."""
    before = sums_before(seen.weights, seen.samples.ray, num_rays)
    crosses = (before < 0.5) & (before + seen.weights >= 0.5)
    found = torch.full((num_rays,), torch.inf, device=seen.weights.device)
    found[seen.samples.ray[crosses]] = seen.samples.distance[crosses]
    return found


@torch.no_grad()
def depth_views(cameras: Cameras, render: Render, device: torch.device) -> list[DepthView]:
    """The depths that all cameras see, at a low resolution."""
    found = []
    for number in range(len(cameras)):
        height, width = int(cameras.height[number]), int(cameras.width[number])
        shrink = min(1.0, _LONGEST / max(height, width))
        rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
        y = (torch.arange(rows) + 0.5) * (height / rows)
        x = (torch.arange(columns) + 0.5) * (width / columns)
        coords = torch.cartesian_prod(y, x).to(cameras.device)
        chosen = torch.full((len(coords), 1), number, dtype=torch.long, device=cameras.device)
        rays = cameras.generate_rays(camera_indices=chosen, coords=coords)
        parts = [
            median_distance(render(o, d), len(o))
            for o, d in zip(
                rays.origins.to(device).split(_RAYS_AT_ONCE),
                rays.directions.to(device).split(_RAYS_AT_ONCE),
                strict=True,
            )
        ]
        found.append(DepthView(number, torch.cat(parts).view(rows, columns).cpu()))
    return found


def solid_points(
    cameras: Cameras,
    views: Sequence[DepthView],
    x: Float[Tensor, "n 3"],
    *,
    margin: float,
    hits: Float[Tensor, " n"] | None = None,
) -> Bool[Tensor, " n"]:
    """Points that some picture shows, and that not several cameras look through.

    Args:
        cameras: perspective cameras, normalised frame, on the CPU.
        views: what they see.
        x: points, normalised frame.
        margin: before the depth within which nothing is said to be empty, normalised units.
        hits: of each point; it is solid, too, where so many cameras' light stops at it, within the margin, for each
            that looks through: what is thinner than a pixel is looked through by many.
    """
    votes, shown = torch.zeros(len(x), dtype=torch.int32), torch.zeros(len(x), dtype=torch.bool)
    stops = torch.zeros(len(x), dtype=torch.int32)
    for view in views:
        u, v, front = project(cameras, view.number, x)
        height, width = float(cameras.height[view.number]), float(cameras.width[view.number])
        inside = front & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        rows, columns = view.distance.shape
        row = (v.nan_to_num(0.0) * (rows / height)).long().clamp(0, rows - 1)
        column = (u.nan_to_num(0.0) * (columns / width)).long().clamp(0, columns - 1)
        way = (x - cameras.camera_to_worlds[view.number, :, 3].to(x)).norm(dim=-1)
        distance = view.distance[row, column]
        votes += inside & (way < distance - margin)
        stops += inside & ((way - distance).abs() <= margin)
        shown |= inside
    solid = votes < min(_FEWEST_VOTES, len(views))
    if hits is not None:
        solid |= stops >= hits * votes
    return shown & solid


def carved_distances(
    cameras: Cameras, render: Render, box: Float[Tensor, "2 3"], longest: int, *, margin: float, device: torch.device
) -> tuple[Float[Tensor, " 3"], float, Float[Tensor, "x y z"]]:
    """The signed distance to the border of what no camera looks through, on a lattice over a box.

    Args:
        cameras: perspective cameras, normalised frame, on the CPU.
        render: what rays see of the density.
        box: to look in; the solid is closed where it reaches past it.
        longest: cells along the longest side of the lattice.
        margin: see `solid_points`.
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
    solid[solid.clone()] = solid_points(cameras, views, x[solid], margin=margin)
    solid = without_small_pieces(solid.view([len(axis) for axis in axes]))
    if not bool(solid.any()):
        raise InputError(
            "Nothing solid was found where the cameras look: see that the poses are right, or give "
            f"{model_option('coarse_steps')} more steps."
        )
    return origin, cell, cells_to_border(solid)


def carved_hull(
    cameras: Cameras,
    render: Render,
    origin: Float[Tensor, " 3"],
    cell: float,
    distances: Float[Tensor, "x y z"],
    *,
    margin: float,
    device: torch.device,
) -> tuple[Float[Tensor, " 3"], float, Float[Tensor, "x y z"]]:
    """The signed distance to the border of what of a hull no camera looks through, on the hull's own lattice.

    Args:
        cameras: perspective cameras, normalised frame, on the CPU.
        render: what rays see of a density in the hull.
        origin: lowest vertex of the lattice, normalised frame.
        cell: edge of its cells.
        distances: to the hull's surface at its vertices, negative inside.
        margin: see `solid_points`.
        device: where the density is.

    Returns:
        As `carved_distances`.

    Raises:
        InputError: all of the hull is looked through.
    """
    views = depth_views(cameras, render, device)
    axes = [origin[i] + cell * torch.arange(n) for i, n in enumerate(distances.shape)]
    solid = (distances < 0).reshape(-1)
    x = torch.cartesian_prod(*axes)[solid]
    hits = torch.where(thin_parts(distances).reshape(-1)[solid], _THIN_HITS, _HITS)
    solid[solid.clone()] = solid_points(cameras, views, x, margin=margin, hits=hits)
    solid = without_cavities(solid.view(distances.shape))
    solid = without_flakes(solid, pictures_of(cameras, torch.cartesian_prod(*axes)).view(solid.shape))
    if not bool(solid.any()):
        raise InputError(
            "Nothing solid was found in what the masks leave of the object: see that the poses are right, or give "
            f"{model_option('hull_steps')} more steps."
        )
    return origin, cell, cells_to_border(solid)


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
