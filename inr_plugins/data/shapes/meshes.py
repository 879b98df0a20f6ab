"""Meshes as shapes: the solid that a file's faces bound, and what is to be said of it."""

from __future__ import annotations

import math
from pathlib import Path

from inr_plugins.data.shapes.clouds import CloudSettings
from inr_plugins.data.shapes.sampling import OPTION
from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.sheets import closed_share
from inr_plugins.geometry.repair.solid import MOST_OPEN_EDGES, Solid, solid_of

# Seen from just behind its faces a flat sheet closes half of all directions, half a ball three quarters or more.
_SHEET = 0.7
_BOX_SIDE = 2.0
# Between the samples of inr-mesh where no other resolution is asked for, normalised frame.
_SPACING = _BOX_SIDE / 255


def shape_solid(mesh: Mesh, settings: CloudSettings, path: Path) -> tuple[Solid, tuple[str, ...]]:
    """The solid that a file's mesh bounds, in the file's frame, and notes of what was found and done.

    Raises:
        InputError: no surface; or the sign by winding number is wanted of a mesh that has too many open edges for it,
            or is a sheet that bounds nothing. The sentence names the file.
    """
    try:
        solid = solid_of(mesh)
    except InputError as error:
        raise InputError(f"{path} is no surface: {error}") from error
    if settings.sign == "winding" and settings.target == "distance" and settings.cloud_points is None:
        _check_inside(solid, path)
    return solid, solid_notes(solid, by_winding=settings.sign == "winding")


def _check_inside(solid: Solid, path: Path) -> None:
    """Raise InputError where a winding number cannot be had, or tells no inside."""
    if solid.open_edges > MOST_OPEN_EDGES:
        raise InputError(
            f"{path} has {solid.open_edges} open edges on {len(solid.mesh.faces)} faces, too many for a sign by "
            f"winding number; join its triangles, or give {OPTION}sign normals or unsigned."
        )
    share = closed_share(solid)
    if share < _SHEET:
        raise InputError(
            f"{path} is an open sheet: seen from behind its faces it closes {share:.0%} of all directions, so that it "
            f"has no inside by winding number. Give {OPTION}sign normals, which takes its two sides for inside and "
            "outside; what the fit makes up beyond its rim, inr-mesh's --crop cuts off."
        )


def thin_note(solid: Solid, to_normalised: Similarity) -> tuple[str, ...]:
    """A sentence on parts that samples of the fit pass by, if there are any.

    Args:
        solid: in the normalised frame.
        to_normalised: from the file's frame to that.
    """
    thin = solid.thickness < _SPACING
    if not thin.any():
        return ()
    thinnest = int(solid.thickness.argmin())
    thickness = float(solid.thickness[thinnest])
    place = ", ".join(f"{value:.4g}" for value in to_normalised.inverse().points(solid.middle[thinnest][None])[0])
    which = f"{int(thin.sum()):,} of {solid.parts:,} parts, the thinnest around ({place})," if solid.parts > 1 else "it"
    # Two samples within it.
    needed = 2 * math.ceil(_BOX_SIDE / thickness)
    return (
        f"{which} is about {thickness / to_normalised.scale:.2g} thick, {thickness:.2g} in the normalised frame: less "
        f"than the {_SPACING:.2g} between the samples of inr-mesh, which may leave it out; give inr-mesh and inr-eval "
        f"--resolution {needed}",
    )


def solid_notes(solid: Solid, *, by_winding: bool) -> tuple[str, ...]:
    """What was found in a mesh and fixed, each a few words.

    Args:
        solid: of the mesh.
        by_winding: whether the winding number says what is inside, so that inner faces are left out.
    """
    notes = [f"{solid.open_edges:,} open edges"] if solid.open_edges else []
    if solid.turned:
        notes.append(f"{solid.turned:,} faces turned to agree with their neighbours")
    if solid.inside_out:
        which = f"{solid.inside_out:,} of {solid.parts:,} parts " if solid.parts > 1 else ""
        notes.append(f"{which}inside out in the file, oriented outward")
    if not by_winding:
        return tuple(notes)
    if solid.nested:
        one = "1 part lies within another and looks"
        which = one if solid.nested == 1 else f"{solid.nested:,} parts lie within others and look"
        notes.append(f"{which} outward like it, taken for solid (turned over in the file it would be a cavity)")
    if solid.inner_share > 0:
        notes.append(f"{solid.inner_share:.1%} of the area lies within other parts and is left out")
    if solid.crowded:
        notes.append("parts cut each other in too many places, so that faces are left out as a whole or not at all")
    return tuple(notes)
