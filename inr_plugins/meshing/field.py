"""From a trained model to numpy: which surface its field has, at which level, as a function of numpy points.

The geometry layer knows arrays only; here torch fields in the normalised frame become functions of numpy points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import CellBounds, DensityField, OccupancyField, SDFField
from inr_plugins.fields.stock import stock_field
from inr_plugins.geometry.levelset.block_lattice import BlockChoice, ByDistance, ByPredicate, BySamples
from inr_plugins.geometry.levelset.isosurface import Inside
from inr_plugins.geometry.levelset.lattice import ScalarFunction
from inr_plugins.geometry.levelset.level import density_level
from inr_plugins.meshing.cells import Crossings, is_held
from inr_plugins.meshing.region import Region, torch_box
from inr_plugins.progress import Bar, silent

# Most points whose gradient is taken at once: 400 MB of a network of 8 x 256.
_GRADIENT_CHUNK = 1 << 14
# A density should be opaque over this fraction of the box's longest side: two steps of the default resolution.
_OPAQUE_FRACTION = 1 / 128


@dataclass(frozen=True)
class FieldSurface:
    """The scalar of a field whose level set is the surface.

    Attributes:
        field: the field itself, for colours.
        kind: "sdf", "occupancy" or "density".
        inside: which side of the level is solid.
        values: the scalar (n,) at points (n, 3) of the normalised frame.
        convention: the level that the kind itself implies; None for a density, which has none.
        cells: what the model knows of its values, cell by cell; None where it knows nothing.
    """

    field: Any
    kind: str
    inside: Inside
    values: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]
    convention: float | None
    cells: CellBounds | None


def find_surface(model: Any) -> FieldSurface:
    """The surface the model's field answers for: a signed distance before an occupancy before a density.

    A model of nerfstudio's own is asked through `fields.stock`.

    Raises:
        InputError: the model has no field, or the field answers none of them.
    """
    field = getattr(model, "field", None)
    cells = model.surface_cells() if hasattr(model, "surface_cells") else None
    if not isinstance(field, SDFField | OccupancyField | DensityField):
        field = stock_field(model)
    if isinstance(field, SDFField):
        return FieldSurface(field, "sdf", "below", field.sdf, 0.0, cells)
    if isinstance(field, OccupancyField):
        return FieldSurface(field, "occupancy", "above", field.occupancy, 0.5, cells)
    if isinstance(field, DensityField):
        return FieldSurface(field, "density", "above", field.density, None, cells)
    raise InputError(
        f"The field of the run's {type(model).__name__} answers none of density, sdf and occupancy, so it has no "
        "surface to extract; give a run of an inr-plugins method, or of one of nerfstudio's with a radiance or SDF "
        "field."
    )


def cells_within(cells: CellBounds | None, region: Region) -> CellBounds | None:
    """The cells, if what they say holds in all of the region."""
    if cells is None:
        return None
    box, held = region.to_normalised.bounding_box(region.box), cells.box.detach().cpu().double().numpy()
    if region.limit is not None:
        box = np.stack([np.maximum(box[0], region.limit[0]), np.minimum(box[1], region.limit[1])])
    slack = 1e-5 * float(np.ptp(held, axis=0).max())
    return cells if (box[0] >= held[0] - slack).all() and (box[1] <= held[1] + slack).all() else None


def numpy_function(
    surface: FieldSurface, region: Region, cells: CellBounds | None, *, device: torch.device | str
) -> ScalarFunction:
    """The field's scalar as a function of numpy points in the region's frame, empty outside its limit and its cells.

    A lattice in the dataset's frame may reach past the model's box, where a field promises nothing. A signed distance
    is intersected with the box (the larger of the two distances); a density or occupancy is zero there, and where the
    model holds nothing.
    """
    limit = None if region.limit is None else torch_box(region.limit, device)
    # Points on the box's faces are inside whatever their rounding.
    slack = 0.0 if region.limit is None else 1e-5 * float(np.ptp(region.limit, axis=0).max())

    def values(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        x = torch.as_tensor(region.to_normalised.points(points), dtype=torch.float32, device=device)
        with torch.no_grad():
            if surface.kind == "sdf":
                found = surface.values(x).float()
                if limit is not None:
                    beyond = torch.maximum(limit[0] - x, x - limit[1]).amax(dim=-1)
                    found = torch.where(beyond > slack, torch.maximum(found, beyond), found)
                return found.cpu().numpy()
            asked = torch.ones(len(x), dtype=torch.bool, device=x.device)
            if limit is not None:
                asked &= (torch.maximum(limit[0] - x, x - limit[1]) <= slack).all(dim=-1)
            if cells is not None:
                asked &= is_held(cells, x)
            found = torch.zeros(len(x), device=x.device)
            found[asked] = surface.values(x[asked]).float()
        return found.cpu().numpy()

    return values


def surface_level(
    surface: FieldSurface, model: Any, coarse: Float[np.ndarray, " n"], *, side: float
) -> tuple[float, str]:
    """The level to draw the surface at when the user gives none, and in words where it comes from.

    Args:
        surface: what is extracted.
        model: asked for a level of its own.
        coarse: values at coarse samples that training views saw.
        side: longest side of the model's box, normalised units.
    """
    if surface.convention is not None:
        return surface.convention, f"convention of {surface.kind}"
    if hasattr(model, "surface_level"):
        return float(model.surface_level()), "the model's surface level"
    level = density_level(coarse, length=side * _OPAQUE_FRACTION)
    return level, "best split of the sampled opacities into empty and solid"


def choose_blocks(
    surface: FieldSurface, region: Region, cells: CellBounds | None, *, level: float
) -> tuple[BlockChoice, int, str]:
    """Which blocks of the lattice to look into, cells along a block's side, and in words why these.

    A model that knows bounds of its field loses nothing by them; a distance bounds itself; any other field is sampled
    at the corners and middles of small blocks, between which something thin can be missed.
    """
    if cells is not None:
        may_cross = Crossings(cells, region.to_normalised, level=level)
        return ByPredicate(may_cross, is_sure=True), 8, "blocks that the model's own bounds leave open"
    if surface.kind == "sdf":
        return ByDistance(), 8, "blocks no farther from the surface than their distance says"
    return BySamples(), 4, "blocks around which the samples change sides, and their neighbours"


def field_normals(
    surface: FieldSurface,
    vertices: Float[np.ndarray, "v 3"],
    fallback: Float[np.ndarray, "v 3"],
    *,
    device: torch.device | str,
    chunk_points: int,
    bar: Bar = silent,
) -> Float[np.ndarray, "v 3"]:
    """Outward unit normals of the level set: the scalar's normalised gradient, by automatic differentiation.

    Where that is zero, not finite, or more than 60 degrees off the fallback, as on a cap or where a field jumps, the
    fallback stays; and everywhere for a field without a gradient.

    Args:
        surface: whose gradient.
        vertices: positions in the normalised frame.
        fallback: outward unit normals of the faces around each vertex.
        device: where the field is.
        chunk_points: most points at once.
        bar: told how far it is.
    """
    # A wide network keeps some 25 kB of each point for its gradient.
    chunk_points = min(chunk_points, _GRADIENT_CHUNK)
    normals = fallback.copy()
    sign = 1.0 if surface.inside == "below" else -1.0
    for first in range(0, len(vertices), chunk_points):
        part = slice(first, first + chunk_points)
        with torch.enable_grad():
            x = torch.as_tensor(vertices[part], dtype=torch.float32, device=device).requires_grad_()
            values = surface.values(x)
            if values.grad_fn is None:
                return normals
            (gradient,) = torch.autograd.grad(values.sum(), x, allow_unused=True)
        if gradient is None:
            return normals
        found = sign * torch.nn.functional.normalize(gradient.double(), dim=-1).cpu().numpy()
        agrees = np.einsum("ij,ij->i", found, fallback[part]) > 0.5
        normals[part] = np.where(agrees[:, None], found, fallback[part])
        bar("Finding the normals", min(part.stop, len(vertices)), len(vertices))
    return normals
