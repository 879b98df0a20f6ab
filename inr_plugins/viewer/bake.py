"""A field baked into a sparse lattice, for frames of methods whose rays are expensive while a camera moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.protocol import CellBounds, ColourField, DensityField, OccupancyField, SDFField
from inr_plugins.fields.voxel_density import raw_of_optical_depth
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, dilate
from inr_plugins.rendering.crop import crop_of, cuts_off
from inr_plugins.rendering.grid.march import OccupancyGrid, box_interval
from inr_plugins.rendering.normal_shading import normal_shade
from inr_plugins.rendering.voxel_render import MarchSettings, render_voxels
from inr_plugins.viewer.frames import colours_behind

BAKE_SECONDS = 1.0
"""Processor time of one bake."""

_TRIAL_POINTS = 2048
_COARSE_SHARE, _FINE_SHARE, _COLOUR_SHARE = 0.25, 0.45, 0.3
"""Of the time."""
_COARSEST, _FINEST = 12, 128
"""Cells along the longest side of the coarse and of the fine lattice, at the least and at the most."""
_STEEPNESS = 8.0
"""Optical depth of a cell that lies one cell's edge inside a surface."""
_VISIBLE_DEPTH = 0.01
"""Optical depth of a coarse cell below which it is left out."""
_POINTS_AT_ONCE = 4096
_CUT = 0.6
"""Grey of where a crop cuts a solid open."""


@dataclass(frozen=True)
class Values:
    """How a field's values at points become raw densities of a lattice, and where a coarse cell is worth refining."""

    at: Callable[[Tensor], Tensor]
    """Densities of points; or, negative inside, how far from a surface they are."""
    is_surface: bool

    def raw(self, values: Float[Tensor, " n"], edge: float) -> Float[Tensor, " n"]:
        """Of vertices of cells with such an edge."""
        if self.is_surface:
            # Values are signed distances in normalised units, or logits with the sign turned, in cells.
            return (-_STEEPNESS * values / edge).clamp(-20, 20)
        return raw_of_optical_depth((values * edge).clamp(1e-5, 20.0))

    def worth(self, corners: Float[Tensor, "c 8"], edge: float) -> Bool[Tensor, " c"]:
        """Of cells with such an edge, by their vertices."""
        if self.is_surface:
            # A distance of slope 1 changes by half a diagonal from the middle of a cell; slopes are not always 1.
            # Of a steep one, such as an occupancy, all vertices may be far from 0 where it changes its sign.
            return (corners.abs().amin(-1) < 1.2 * edge) | ((corners.amin(-1) < 0) & (corners.amax(-1) > 0))
        return corners.amax(-1) * edge > _VISIBLE_DEPTH


def bake(model: Any, *, seconds: float = BAKE_SECONDS, pause: Callable[[float], None] = lambda _: None) -> Baked | None:
    """Sample a model's field, coarsely everywhere and finely where there is something, for so much processor time.

    Colours are those seen from outside, towards the middle of the box; a field without any is shaded by its normals.

    Args:
        model: in eval mode; `field` answers density, sdf or occupancy, and perhaps colour.
        seconds: of processor time, about.
        pause: called after each piece with the seconds that it took; may wait, or raise.

    Returns:
        None where the field answers nothing of that, or is empty.
    """
    field = getattr(model, "field", None)
    values = values_of(field)
    if values is None:
        return None
    box = (model.surface_aabb() if hasattr(model, "surface_aabb") else model.scene_box.aabb).detach().float()
    box = box.to(model.device)
    allowed = _occupied_of(model)
    ask = _Asker(values.at, allowed, pause)
    each = _seconds_a_point(values.at, box)
    coarse = SparseLattice.over_box(box, max(_COARSEST**3, round(seconds * _COARSE_SHARE / each)))
    at_vertices = ask(coarse.vertices())
    worth = values.worth(at_vertices[coarse.corner_rows.long()], float(coarse.edge)).view(coarse.shape)
    if not bool(worth.any()):
        return None
    lattice = _fine_lattice(coarse, worth, budget=seconds * _FINE_SHARE / each)
    fine = ask(lattice.vertices())
    raw = values.raw(fine, float(lattice.edge))
    logits = None
    if isinstance(field, ColourField):
        logits = _colours(field, lattice, raw, box.mean(0), pause)
    baked = ExplicitVoxelField(lattice, raw[:, None], logits).eval().requires_grad_(False)
    solid = _solid_cells(coarse, at_vertices, worth) if values.is_surface else None
    return Baked(model, baked, is_shaded=logits is None, solid=solid)


