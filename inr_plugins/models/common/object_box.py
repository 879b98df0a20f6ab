"""Where the object is: the box that a surface is looked for in, from masks, or from where the cameras look.

nerfstudio's dataparsers put the origin in the middle of the cameras, and give every capture the same box around it. The
cameras of most captures stand on one side of what they look at, which then lies at the edge of that box or outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins.boxes import has_volume, scaled_box
from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import MaskedViews, masked_views, project_widely

BoxChoice = Literal["found", "scene"]

_COARSE, _FINE = 24, 64
"""Cells along the longest side of the box while it shrinks, and at the end."""
_ENOUGH = 100
"""Views that are asked at most: more tell no more of a box."""
_WRONG = 0.05
"""Part of the views that may leave something of the object out: masks have gaps."""
_PAD = 1.05
"""The box is so many times as long as what was found in it."""
_LEAST_SPREAD = 0.02
"""Least eigenvalue of the mean of 1 - a aT over axes a that have a point in common: 0 where all are parallel."""
_NEAREST, _SHARE = 0.1, 0.5
"""Without masks, half a side is this part of the distance from which the nearest tenth of the cameras look."""


@dataclass(frozen=True)
class FoundBox:
    """A box in which the object is.

    Attributes:
        box: lowest and highest corner, normalised frame.
        how: where it comes from, in words that go after "from".
    """

    box: Float[Tensor, "2 3"]
    how: str


def find_object(dataset: Any, *, masked: bool) -> FoundBox | None:
    """Where the object is, if that can be told.

    Args:
        dataset: nerfstudio's InputDataset, or what has its `cameras`, `image_filenames` and `get_data`.
        masked: what the masks or the alpha of all pictures leave; else where the cameras look.

    Returns:
        The box; None where cameras are no pinholes, or do not look at anything in common.

    Raises:
        InputError: the masks leave nothing.
    """
    cameras = dataset.cameras
    if (cameras.camera_type != CameraType.PERSPECTIVE.value).any():
        return None
    if not masked:
        box = box_of_axes(cameras)
        return None if box is None else FoundBox(box, f"where {len(cameras)} cameras look")
    count = len(cameras)
    chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(count, _ENOUGH)).round()})
    views = masked_views(dataset, chosen)
    box = box_of_masks(views)
    return None if box is None else FoundBox(box, f"{len(chosen)} masks")


def object_box(
    dataset: Any, scene_box: Float[Tensor, "2 3"], choice: BoxChoice, *, masked: bool, scale: float
) -> Tensor:
    """The box to look in: found, and said in the dataset's units, or else the dataparser's.

    Args:
        dataset: see `find_object`.
        scene_box: the dataparser's, normalised frame.
        choice: which of the two.
        masked: see `find_object`.
        scale: what its sides are multiplied by.

    Returns:
        (2, 3), normalised frame, on the CPU.

    Raises:
        InputError: the masks leave nothing.
    """
    scene_box = scene_box.detach().cpu().float()
    found = find_object(dataset, masked=masked) if choice == "found" else None
    if found is None:
        return scaled_box(scene_box, scale)
    box = scaled_box(found.box, scale)
    if comms.is_main_process():
        told = say(FoundBox(box, found.how), getattr(dataset, "metadata", None))
        CONSOLE.print(told, soft_wrap=True, highlight=False)
    return box


def say(found: FoundBox, metadata: Mapping[str, Any] | None) -> str:
    """The box in a sentence, in the dataset's units where the map to them is known."""
    box = found.box.double().numpy()
    middle, sides, frame = box.mean(0), box[1] - box[0], (metadata or {}).get("dataset_frame")
    whose = "normalised"
    if frame is not None:
        whose, middle, sides = "the dataset's", frame.inverse().points(middle[None])[0], sides / frame.scale
    size, at = " x ".join(f"{side:.3g}" for side in sides), ", ".join(f"{value:.3g}" for value in middle)
    return f"The object is looked for in a box of {size} around ({at}), {whose} units, from {found.how}."


