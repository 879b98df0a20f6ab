"""The colours of a mesh: the field's, along each vertex's inward normal or as the training views see it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from inr_plugins.errors import setting
from inr_plugins.fields.protocol import ColourField
from inr_plugins.geometry.appearance.colour import ColourFunction, checked_colours, mean_over_views
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.meshing.views import require_views
from inr_plugins.progress import Bar

if TYPE_CHECKING:
    from inr_plugins.meshing.field import FieldSurface
    from inr_plugins.meshing.settings import MeshSettings

OUTSIDE = "the field's, along the inward normal"
VIEWS = "the field's, mean over the training views that see the vertex"


def coloured(
    mesh: Mesh,
    surface: FieldSurface,
    options: MeshSettings,
    views: PinholeViews | None,
    *,
    device: torch.device,
    chunk_points: int,
    bar: Bar,
) -> tuple[Mesh, str | None]:
    """The mesh with vertex colours, and in words where they come from; as it is for a field that has none.

    Args:
        mesh: with normals, in the normalised frame.
        surface: whose field is asked.
        options: how to look.
        views: the training cameras in the same frame.
        device: where the field is.
        chunk_points: most points at once.
        bar: told how far it is.

    Raises:
        InputError: a colour is not finite, or the option wants cameras that there are not.
    """
    if options.colour == "none" or mesh.normals is None or not isinstance(surface.field, ColourField):
        return mesh, None
    colour = colour_function(surface.field, device=device, chunk_points=chunk_points)
    parts = []
    for first in range(0, len(mesh.vertices), chunk_points):
        part = slice(first, first + chunk_points)
        parts.append(checked_colours(colour, mesh.vertices[part], -mesh.normals[part]))
        bar("Colouring the vertices", min(part.stop, len(mesh.vertices)), len(mesh.vertices))
    colours = np.concatenate(parts)
    if options.colour == "normal":
        return replace(mesh, colours=colours), OUTSIDE
    mean, unseen = mean_over_views(
        mesh,
        require_views(views, setting("colour", "views")),
        colour,
        colours,
        chunk_points=chunk_points,
        progress=lambda done, total: bar("Looking from the views", done, total),
    )
    return replace(mesh, colours=mean), f"{VIEWS}; {unseen} vertices that none sees: along the inward normal"


def colour_function(field: ColourField, *, device: torch.device | str, chunk_points: int) -> ColourFunction:
    """The field's colour as a function of numpy points and unit viewing directions, both in the normalised frame."""

    def colour(points: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        found = np.empty((len(points), 3), dtype=np.float32)
        for first in range(0, len(points), chunk_points):
            part = slice(first, first + chunk_points)
            x, d = (torch.as_tensor(a[part], dtype=torch.float32, device=device) for a in (points, directions))
            with torch.no_grad():
                found[part] = field.colour(x, d).float().cpu().numpy()
        return found

    return colour
