"""Volume rendering of a voxel field: march, skip, shade what is seen, composite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.rendering.crop import Crop, within
from inr_plugins.rendering.grid.contracted import SpaceContraction, march_contracted
from inr_plugins.rendering.grid.march import OccupancyGrid, Samples, march
from inr_plugins.rendering.packed import accumulate, packed_weights

_MOST_FILLED = 10.0
"""Times the light of the samples that are shaded, which theirs and that of the others may be together."""


@runtime_checkable
class VoxelShading(Protocol):
    """What the renderer asks of a voxel field, at samples in occupied cells."""

    # Not the module's own name: Python 3.12 looks for members of a protocol without asking a module for its parts.
    @property
    def to_grid(self) -> SpaceContraction | None:
        """What takes points of the normalised frame to the grid's; None where the two frames are one."""

    def corners(
        self, flat_cell: Int[Tensor, " s"], fraction: Float[Tensor, "s 3"]
    ) -> tuple[Int[Tensor, "s 8"], Float[Tensor, "s 8"]]:
        """Table rows and weights of the eight vertices around each sample."""

    def density_at(self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"]) -> Float[Tensor, " s"]:
        """Density, 1 / normalised unit."""

    def colour_at(
        self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"], directions: Float[Tensor, "s 3"]
    ) -> Float[Tensor, "s 3"]:
        """RGB in [0, 1]."""

    def normal_at(self, rows: Int[Tensor, "s 8"], fraction: Float[Tensor, "s 3"]) -> Float[Tensor, "s 3"]:
        """Unit normals towards lower density."""


@dataclass(frozen=True)
class MarchSettings:
    """How rays are sampled.

    Attributes:
        step: distance between samples, in cells.
        near: no sample is nearer than this to the camera, normalised units.
        far: no sample is farther than this.
        min_transmittance: samples behind this are left out while gradients are taken: they would hardly move.
        min_weight: samples that contribute less than this are not shaded.
        fills: the light of those takes the mean colour of the others on their ray; else it is black.
    """

    step: float = 0.5
    near: float = 0.0
    far: float = math.inf
    min_transmittance: float = 1e-3
    min_weight: float = 1e-4
    fills: bool = False


@dataclass(frozen=True)
class Rendering:
    """What rays see.

    Attributes:
        rgb: sum of weights times colours; not blended with any background.
        accumulation: opacity in [0, 1].
        depth: expected distance along the ray of what is seen, 0 where nothing is.
        normals: expected unit normal, zero where nothing is seen; None unless asked for.
        samples: the shaded samples.
        weights: their weights.
        colours: their colours.
    """

    rgb: Float[Tensor, "r 3"]
    accumulation: Float[Tensor, "r 1"]
    depth: Float[Tensor, "r 1"]
    normals: Float[Tensor, "r 3"] | None
    samples: Samples
    weights: Float[Tensor, " s"]
    colours: Float[Tensor, "s 3"]

    def pictures(self, rgb: Float[Tensor, "r 3"], shape: torch.Size) -> dict[str, Tensor]:
        """What a model gives for rays in evaluation: rgb, depth, accumulation and normals, each (*shape, channels).

        Args:
            rgb: colours over what is behind; they are clamped to [0, 1].
            shape: of the rays, which are `r` in all.

        Raises:
            ValueError: normals were not asked for.
        """
        if self.normals is None:
            raise ValueError("pictures have normals, which were not rendered: give with_normals=True")
        outputs = {
            "rgb": rgb.clamp(0, 1),
            "depth": self.depth,
            "accumulation": self.accumulation.clamp(0, 1),
            "normals": (self.normals + 1) / 2,
        }
        return {name: value.reshape(*shape, -1) for name, value in outputs.items()}


def render_voxels(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    field: VoxelShading,
    grid: OccupancyGrid,
    settings: MarchSettings,
    *,
    jitter: Float[Tensor, " r"] | None = None,
    with_normals: bool = False,
    crop: Crop | None = None,
) -> Rendering:
    """Render rays against a voxel field.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        field: density and colour at the vertices of the grid's cells.
        grid: the cells in which the field has values.
        settings: how rays are sampled.
        jitter: offset of each ray's samples in steps, [0, 1); the middle of the step when None.
        with_normals: also composite the field's normals.
        crop: the part of each ray that is wanted, if not all of it.
    """
    num_rays = len(origins)
    step = settings.step * grid.edge
    samples = within(_march(origins, directions, field, grid, settings, jitter), crop)
    rows, corner_weights = field.corners(samples.flat_cell, samples.fraction)
    on_cpu = origins.device.type == "cpu"
    if torch.is_grad_enabled() and on_cpu:
        with torch.no_grad():
            _, light = packed_weights(field.density_at(rows, corner_weights) * step, samples.ray, num_rays)
        seen = (light > settings.min_transmittance).nonzero()[:, 0]
        samples, rows = samples.select(seen), rows.index_select(0, seen)
        corner_weights = corner_weights.index_select(0, seen)
    depths = field.density_at(rows, corner_weights) * step
    if torch.is_grad_enabled() and not on_cpu:
        # The same by a mask: there, leaving samples out costs more than they do.
        _, light = packed_weights(depths.detach(), samples.ray, num_rays)
        depths = torch.where(light > settings.min_transmittance, depths, 0.0)
    weights, _ = packed_weights(depths, samples.ray, num_rays)
    # Faint samples still count as opacity, so that their density can grow.
    accumulation = accumulate(weights, None, samples.ray, num_rays)
    shaded = (weights > settings.min_weight).nonzero()[:, 0]
    samples, rows, corner_weights, weights = (
        samples.select(shaded),
        rows.index_select(0, shaded),
        corner_weights.index_select(0, shaded),
        weights.index_select(0, shaded),
    )
    colours = field.colour_at(rows, corner_weights, directions.index_select(0, samples.ray))
    rgb = accumulate(weights, colours, samples.ray, num_rays)
    if settings.fills:
        shown = accumulate(weights, None, samples.ray, num_rays)
        rgb = rgb * (accumulation / shown.clamp(min=1e-6)).clamp(max=_MOST_FILLED)
    with torch.no_grad():
        total = accumulate(weights, None, samples.ray, num_rays)
        depth = accumulate(weights, samples.distance[:, None], samples.ray, num_rays) / total.clamp(min=1e-6)
        normals = None
        if with_normals:
            each = field.normal_at(rows, samples.fraction)
            normals = torch.nn.functional.normalize(accumulate(weights, each, samples.ray, num_rays), dim=-1)
    return Rendering(
        rgb=rgb,
        accumulation=accumulation,
        depth=depth,
        normals=normals,
        samples=samples,
        weights=weights,
        colours=colours,
    )


def _march(
    origins: Tensor,
    directions: Tensor,
    field: VoxelShading,
    grid: OccupancyGrid,
    settings: MarchSettings,
    jitter: Tensor | None,
) -> Samples:
    step, near, far = settings.step * grid.edge, settings.near, settings.far
    contraction = field.to_grid
    if contraction is None:
        return march(origins, directions, grid, step=step, near=near, far=far, jitter=jitter)
    box = contraction.inner_box
    return march_contracted(origins, directions, contraction, box, grid, step=step, near=near, far=far, jitter=jitter)
