"""What inr-mesh takes away from a level set, step by step and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inr_plugins.errors import setting
from inr_plugins.geometry.appearance.visibility import drop_unseen_faces
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.geometry.repair.cavities import fill_cavities
from inr_plugins.geometry.repair.cleaning import (
    decimate,
    drop_degenerate_faces,
    drop_duplicate_faces,
    drop_small_components,
    floater_size,
    keep_largest_component,
)
from inr_plugins.meshing.views import require_views
from inr_plugins.progress import Bar

if TYPE_CHECKING:
    from inr_plugins.meshing.settings import MeshSettings


@dataclass(frozen=True)
class Cleaned:
    """How much each step took away.

    Attributes:
        cavities: closed cavities filled.
        pieces: connected pieces dropped.
        min_component: fewest faces that a piece could keep; None where only the largest was kept.
        unseen: faces dropped because no training camera sees them.
        degenerate: faces without area dropped.
        duplicate: faces dropped that were there already.
        decimated: faces that thinning out took.
    """

    cavities: int = 0
    pieces: int = 0
    min_component: int | None = 0
    unseen: int = 0
    degenerate: int = 0
    duplicate: int = 0
    decimated: int = 0


def clean(
    mesh: Mesh,
    options: MeshSettings,
    views: PinholeViews | None,
    *,
    floaters: bool,
    hollow: bool,
    bar: Bar,
) -> tuple[Mesh, Cleaned]:
    """The mesh without what the options do not want, and how much that was.

    Args:
        mesh: a level set in the normalised frame.
        options: what to take away.
        views: the training cameras in the same frame.
        floaters: whether the field is one that leaves floaters, as densities and occupancies do.
        hollow: whether it leaves hollow what no picture shows, as densities do; the cavities of a shape are its own.
        bar: told how far it is.

    Raises:
        InputError: an option would leave nothing, or wants cameras that there are not.
    """
    cavities = pieces = unseen = 0
    if hollow if options.fill_cavities is None else options.fill_cavities:
        mesh, cavities = fill_cavities(mesh)
    least: int | None = options.min_component
    if least is None:
        least = floater_size(mesh) if floaters else 0
    if options.drop_unseen:
        mesh, unseen = drop_unseen_faces(
            mesh,
            require_views(views, setting("drop_unseen", True)),
            progress=lambda done, total: bar("Looking from the views", done, total),
        )
    if options.keep_largest:
        mesh, pieces = keep_largest_component(mesh)
    elif least > 1:
        mesh, pieces = drop_small_components(mesh, min_faces=least)
    # In this order: collapsing an edge can lay two faces on each other.
    mesh, degenerate = drop_degenerate_faces(mesh)
    mesh, duplicate = drop_duplicate_faces(mesh)
    before = len(mesh.faces)
    if options.max_faces is not None:
        mesh = decimate(mesh, max_faces=options.max_faces)
    return mesh, Cleaned(
        cavities=cavities,
        pieces=pieces,
        min_component=None if options.keep_largest else least,
        unseen=unseen,
        degenerate=degenerate,
        duplicate=duplicate,
        decimated=before - len(mesh.faces),
    )
