"""Volume rendering of signed distances on a lattice: march the band, make sections, shade what is seen.

A section lies between two samples of a ray that follow each other. With the distances f at its two ends and a
sharpness s it stops, as NeuS's eq. 13 has it,

    alpha = max((S(s f_begin) - S(s f_end)) / S(s f_begin), 0) = 1 - exp(-tau),
    tau = max(log S(s f_begin) - log S(s f_end), 0),

S being the logistic function. Neighbouring sections share an end, so that along a falling distance their product
depends on its first and last value only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.rendering.crop import Crop, within
from inr_plugins.rendering.grid.march import OccupancyGrid, Samples, march
from inr_plugins.rendering.packed import accumulate, packed_weights
from inr_plugins.rendering.voxel_render import MarchSettings


@runtime_checkable
class DistanceShading(Protocol):
    """What the renderer asks of signed distances on a lattice, at samples in cells that hold them."""

    def corners(
        self, flat_cell: Int[Tensor, " s"], fraction: Float[Tensor, "s 3"]
    ) -> tuple[Int[Tensor, "s 8"], Float[Tensor, "s 8"]]:
        """Table rows and weights of the eight vertices around each sample."""

    def located(self, x: Float[Tensor, "s 3"]) -> tuple[Bool[Tensor, " s"], Tensor, Tensor]:
        """Whether points lie in cells that hold something, and the flat cell and fraction of those that do."""

    def distance_at(self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"]) -> Float[Tensor, " s"]:
        """Signed distance in cells."""

    def colour_at(
        self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"], directions: Float[Tensor, "s 3"]
    ) -> Float[Tensor, "s 3"]:
        """RGB in [0, 1]."""

    def normal_at(self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"]) -> Float[Tensor, "s 3"]:
        """Unit normals, towards larger distances."""


@dataclass(frozen=True)
class DistanceRendering:
    """What rays see.

    Attributes:
        rgb: sum of weights times colours; not blended with any background.
        accumulation: opacity in [0, 1].
        depth: expected distance along the ray of what is seen, 0 where nothing is.
        normals: unit normal of what is seen, zero where nothing is; None unless asked for.
    """

    rgb: Float[Tensor, "r 3"]
    accumulation: Float[Tensor, "r 1"]
    depth: Float[Tensor, "r 1"]
    normals: Float[Tensor, "r 3"] | None


def section_depth(
    begin: Float[Tensor, "*n"], end: Float[Tensor, "*n"], sharpness: float | Float[Tensor, ""]
) -> Float[Tensor, "*n"]:
    """-log(1 - alpha) of sections, >= 0, from the signed distances at their ends (see the module)."""
    return (F.logsigmoid(sharpness * begin) - F.logsigmoid(sharpness * end)).clamp(min=0)


def render_distances(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    field: DistanceShading,
    grid: OccupancyGrid,
    settings: MarchSettings,
    sharpness: float,
    *,
    jitter: Float[Tensor, " r"] | None = None,
    with_normals: bool = False,
    crop: Crop | None = None,
) -> DistanceRendering:
    """Render rays against signed distances in a band of cells.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        field: distances and colours at the vertices of the grid's cells.
        grid: the cells that are marched.
        settings: how rays are sampled.
        sharpness: s, in 1 / cell.
        jitter: offset of each ray's samples in steps, [0, 1); the middle of the step when None.
        with_normals: also composite normals.
        crop: the part of each ray that is wanted, if not all of it.
    """
    num_rays, step = len(origins), settings.step * grid.edge
    samples = march(origins, directions, grid, step=step, near=settings.near, far=settings.far, jitter=jitter)
    samples = within(samples, crop)
    distance = field.distance_at(*field.corners(samples.flat_cell, samples.fraction))
    follows = (samples.ray[1:] == samples.ray[:-1]) & (samples.distance[1:] - samples.distance[:-1] < 1.5 * step)
    first = follows.nonzero()[:, 0]
    begin, end, ray = distance[first], distance[first + 1], samples.ray[first]
    weights, _ = packed_weights(section_depth(begin, end, sharpness), ray, num_rays)
    accumulation = accumulate(weights, None, ray, num_rays)
    seen = (weights.detach() > settings.min_weight).nonzero()[:, 0]
    first, weights, ray = first[seen], weights[seen], ray[seen]
    at, flat_cell, fraction = _places(origins, directions, samples, first, begin[seen], end[seen], field)
    rows, corner_weights = field.corners(flat_cell, fraction)
    colours = field.colour_at(rows, corner_weights, directions[ray])
    with torch.no_grad():
        total = accumulate(weights, None, ray, num_rays)
        depth = accumulate(weights, at[:, None], ray, num_rays) / total.clamp(min=1e-6)
        normals = None
        if with_normals:
            each = field.normal_at(rows, corner_weights)
            normals = F.normalize(accumulate(weights, each, ray, num_rays), dim=-1)
    return DistanceRendering(accumulate(weights, colours, ray, num_rays), accumulation, depth, normals)


@torch.no_grad()
def _places(
    origins: Tensor,
    directions: Tensor,
    samples: Samples,
    first: Tensor,
    begin: Tensor,
    end: Tensor,
    field: DistanceShading,
) -> tuple[Tensor, Tensor, Tensor]:
    """Where sections are shaded: where their distance is 0, else in their middle; distance on the ray, cell, fraction.

    Where that place lies in no cell of the band, which has corners, the section's first end is taken.
    """
    part = torch.where((begin > 0) & (end < 0), begin / (begin - end).clamp(min=1e-9), 0.5)
    at = torch.lerp(samples.distance[first], samples.distance[first + 1], part)
    ray = samples.ray[first]
    held, cell, fraction = field.located(origins[ray] + directions[ray] * at[:, None])
    flat_cell = torch.where(held, cell, samples.flat_cell[first])
    return (
        torch.where(held, at, samples.distance[first]),
        flat_cell,
        torch.where(held[:, None], fraction, samples.fraction[first]),
    )