def values_of(field: Any) -> Values | None:
    """What a bake asks of a field; None of one that answers neither density, nor sdf, nor occupancy."""
    if isinstance(field, SDFField):
        return Values(field.sdf, is_surface=True)
    if isinstance(field, OccupancyField):
        # Two logits a hundredth of the normalised frame: about as steep as such networks become.
        return Values(lambda x: -torch.logit(field.occupancy(x), eps=1e-4) * 0.01, is_surface=True)
    if isinstance(field, DensityField):
        return Values(field.density, is_surface=False)
    return None


def _occupied_of(model: Any) -> CellBounds | None:
    """What the model knows of empty space; only of a density, which is 0 there."""
    if not isinstance(model.field, DensityField) or not hasattr(model, "surface_cells"):
        return None
    return model.surface_cells()


class _Asker:
    """Asks a field at many points, in pieces; where nothing can be it is not asked."""

    def __init__(
        self, at: Callable[[Tensor], Tensor], cells: CellBounds | None, pause: Callable[[float], None]
    ) -> None:
        self._at, self._cells, self._pause = at, cells, pause

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        found = x.new_zeros(len(x))
        asked = self._may_be_something(x).nonzero()[:, 0]
        for part in asked.split(_POINTS_AT_ONCE):
            begin = time.thread_time()
            found[part] = self._at(x[part]).float()
            self._pause(time.thread_time() - begin)
        return found

    def _may_be_something(self, x: Tensor) -> Tensor:
        if self._cells is None:
            return torch.ones(len(x), dtype=torch.bool, device=x.device)
        cells = self._cells
        # A vertex on the border of a cell that holds something counts, as that cell's corner.
        grid = OccupancyGrid(cells.origin, cells.edge, dilate(cells.largest > 0))
        return grid.is_occupied(x)


@torch.no_grad()
def _seconds_a_point(at: Callable[[Tensor], Tensor], box: Tensor) -> float:
    """Of the field, by a trial at points spread over the box, at the least a ten-millionth."""
    spread = torch.linspace(0, 1, 13, device=box.device)
    unit = torch.cartesian_prod(spread, spread, spread)[:_TRIAL_POINTS]
    points = box[0] + (box[1] - box[0]) * unit
    at(points[:8])
    begin = time.thread_time()
    at(points)
    return max((time.thread_time() - begin) / len(points), 1e-7)


def _solid_cells(coarse: SparseLattice, values: Tensor, worth: Tensor) -> OccupancyGrid:
    """The cells inside a surface, and away from it: they are not kept, and seen where a crop cuts a solid open."""
    inside = (values[coarse.corner_rows.long()] < 0).all(-1).view(coarse.shape)
    return OccupancyGrid(coarse.origin, float(coarse.edge), inside & ~worth)


