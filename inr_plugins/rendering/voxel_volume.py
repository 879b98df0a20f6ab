"""Pictures of a volume of voxels by rays through all of it: the greatest value on each ray, or what a fog of it shows.

A volume is a tensor of the scene's z, y and x, whose box is centred in the normalised frame; values are 0 (clear and
black) to 1 (white). Between the middles of voxels they are interpolated linearly, and outside of them as at the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.rendering.crop import Crop
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.normal_shading import AMBIENT

RayKind = Literal["density", "maximum"]
_SAMPLES_AT_ONCE = 1 << 20
_HARDLY = 1e-3
_FLAT = 0.1
"""Slope, as a share of the steepest one, at which half of a sample's brightness is that of a surface."""


@dataclass(frozen=True)
class VolumePicture:
    """What rays see.

    Attributes:
        hits: whether a ray meets the box, inside the crop.
        grey: what it sees in front of black, 0 to 1.
        depth: distance along the ray of the greatest value, or of what light comes from on average; 0 without any.
    """

    hits: Bool[Tensor, " r"]
    grey: Float[Tensor, " r"]
    depth: Float[Tensor, " r"]


@torch.no_grad()
def picture_of(
    values: Float[Tensor, "nz ny nx"],
    half_extent: tuple[float, float, float],
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    *,
    kind: RayKind,
    opacity: float = 20.0,
    crop: Crop | None = None,
) -> VolumePicture:
    """What rays see of a volume, at samples that are the shortest side of a voxel apart.

    "maximum" is the greatest value on a ray. "density" is emission and absorption: a sample of value v has the optical
    depth `opacity` v times its length, and the light sum T (1 - exp(-depth)) v, darker where a surface, which is where
    v has a slope, is seen from the side.

    Args:
        values: of the voxels, in [0, 1].
        half_extent: of the box along x, y and z, normalised units.
        origins: of rays, normalised frame.
        directions: unit ones.
        kind: which of the two.
        opacity: absorption of a value of 1, by the normalised unit.
        crop: distances between which rays are looked at.
    """
    count, device = len(origins), origins.device
    half = origins.new_tensor(half_extent)
    box = torch.stack([-half, half])
    enter, leave = box_interval(origins, directions, box)
    enter = enter.clamp(min=0)
    if crop is not None:
        enter, leave = torch.maximum(enter, crop[0].to(enter)), torch.minimum(leave, crop[1].to(leave))
    hits = leave > enter
    grey, depth = (torch.zeros(count, dtype=origins.dtype, device=device) for _ in range(2))
    sizes = 2 * half / half.new_tensor(values.shape[::-1])
    step = float(sizes.min())
    volume = values.to(origins.dtype)[None]
    slopes = _slopes(volume[0], sizes) if kind == "density" else volume
    rays = hits.nonzero()[:, 0]
    most = int((2 * half).norm() / step) + 1
    for part in rays.split(max(1, _SAMPLES_AT_ONCE // most)):
        begin, end = enter[part], leave[part]
        number = torch.arange(int(((end - begin) / step).max().ceil()), device=device)
        start = begin[:, None] + step * number
        length = (end[:, None] - start).clamp(0, step)
        middle = start + length / 2
        points = (origins[part, None] + directions[part, None] * middle[..., None]) / half
        value = torch.where(length > 0, _read(volume, points.reshape(-1, 3)).reshape(length.shape), -1.0)
        if kind == "maximum":
            grey[part], place = value.max(-1)
            depth[part] = middle.gather(1, place[:, None])[:, 0]
            continue
        thickness = opacity * value.clamp(min=0) * length
        before = thickness.cumsum(-1) - thickness
        weight = torch.exp(-before) * -torch.expm1(-thickness)
        light = weight * value
        # What is hardly seen needs no shading, which costs three times as much as the values.
        ray, sample = (weight > _HARDLY).nonzero(as_tuple=True)
        light[ray, sample] *= _lit(_read(slopes, points[ray, sample]), directions[part][ray])
        grey[part] = light.sum(-1)
        depth[part] = (weight * middle).sum(-1) / weight.sum(-1).clamp(min=1e-6)
    return VolumePicture(hits, grey.clamp(0, 1), depth)


def _read(channels: Float[Tensor, "c nz ny nx"], points: Float[Tensor, "n 3"]) -> Float[Tensor, "c n"]:
    """Values at points of the box, from -1 to 1 along x, y and z."""
    found = F.grid_sample(channels[None], points[None, None, None], padding_mode="border", align_corners=False)
    return found[0, :, 0, 0]


def _slopes(values: Float[Tensor, "nz ny nx"], sizes: Float[Tensor, " 3"]) -> Float[Tensor, "3 nz ny nx"]:
    """Along x, y and z, as shares of the steepest one."""
    found = [
        torch.gradient(values, dim=dim)[0] / sizes[axis] if values.shape[dim] > 1 else torch.zeros_like(values)
        for axis, dim in enumerate((2, 1, 0))
    ]
    slopes = torch.stack(found)
    return slopes / slopes.norm(dim=0).max().clamp(min=1e-12)


def _lit(slopes: Float[Tensor, "3 n"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """How bright a sample is: as a surface that its slope is normal to, lit from the eye, the more so the steeper."""
    steep = slopes.norm(dim=0)
    facing = (slopes * directions.T).sum(0).abs() / steep.clamp(min=1e-12)
    share = steep / (steep + _FLAT)
    return 1 - share + share * (AMBIENT + (1 - AMBIENT) * facing)
