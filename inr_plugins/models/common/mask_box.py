"""The box that masks leave for the object: what nearly all pictures allow, however the cameras stand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.boxes import scaled_box
from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import MaskedViews, project_widely
from inr_plugins.rendering.grid.march import box_interval

_COARSE, _FINE = 24, 64
"""Cells along the longest side of the box while it shrinks, and at the end."""
_PIXELS = 320
"""Of a mask's longest side that are told apart, about."""
_FEW = 24
"""Views up to which the one that disagrees is looked for."""
_WRONG = 0.05
"""Part of the views that may leave something of the object out: masks have gaps."""
_HELD = 0.1
"""Part of the views in which a place of the object is seen."""
_WIDEST, _DEEP, _DEEP_CUT = 0.9, 2.0, 1.2
"""How wide the object is, of all views; and how deep it may be, as a part of that."""
_PAD = 1.2
"""The box is so many times as long as what was found in it: a young surface is larger than the object."""
_LEAST_SPREAD = 0.02
"""Least eigenvalue of the mean of 1 - a aT over axes a that have a point in common: 0 where all are parallel."""
_NOTHING = (
    "The masks leave nothing of the object: see that they are white where the object is, and that the poses are right; "
    "--pipeline.model.box scene does without this."
)
_AWAY = (
    "The cameras look away from the place where the rays through their masks come together: if they should look at it, "
    "the poses have OpenCV's axes (y down, z forward), so turn the signs of the second and third column of each "
    "transform_matrix; a room that the cameras stand in is for cn-neus-room."
)


@torch.no_grad()
def box_of_masks(views: MaskedViews) -> Float[Tensor, "2 3"] | None:
    """The box of what (nearly) all masks hold: cells that views leave out whole are dropped, again and again.

    A cell is left out by a view in which no part of it can lie in the mask; that holds beyond the picture's sides too
    where the mask does not reach them, and the object therefore does not. A twentieth of the views may be wrong. A
    tenth has to hold it. Masks bound no depth where the cameras stand close together or all pictures cut the object
    off: so it is taken to be no deeper than it is wide, or twice as deep where most pictures show it whole.

    Returns:
        (2, 3), normalised frame; None where all views look alike, and no depth can be told.

    Raises:
        InputError: nothing is left.
    """
    looks = [_Look.of(mask) for mask in views.masks]
    held = [view for view, mask in enumerate(views.masks) if bool(mask.any())]
    if len(held) < 2:
        if len(looks) > 1:
            raise InputError(_NOTHING)
        return None
    if _rough_place(views, held) is None:
        return None
    box = _search(views, looks, [*range(len(looks))])
    if box is None:
        raise InputError(_blame(views, looks))
    return scaled_box(box, _PAD)


def _search(views: MaskedViews, looks: list[_Look], chosen: list[int]) -> Tensor | None:
    """The box of what some views leave; None where they leave nothing, or something that most of them look past."""
    guess = _rough_place(views, [view for view in chosen if bool(views.masks[view].any())])
    if guess is None:
        return None
    cut = sum(any(looks[view].reaches) for view in chosen)
    middle, wide, starts, axes = guess
    half = wide * (_DEEP_CUT if 2 * cut > len(chosen) else _DEEP)
    box = torch.stack([middle - half, middle + half])
    for _ in range(40):
        left = _shrunk(views, looks, chosen, box, _COARSE)
        if left is None:
            return None
        small = float(((left[1] - left[0]) / (box[1] - box[0])).min())
        box = left
        if small > 0.8:
            break
    found = _shrunk(views, looks, chosen, box, _FINE)
    if found is None:
        return None
    enter, leave = box_interval(starts, axes, scaled_box(found, 1.5))
    return found if float((leave > enter).float().mean()) > 0.5 else None


def _blame(views: MaskedViews, looks: list[_Look]) -> str:
    """In a sentence: cameras look away; or which mask is against the others, if without it they leave something."""
    guess = _rough_place(views, [view for view, mask in enumerate(views.masks) if bool(mask.any())])
    if guess is not None and float((((guess[0] - guess[2]) * guess[3]).sum(-1) < 0).float().mean()) > 0.5:
        return _AWAY
    count = len(looks)
    if count <= _FEW:
        without = [[view for view in range(count) if view != out] for out in range(count)]
        worst = [out for out, chosen in enumerate(without) if _search(views, looks, chosen) is not None]
        if len(worst) == 1:
            return (
                f"The masks leave nothing of the object: that of {views.names[worst[0]]} disagrees with all others. "
                "Mend it, or leave the image out."
            )
    return _NOTHING


