"""The coarse look at the whole scene: at which level the surface is, and in which box.

A piece that is cut out of a scene has the level of the scene and the scene's box, so that pieces cut out side by side
join, whatever each of them holds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.levelset.lattice import Lattice, sample_lattice
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.meshing.field import FieldSurface, cells_within, numpy_function, surface_level
from inr_plugins.meshing.region import COARSE, Region, TurnedBox, lattice_points, model_box, plan_region, tight_box
from inr_plugins.meshing.views import seen_by_several
from inr_plugins.progress import Bar, silent

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.settings import MeshSettings


def find_region(
    run: Run,
    surface: FieldSurface,
    views: PinholeViews | None,
    options: MeshSettings,
    *,
    to_normalised: Similarity,
    chunk_points: int,
    turned: TurnedBox | None = None,
    bar: Bar = silent,
) -> tuple[Region, float, str]:
    """The box to look into, the level, and where the level comes from in words.

    A model that does not know where its surface is has a coarse pass over its scene box. It gives the level of a
    density without one, and a tight box around what several training views can have seen.

    Args:
        run: whose model may know its box and its level.
        surface: the field's scalar.
        views: the training cameras, normalised frame.
        options: the box, crop and level that the user gave.
        to_normalised: map from the dataset's frame to the normalised one.
        chunk_points: most points to ask the field at once.
        turned: look only into this, whatever box and crop say.
        bar: told how far it is.

    Raises:
        InputError: a box or crop without volume or outside the scene, or a field that is not finite.
    """
    model = run.pipeline.model
    box, crop = (None if given is None else np.array(given).reshape(2, 3) for given in (options.box, options.crop))
    limit = model_box(model)
    if turned is None:
        region = plan_region(limit, to_normalised, source="the model's", box=box, crop=crop)
    else:
        region = turned.region(limit)
    knows_box = hasattr(model, "surface_aabb") or box is not None
    knows_level = options.level is not None or surface.convention is not None or hasattr(model, "surface_level")
    lattice, values, seen = Lattice.for_box(limit, resolution=COARSE), np.zeros(0, np.float32), np.zeros(0, bool)
    if not (knows_box and knows_level):
        whole = _whole_scene(limit, to_normalised, box)
        lattice = Lattice.for_box(whole.box, resolution=COARSE)
        function = numpy_function(surface, whole, cells_within(surface.cells, whole), device=run.pipeline.device)
        values = sample_lattice(
            function,
            lattice,
            chunk_points=chunk_points,
            progress=lambda done, total: bar("Looking at the whole scene", done, total),
        ).reshape(-1)
        seen = np.ones(values.shape, bool) if views is None else seen_by_several(views, lattice_points(lattice))
    if options.level is not None:
        level, source = options.level, "given"
    else:
        coarse = values[seen] if seen.any() else values
        level, source = surface_level(surface, model, coarse, side=float(np.ptp(limit, axis=0).max()))
    if knows_box:
        return region, level, source
    inside = (values > level if surface.inside == "above" else values < level) & seen
    tight = tight_box(inside.reshape(lattice.shape), lattice)
    where = f"around what a coarse pass found{'' if views is None else ' and several training views see'}"
    return _within(region, tight, where), level, source


def _whole_scene(limit: Float[np.ndarray, "2 3"], to_normalised: Similarity, box: np.ndarray | None) -> Region:
    """The model's box, and the user's where that reaches further: a level for both must have seen both."""
    if box is None:
        return Region(limit, Similarity.identity(), "normalised", limit, "")
    wish = to_normalised.bounding_box(box)
    both = np.stack([np.minimum(limit[0], wish[0]), np.maximum(limit[1], wish[1])])
    return Region(both, Similarity.identity(), "normalised", None, "")


def _within(region: Region, tight: Float[np.ndarray, "2 3"], where: str) -> Region:
    """The region where it meets the tight box of the normalised frame; as it is where nothing was found in it."""
    if region.frame == "normalised":
        return replace(region, box=tight, source=where)
    reach = region.to_normalised.inverse().bounding_box(tight)
    low, high = np.maximum(region.box[0], reach[0]), np.minimum(region.box[1], reach[1])
    if (low >= high).any():
        return region
    return replace(region, box=np.stack([low, high]), source=f"{region.source}, {where}")