def _fine_lattice(coarse: SparseLattice, worth: Bool[Tensor, "x y z"], *, budget: float) -> SparseLattice:
    """The cells that are worth it, cut into as many small ones as the budget of points allows."""
    longest = max(coarse.shape)
    count = int(worth.sum())
    parts = max(1, min(int((budget / count) ** (1 / 3)), _FINEST // longest))
    for axis in range(3):
        worth = worth.repeat_interleave(parts, dim=axis)
    return SparseLattice(coarse.origin, float(coarse.edge) / parts, worth)


@torch.no_grad()
def _colours(
    field: ColourField, lattice: SparseLattice, raw: Tensor, middle: Tensor, pause: Callable[[float], None]
) -> Float[Tensor, "v 3"]:
    """Logits of the colours of vertices that are seen; of others, grey."""
    logits = torch.zeros(lattice.num_rows, 3, device=raw.device)
    visible = torch.zeros(lattice.num_rows, dtype=torch.bool, device=raw.device)
    corner = raw[lattice.corner_rows.long()]
    # Softplus of -3 is 5 % of a cell's light; what lies behind a whole cell of 20 is not seen.
    seen = (corner.amax(-1) > -3) & (corner.amin(-1) < 15)
    visible[lattice.corner_rows[seen].long().reshape(-1)] = True
    rows, at = visible.nonzero()[:, 0], lattice.vertices()
    for part in rows.split(_POINTS_AT_ONCE):
        begin = time.thread_time()
        towards = torch.nn.functional.normalize(middle - at[part], dim=-1)
        logits[part] = torch.logit(field.colour(at[part], towards).float(), eps=1e-3)
        pause(time.thread_time() - begin)
    return logits


class Baked:
    """Drawn as a model is: `forward` takes rays, and gives rgb, depth, accumulation and normals."""

    def __init__(
        self, model: Any, field: ExplicitVoxelField, *, is_shaded: bool, solid: OccupancyGrid | None = None
    ) -> None:
        """
        Args:
            model: what was baked; asked for the colour behind everything.
            field: the lattice.
            is_shaded: whether colours are those of normals.
            solid: what lies inside surfaces, of which the lattice has nothing.
        """
        self.field, self.is_shaded, self.solid = field, is_shaded, solid
        self.scene_box, self.device = model.scene_box, model.device
        lattice = field.lattice
        self.grid = OccupancyGrid(lattice.origin, float(lattice.edge), lattice.occupied)
        behind = colours_behind(model)
        self.has_scenery = not torch.allclose(behind[0], behind[1], atol=1e-3)
        """Whether what is behind everything is a picture, of which a bake has one colour only."""
        self.paper, self.cropped_paper = behind.mean(0), colours_behind(model, is_cropped=True).mean(0)

    def forward(self, ray_bundle: RayBundle) -> dict[str, Tensor]:
        """What rays see; their nears and fars, if they have any, are heeded."""
        return self.look(ray_bundle)[0]

    @torch.no_grad()
    def look(self, ray_bundle: RayBundle) -> tuple[dict[str, Tensor], Float[Tensor, " r"], Float[Tensor, " r"]]:
        """As `forward`, and the distances of the first and the last thing that each ray sees; 0 and 0 of nothing."""
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        seen = render_voxels(
            origins, directions, self.field, self.grid, MarchSettings(), with_normals=True, crop=crop_of(ray_bundle)
        )
        assert seen.normals is not None
        rgb = seen.rgb
        if self.is_shaded:
            rgb = normal_shade(seen.normals, -directions) * seen.accumulation
        paper = self.cropped_paper if cuts_off(ray_bundle) else self.paper
        first, last = _ends(seen.samples.ray, seen.samples.distance, len(origins))
        outputs = {
            "rgb": (rgb + paper * (1 - seen.accumulation)).clamp(0, 1),
            "depth": seen.depth,
            "accumulation": seen.accumulation.clamp(0, 1),
            "normals": (seen.normals + 1) / 2,
        }
        self._close_cuts(outputs, ray_bundle)
        return outputs, first, last

    def _close_cuts(self, outputs: dict[str, Tensor], ray_bundle: RayBundle) -> None:
        """Show in grey where a crop begins in a solid: its cut, instead of the surface's far side from within."""
        crop = crop_of(ray_bundle)
        if self.solid is None or crop is None:
            return
        begin, end = crop
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        enter, leave = box_interval(origins, directions, self.solid.box)
        # Not on a face of the box, where rounding decides what is in it.
        begin, end = torch.maximum(begin, enter + 1e-3 * self.solid.edge), torch.minimum(end, leave)
        cut = (end > begin).nonzero()[:, 0]
        cut = cut[self.solid.is_occupied(origins[cut] + directions[cut] * begin[cut, None])]
        outputs["rgb"][cut], outputs["accumulation"][cut], outputs["normals"][cut] = _CUT, 1.0, 0.5
        outputs["depth"][cut] = begin[cut, None]


def _ends(ray: Tensor, distance: Tensor, rays: int) -> tuple[Tensor, Tensor]:
    """The least and the largest distance of each ray's samples, 0 where it has none."""
    zeros = distance.new_zeros(rays)
    first = zeros.scatter_reduce(0, ray.long(), distance, "amin", include_self=False)
    return first, zeros.scatter_reduce(0, ray.long(), distance, "amax", include_self=False)