# -- from masks --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def box_of_masks(views: MaskedViews) -> Float[Tensor, "2 3"] | None:
    """The box of what (nearly) all masks hold: cells that views leave out whole are dropped, again and again.

    A cell is left out by a view in which no part of it can lie in the mask; that holds beyond the picture's sides too
    where the mask does not reach them, and the object therefore does not. A twentieth of the views may be wrong.

    Returns:
        (2, 3), normalised frame; None where all views look alike, and no depth can be told.

    Raises:
        InputError: nothing is left.
    """
    guess = _cube_of_masks(views)
    if guess is None:
        return None
    box, looks = guess, [_Look.of(mask) for mask in views.masks]
    for _ in range(40):
        left = _shrunk(views, looks, box, _COARSE)
        if left is None:
            raise InputError(_blame(views, looks, box))
        small = float(((left[1] - left[0]) / (box[1] - box[0])).min())
        box = left
        if small > 0.8:
            break
    left = _shrunk(views, looks, box, _FINE)
    if left is None:
        raise InputError(_blame(views, looks, box))
    return scaled_box(left, _PAD)


@dataclass(frozen=True)
class _Look:
    """What of a mask is asked: how far pixels are from it, and which sides of the picture it reaches."""

    away: Float[Tensor, "height width"]
    reaches: tuple[bool, bool, bool, bool]

    @classmethod
    def of(cls, mask: Bool[Tensor, "height width"]) -> _Look:
        from scipy.ndimage import distance_transform_edt

        if not bool(mask.any()):
            away = torch.full(mask.shape, torch.inf)
        else:
            away = torch.from_numpy(distance_transform_edt(~mask.numpy())).float()
        sides = mask[:, 0], mask[:, -1], mask[0], mask[-1]
        return cls(away, tuple(bool(side.any()) for side in sides))

    def at(self, u: Tensor, v: Tensor) -> Float[Tensor, " n"]:
        """Pixels at least between points of the picture's plane and what of it the object may cover."""
        height, width = self.away.shape
        column, row = u.clamp(0, width - 1e-3), v.clamp(0, height - 1e-3)
        beyond = (column - u).square() + (row - v).square()
        found = (self.away[row.long(), column.long()].square() + beyond).sqrt()
        left, right, top, bottom = self.reaches
        open_side = ((u < 0) & left) | ((u >= width) & right) | ((v < 0) & top) | ((v >= height) & bottom)
        return torch.where(open_side, 0.0, found)


def _shrunk(views: MaskedViews, looks: list[_Look], box: Tensor, longest: int) -> Tensor | None:
    """The box of the cells that are not left out; None where all are."""
    x, cell = _cells(box, longest)
    radius, allowed = 0.5 * float(cell.norm()), int(_WRONG * len(looks))
    against, alive = torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x))
    for view, look in enumerate(looks):
        against[alive] += _left_out(views.cameras, view, look, x[alive], radius)
        alive = alive[against[alive] <= allowed]
        if len(alive) == 0:
            return None
    low, high = x[alive].amin(0) - cell / 2, x[alive].amax(0) + cell / 2
    return torch.stack([low, high])