@dataclass(frozen=True)
class _Look:
    """What of a mask is asked: how far pixels are from it, and which sides of the picture it reaches.

    Attributes:
        away: of blocks of step x step pixels, at least so many pixels.
        step: pixels along a block.
        size: height and width of the picture.
        reaches: whether the mask reaches its left, right, top and bottom side.
    """

    away: Float[Tensor, "rows columns"]
    step: int
    size: tuple[int, int]
    reaches: tuple[bool, bool, bool, bool]

    @classmethod
    def of(cls, mask: Bool[Tensor, "height width"]) -> _Look:
        from scipy.ndimage import distance_transform_edt

        step = max(1, round(max(mask.shape) / _PIXELS))
        blocks = F.max_pool2d(mask.float()[None, None], step, ceil_mode=True)[0, 0] > 0
        if not bool(mask.any()):
            away = torch.full(blocks.shape, torch.inf)
        else:
            found = torch.from_numpy(distance_transform_edt(~blocks.numpy())).float()
            away = step * (found - (1.5 if step > 1 else 0.0)).clamp(min=0)
        left, right, top, bottom = (bool(side.any()) for side in (mask[:, 0], mask[:, -1], mask[0], mask[-1]))
        return cls(away, step, (mask.shape[0], mask.shape[1]), (left, right, top, bottom))

    def at(self, u: Tensor, v: Tensor) -> Float[Tensor, " n"]:
        """Pixels at least between points of the picture's plane and what of it the object may cover."""
        height, width = self.size
        column, row = u.clamp(0, width - 1e-3), v.clamp(0, height - 1e-3)
        beyond = (column - u).square() + (row - v).square()
        at = (row / self.step).long(), (column / self.step).long()
        found = (self.away[at].square() + beyond).sqrt()
        left, right, top, bottom = self.reaches
        open_side = ((u < 0) & left) | ((u >= width) & right) | ((v < 0) & top) | ((v >= height) & bottom)
        return torch.where(open_side, 0.0, found)


def _shrunk(views: MaskedViews, looks: list[_Look], chosen: list[int], box: Tensor, longest: int) -> Tensor | None:
    """The box of the cells that the chosen views do not leave out; None where all are."""
    x, cell = _cells(box, longest)
    radius, allowed = 0.5 * float(cell.norm()), int(_WRONG * len(chosen))
    against, held = torch.zeros(len(x), dtype=torch.int64), torch.zeros(len(x), dtype=torch.int64)
    alive = torch.arange(len(x))
    for view in chosen:
        out, shown = _left_out(views.cameras, view, looks[view], x[alive], radius)
        against[alive] += out
        held[alive] += shown & ~out
        alive = alive[against[alive] <= allowed]
        if len(alive) == 0:
            return None
    alive = alive[held[alive] >= _HELD * len(chosen)]
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


def _left_out(
    cameras: Cameras, view: int, look: _Look, x: Tensor, radius: float
) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]:
    """Balls around points no part of which can be the object, as far as a view tells, and those in its picture."""
    u, v, depth, stretch = project_widely(cameras, view, x)
    height, width = look.size
    pixels = 1.2 * radius * stretch / (depth - radius).clamp(min=1e-9)
    before = depth > 1.5 * radius
    out = look.at(u.nan_to_num(0.0), v.nan_to_num(0.0)) > pixels + 1.5
    # What may lie behind the camera is told of only by a picture that holds the object whole.
    out = torch.where(before, out, (depth < -radius) & (not any(look.reaches)))
    shown = (u > -pixels) & (u < width + pixels) & (v > -pixels) & (v < height + pixels)
    return out, shown & before


def _rough_place(views: MaskedViews, chosen: list[int]) -> tuple[Tensor, float, Tensor, Tensor] | None:
    """Where the rays through the masks' middles come together, half the diagonal of what they show, and those rays.

    None where they are nearly parallel.
    """
    origins, axes, angles = [], [], []
    for view in chosen:
        at = views.masks[view].nonzero().float()
        (row, column), (high, wide) = ((at.amin(0) + at.amax(0)) / 2 + 0.5).tolist(), (at.amax(0) - at.amin(0)).tolist()
        camera = {name: float(getattr(views.cameras, name)[view]) for name in ("fx", "fy", "cx", "cy")}
        local = torch.tensor([(column - camera["cx"]) / camera["fx"], -(row - camera["cy"]) / camera["fy"], -1.0])
        pose = views.cameras.camera_to_worlds[view].float()
        origins.append(pose[:, 3])
        axes.append(F.normalize(pose[:, :3] @ local, dim=0))
        angles.append(0.5 * ((high + 1) ** 2 / camera["fy"] ** 2 + (wide + 1) ** 2 / camera["fx"] ** 2) ** 0.5)
    start, along = torch.stack(origins), torch.stack(axes)
    middle = nearest_point(start, along)
    if middle is None:
        return None
    return middle, float(((start - middle).norm(dim=-1) * torch.tensor(angles)).quantile(_WIDEST)), start, along


def nearest_point(origins: Float[Tensor, "n 3"], axes: Float[Tensor, "n 3"]) -> Float[Tensor, " 3"] | None:
    """The point that is nearest to lines, in the sense of least squares; None where they are nearly parallel."""
    across = torch.eye(3).double() - axes.double()[:, :, None] * axes.double()[:, None, :]
    total = across.mean(0)
    if float(torch.linalg.eigvalsh(total)[0]) < _LEAST_SPREAD:
        return None
    return torch.linalg.solve(total, (across @ origins.double()[:, :, None])[..., 0].mean(0)).float()
