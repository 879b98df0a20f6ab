"""From a trained model to numpy: which surface its field has, where to look for it, and what colour it is.

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
from inr_plugins.fields.protocol import ColourField, DensityField, OccupancyField, SDFField
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.isosurface import Inside
from inr_plugins.geometry.lattice import Lattice, Progress, ScalarFunction, check_box
from inr_plugins.geometry.level import density_level

# A density should be opaque over this fraction of the box's longest side: two steps of the default resolution.
_OPAQUE_FRACTION = 1 / 128


@dataclass(frozen=True)
class FieldSurface:
    """The scalar of a field whose level set is the surface.

    Attributes:
        kind: "sdf", "occupancy" or "density".
        inside: which side of the level is solid.
        values: the scalar (n,) at points (n, 3) of the normalised frame.
        convention: the level that the kind itself implies; None for a density, which has none.
    """

    kind: str
    inside: Inside
    values: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]
    convention: float | None


def find_surface(model: Any) -> FieldSurface:
    """The surface the model's field answers for: a signed distance before an occupancy before a density.

    Raises:
        InputError: the model has no field, or the field answers none of them.
    """
    field = getattr(model, "field", None)
    if isinstance(field, SDFField):
        return FieldSurface("sdf", "below", field.sdf, 0.0)
    if isinstance(field, OccupancyField):
        return FieldSurface("occupancy", "above", field.occupancy, 0.5)
    if isinstance(field, DensityField):
        return FieldSurface("density", "above", field.density, None)
    raise InputError(
        f"The field of the run's {type(model).__name__} answers none of density, sdf and occupancy, so it has no "
        "surface to extract; give a run of an inr-plugins method."
    )


def surface_level(surface: FieldSurface, model: Any, values: Float[np.ndarray, "nx ny nz"]) -> tuple[float, str]:
    """The level to draw the surface at when the user gives none, and in words where it comes from."""
    if surface.convention is not None:
        return surface.convention, f"convention of {surface.kind}"
    if hasattr(model, "surface_level"):
        return float(model.surface_level()), "the model's surface level"
    length = float(np.ptp(model_box(model), axis=0).max()) * _OPAQUE_FRACTION
    return density_level(values, length=length), "best split of the sampled opacities into empty and solid"


def model_box(model: Any) -> Float[np.ndarray, "2 3"]:
    """The box, in the normalised frame, that holds the model's surface: its own tight one, else the scene box.

    Raises:
        InputError: the box has no volume.
    """
    box = model.surface_aabb() if hasattr(model, "surface_aabb") else model.scene_box.aabb
    return check_box(box.detach().cpu().double().numpy(), name="run's scene box")


def plan_lattice(
    model: Any, dataset_to_normalised: Similarity, *, resolution: int, crop: Float[np.ndarray, "2 3"] | None
) -> tuple[Lattice, Similarity]:
    """The lattice to sample and the map from its frame to the normalised one.

    Without a crop the lattice fills the model's box and lies in the normalised frame. A crop is a box in the dataset's
    frame, which the normalised frame may see turned, so then the lattice lies in the dataset's frame: the cuts are
    where the user put them. It is shrunk to the part of the crop that the model's box can reach.

    Raises:
        InputError: a box without volume, a crop outside the model's box, or a resolution below 2.
    """
    box = model_box(model)
    if crop is None:
        return Lattice.for_box(box, resolution=resolution), Similarity.identity()
    crop = check_box(crop, name="--aabb")
    reach = dataset_to_normalised.inverse().bounding_box(box)
    common = np.stack([np.maximum(crop[0], reach[0]), np.minimum(crop[1], reach[1])])
    if (common[1] <= common[0]).any():
        raise InputError(
            f"--aabb {crop.ravel().tolist()} lies outside the scene, which reaches from {reach[0].round(4).tolist()} "
            f"to {reach[1].round(4).tolist()} in the dataset's frame."
        )
    return Lattice.for_box(common, resolution=resolution), dataset_to_normalised


def numpy_function(
    surface: FieldSurface, to_normalised: Similarity, box: Float[np.ndarray, "2 3"], *, device: torch.device | str
) -> ScalarFunction:
    """The field's scalar as a function of numpy points in the lattice's frame, empty outside `box` (normalised frame).

    A lattice in the dataset's frame may reach past the model's box, where a field promises nothing. A signed distance
    is intersected with the box (the larger of the two distances); a density or occupancy is zero there.
    """
    low, high = (torch.as_tensor(corner, dtype=torch.float32, device=device) for corner in box)
    # Points on the box's faces are inside whatever their rounding.
    slack = 1e-5 * float(np.ptp(box, axis=0).max())

    def values(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        x = torch.as_tensor(to_normalised.points(points), dtype=torch.float32, device=device)
        with torch.no_grad():
            found = surface.values(x).float()
            beyond = torch.maximum(low - x, x - high).amax(dim=-1)
            if surface.kind == "sdf":
                found = torch.where(beyond > slack, torch.maximum(found, beyond), found)
            else:
                found = torch.where(beyond > slack, torch.zeros_like(found), found)
        return found.cpu().numpy()

    return values


def vertex_colours(
    field: ColourField,
    vertices: Float[np.ndarray, "v 3"],
    normals: Float[np.ndarray, "v 3"],
    *,
    device: torch.device | str,
    chunk_points: int,
    progress: Progress | None = None,
) -> Float[np.ndarray, "v 3"]:
    """Colour of each vertex seen from straight outside: along its inward normal. Normalised frame; RGB in [0, 1].

    Raises:
        InputError: a colour is NaN or infinite.
    """
    colours = np.empty((len(vertices), 3), dtype=np.float32)
    for first in range(0, len(vertices), chunk_points):
        part = slice(first, min(first + chunk_points, len(vertices)))
        x = torch.as_tensor(vertices[part], dtype=torch.float32, device=device)
        d = torch.as_tensor(-normals[part], dtype=torch.float32, device=device)
        with torch.no_grad():
            colours[part] = field.colour(x, d).float().cpu().numpy()
        if progress is not None:
            progress(part.stop, len(vertices))
    if not np.isfinite(colours).all():
        raise InputError("The field's colour is NaN or infinite on the surface; pass --no-colour, or train again.")
    return colours.clip(0.0, 1.0)
