"""What the panel "Look" shows, in numbers: slices through a field, clouds of what is dense, pictures shaded anew."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from inr_plugins.fields.moved_level import at_level
from inr_plugins.fields.protocol import ColourField, DensityField, OccupancyField, SDFField
from inr_plugins.rendering.normal_shading import AMBIENT

Kind = Literal["distance", "occupancy", "density"]
Pause = Callable[[float], None]

MOST_POINTS = 50_000
"""Of a cloud in the page."""
_POINTS_AT_ONCE = 4096
_INSIDE, _OUTSIDE, _MIDDLE = np.array([30, 80, 180]), np.array([200, 60, 35]), np.array([250, 250, 245])
_NOWHERE = np.array([120, 120, 120], dtype=np.uint8)
_CONTOUR_SHADE = 0.7
_CONTOURS = 8
"""On each side of zero, about."""
_TRIAL_POINTS = 512
_COARSEST, _FINEST = 16, 128


def kind_of(field: Any) -> Kind | None:
    """What a field answers; None if nothing that can be looked at."""
    if isinstance(field, SDFField):
        return "distance"
    if isinstance(field, OccupancyField):
        return "occupancy"
    return "density" if isinstance(field, DensityField) else None


def box_of(model: Any) -> Float[Tensor, "2 3"]:
    """The box that a model's field lives in, normalised frame."""
    box = model.surface_aabb() if hasattr(model, "surface_aabb") else model.scene_box.aabb
    return box.detach().float().to(model.device)


def move_level(model: Any, level: float) -> None:
    """Have a shallow copy of a model draw another level of its field; modules that it shares stay as they are."""
    if isinstance(getattr(type(model), "field", None), property):
        if hasattr(model, "field_of"):
            own = model.field_of
            vars(model)["field_of"] = lambda shape: at_level(own(shape), level)
        return
    vars(model)["field"] = at_level(model.field, level)


# -- slices ------------------------------------------------------------------------------------------------------------


def slice_points(
    middle: Float[np.ndarray, " 3"], rotation: Float[np.ndarray, "3 3"], side: float, pixels: int
) -> Float[Tensor, "n 3"]:
    """Middles of a square's pixels, row by row: columns run along its first axis, rows along its second.

    Args:
        middle: of the square, normalised frame.
        rotation: whose columns are its axes.
        side: its length, normalised units.
        pixels: along a side.
    """
    at = ((np.arange(pixels) + 0.5) / pixels - 0.5) * side
    points = middle + at[None, :, None] * rotation[:, 0] + at[:, None, None] * rotation[:, 1]
    return torch.from_numpy(points.reshape(-1, 3)).float()


@torch.no_grad()
def slice_values(model: Any, points: Float[Tensor, "n 3"], pause: Pause) -> Float[np.ndarray, " n"]:
    """Signed distance in normalised units, or probability less one half with the sign turned; NaN outside the box."""
    field, box = model.field, box_of(model)
    points = points.to(model.device)
    within = ((points >= box[0]) & (points <= box[1])).all(-1).nonzero()[:, 0]
    values = torch.full((len(points),), float("nan"), device=points.device)
    for part in within.split(_POINTS_AT_ONCE):
        begin = time.thread_time()
        at = points[part]
        values[part] = (field.sdf(at) if isinstance(field, SDFField) else 0.5 - field.occupancy(at)).float()
        pause(time.thread_time() - begin)
    return values.cpu().numpy()


def spacing_of(largest: float) -> float:
    """A round number, 1, 2 or 5 times a power of ten, of which about eight reach the largest value."""
    wanted = max(largest, 1e-12) / _CONTOURS
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * 0.999)


def colour_slice(values: Float[np.ndarray, "h w"], *, spacing: float) -> UInt8[np.ndarray, "h w 3"]:
    """Blue inside, red outside, pale at zero; contours darker, the zero line black and wider; grey where NaN.

    Args:
        values: negative inside.
        spacing: of the contours, in the values' units; the colours are full at eight of it.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    strength = np.clip(np.abs(filled) / (_CONTOURS * spacing), 0, 1)[..., None] ** 0.6
    image = _MIDDLE + (np.where(filled[..., None] < 0, _INSIDE, _OUTSIDE) - _MIDDLE) * strength
    image = image * np.where(_borders(np.floor(filled / spacing), known), _CONTOUR_SHADE, 1.0)[..., None]
    zero = _borders((filled < 0).astype(float), known)
    wide = zero.copy()
    wide[:-1] |= zero[1:]
    wide[:, :-1] |= zero[:, 1:]
    image[wide] = 0
    image = image.astype(np.uint8)
    image[~known] = _NOWHERE
    return image


def _borders(bands: Float[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels that are in another band than the one below them or to their right."""
    found = np.zeros(bands.shape, dtype=bool)
    found[:-1] |= (bands[:-1] != bands[1:]) & known[:-1] & known[1:]
    found[:, :-1] |= (bands[:, :-1] != bands[:, 1:]) & known[:, :-1] & known[:, 1:]
    return found