def _cells(box: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Middles and sides of the cells that fill a box."""
    edge = float((box[1] - box[0]).max()) / longest
    counts = ((box[1] - box[0]) / edge - 1e-4).ceil().long().clamp(min=1)
    cell = (box[1] - box[0]) / counts
    axes = [box[0, i] + (torch.arange(int(counts[i])) + 0.5) * cell[i] for i in range(3)]
    return torch.cartesian_prod(*axes), cell


def _blame(views: MaskedViews, looks: list[_Look], box: Tensor) -> str:
    """In a sentence, which masks are against the places that the fewest are against."""
    x, cell = _cells(box, _COARSE)
    radius = 0.5 * float(cell.norm())
    out = torch.stack([_left_out(views.cameras, view, look, x, radius) for view, look in enumerate(looks)])
    fewest = int(out.sum(0).min())
    share = out[:, out.sum(0) == fewest].float().mean(1)
    worst = share.argsort(descending=True)[:fewest]
    if 2 * fewest >= len(looks) or float(share[worst].min()) < 0.5:
        return (
            "The masks leave nothing of the object: see that they are white where the object is, and that the poses "
            "are right; --pipeline.model.box scene does without this."
        )
    names = " and ".join(views.names[int(view)] for view in worst[:3])
    more = f" and {fewest - 3} more" if fewest > 3 else ""
    whose, verb = ("that", "disagrees") if fewest == 1 else ("those", "disagree")
    return (
        f"The masks leave nothing of the object: {whose} of {names}{more} {verb} with all others. Mend what is wrong, "
        "or leave the images out."
    )


def _left_out(cameras: Cameras, view: int, look: _Look, x: Tensor, radius: float) -> Bool[Tensor, " n"]:
    """Balls around points no part of which can be the object, as far as a view tells."""
    u, v, depth, stretch = project_widely(cameras, view, x)
    pixels = 1.2 * radius * stretch / (depth - radius).clamp(min=1e-9)
    out = look.at(u.nan_to_num(0.0), v.nan_to_num(0.0)) > pixels + 1.5
    # What may lie behind the camera is told of only by a picture that holds the object whole.
    return torch.where(depth > 1.5 * radius, out, (depth < -radius) & (not any(look.reaches)))


def _cube_of_masks(views: MaskedViews) -> Tensor | None:
    """A cube around where the rays through the masks' middles come together, that holds all cameras."""
    origins, axes = [], []
    for view, mask in enumerate(views.masks):
        at = mask.nonzero().float()
        if len(at) == 0:
            continue
        row, column = ((at.amin(0) + at.amax(0)) / 2 + 0.5).tolist()
        camera = {name: float(getattr(views.cameras, name)[view]) for name in ("fx", "fy", "cx", "cy")}
        local = torch.tensor([(column - camera["cx"]) / camera["fx"], -(row - camera["cy"]) / camera["fy"], -1.0])
        pose = views.cameras.camera_to_worlds[view].float()
        origins.append(pose[:, 3])
        axes.append(torch.nn.functional.normalize(pose[:, :3] @ local, dim=0))
    if len(origins) < 2:
        return None
    start, along = torch.stack(origins), torch.stack(axes)
    middle = nearest_point(start, along)
    if middle is None:
        return None
    reach = float((start - middle).norm(dim=-1).max())
    return torch.stack([middle - reach, middle + reach])


# -- from the cameras alone --------------------------------------------------------------------------------------------


def nearest_point(origins: Float[Tensor, "n 3"], axes: Float[Tensor, "n 3"]) -> Float[Tensor, " 3"] | None:
    """The point that is nearest to lines, in the sense of least squares; None where they are nearly parallel."""
    across = torch.eye(3).double() - axes.double()[:, :, None] * axes.double()[:, None, :]
    total = across.mean(0)
    if float(torch.linalg.eigvalsh(total)[0]) < _LEAST_SPREAD:
        return None
    return torch.linalg.solve(total, (across @ origins.double()[:, :, None])[..., 0].mean(0)).float()


@torch.no_grad()
def box_of_axes(cameras: Cameras) -> Float[Tensor, "2 3"] | None:
    """A cube around the point that cameras look at, half as deep as it is far from them.

    Returns:
        (2, 3), normalised frame; None where they do not look at one.
    """
    poses = cameras.camera_to_worlds.detach().cpu().float()
    origins, axes = poses[:, :3, 3], -poses[:, :3, 2]
    if len(poses) < 3:
        return None
    middle = nearest_point(origins, axes)
    if middle is None:
        return None
    towards = middle - origins
    ahead = (towards * axes).sum(-1) > 0.5 * towards.norm(dim=-1)
    if float(ahead.float().mean()) < 0.8:
        return None
    half = _SHARE * float(towards[ahead].norm(dim=-1).quantile(_NEAREST))
    box = torch.stack([middle - half, middle + half])
    return box if has_volume(box) else None