# -- clouds ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cloud:
    """Points of a lattice at which a field is dense.

    Attributes:
        points: normalised frame.
        colours: of the field seen towards the middle of its box, or grey.
        edge: distance of neighbours, normalised units.
        total: points above the threshold, of which the inmost are left out, and of more than fit in a page some.
    """

    points: Float[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"]
    edge: float
    total: int


@torch.no_grad()
def cloud_of(model: Any, threshold: float, *, seconds: float, pause: Pause) -> Cloud:
    """Where a density is above a threshold.

    Args:
        model: in eval mode.
        threshold: density, 1 / normalised unit.
        seconds: of processor time, about; sets how fine the lattice is.
        pause: called after each piece with the seconds that it took; may wait, or raise.
    """
    field, box = model.field, box_of(model)
    middle = box.mean(0)
    sides = box[1] - box[0]
    trial = box[0] + sides * torch.linspace(0, 1, _TRIAL_POINTS, device=box.device)[:, None]
    begin = time.thread_time()
    field.density(trial)
    each = max((time.thread_time() - begin) / _TRIAL_POINTS, 1e-8)
    edge = float((sides.prod() / (seconds / each)) ** (1 / 3))
    longest = float(sides.max())
    edge = min(max(edge, longest / _FINEST), longest / _COARSEST)
    shape = [max(1, round(float(side) / edge)) for side in sides]
    axes = [box[0, axis] + (torch.arange(n, device=box.device) + 0.5) * sides[axis] / n for axis, n in enumerate(shape)]
    points = torch.cartesian_prod(*axes)
    dense = torch.zeros(len(points), dtype=torch.bool, device=box.device)
    for start in range(0, len(points), _POINTS_AT_ONCE):
        begin = time.thread_time()
        dense[start : start + _POINTS_AT_ONCE] = field.density(points[start : start + _POINTS_AT_ONCE]) > threshold
        pause(time.thread_time() - begin)
    total = int(dense.sum())
    kept = points[_skin(dense.view(*shape)).reshape(-1)]
    if len(kept) > MOST_POINTS:
        # Evenly along the lattice, the same ones each time.
        kept = kept[torch.linspace(0, len(kept) - 1, MOST_POINTS, device=box.device).long()]
    colours = torch.full_like(kept, 0.7)
    if isinstance(field, ColourField):
        for start in range(0, len(kept), _POINTS_AT_ONCE):
            begin = time.thread_time()
            at = kept[start : start + _POINTS_AT_ONCE]
            towards = torch.nn.functional.normalize(middle - at, dim=-1)
            colours[start : start + _POINTS_AT_ONCE] = field.colour(at, towards).float()
            pause(time.thread_time() - begin)
    shown = (colours.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return Cloud(kept.cpu().numpy(), shown, edge, total)


def _skin(dense: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """Those of which one of six neighbours is not dense, or is beyond the lattice: others cannot be seen."""
    padded = torch.nn.functional.pad(dense, (1, 1, 1, 1, 1, 1))
    inner = torch.ones_like(dense)
    for axis in range(3):
        for shift in (-1, 1):
            inner &= padded.roll(shift, axis)[1:-1, 1:-1, 1:-1]
    return dense & ~inner


# -- shading -----------------------------------------------------------------------------------------------------------


def shade_anew(
    outputs: dict[str, Tensor], directions: Float[Tensor, "h w 3"], behind: Float[Tensor, " 3"], *, grey: bool
) -> bool:
    """Put a grey surface lit from the eye, or its normals as colours, into a frame's rgb.

    Args:
        outputs: of a frame: rgb, accumulation and normals in [0, 1]; rgb is replaced.
        directions: of its rays, unit length.
        behind: colour of what is behind everything.
        grey: else normals.

    Returns:
        Whether that could be done: whether the frame has normals.
    """
    if not {"rgb", "normals", "accumulation"} <= outputs.keys():
        return False
    seen, normal = outputs["accumulation"], 2 * outputs["normals"] - 1
    shown = outputs["normals"]
    if grey:
        facing = -(torch.nn.functional.normalize(normal, dim=-1) * directions).sum(-1, keepdim=True)
        shown = (0.9 * (AMBIENT + (1 - AMBIENT) * facing.clamp(0, 1))).expand_as(normal)
    outputs["rgb"] = (shown * seen + behind.to(seen) * (1 - seen)).clamp(0, 1)
    return True
