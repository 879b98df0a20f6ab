"""The description that goes beside a mesh: where it lies, how it was made, what it is like."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume, surface_area
from inr_plugins.meshing.shapes import RunShape

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.extract import Extracted
    from inr_plugins.meshing.settings import MeshSettings


def describe(
    found: Extracted,
    mesh: Mesh,
    run: Run,
    options: MeshSettings,
    *,
    to_normalised: Similarity,
    shape: RunShape | None = None,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The sidecar: everything needed to place the mesh, judge it and make it again."""
    low, high = mesh.bounds
    units = "units of the input camera poses" if shape is None else f"units of {shape.file.name}"
    return {
        "made_by": f"inr-mesh {version('inr-plugins')}",
        "run": str(run.config_path),
        "step": int(run.step),
        "frame": options.frame,
        "units": units if options.frame == "dataset" else "normalised units",
        "shape": None if shape is None else shape.name,
        "shape_number": None if shape is None else shape.number,
        "shapes": None if shape is None else shape.count,
        "shape_file": None if shape is None else str(shape.file),
        "towards": options.towards,
        "blend": None if options.towards is None else options.blend[0],
        "orientation": "faces and normals look outward; corners run anticlockwise seen from outside",
        "normalised_from_dataset": to_normalised.matrix.tolist(),
        "field": found.surface.kind,
        "field_class": _field_class(found.surface.field),
        "field_range": list(found.value_range),
        "level": found.level,
        "level_source": found.level_source,
        "resolution": max(found.lattice.shape),
        "lattice_shape": list(found.lattice.shape),
        "lattice_spacing": found.lattice.spacing.tolist(),
        "evaluated": found.evaluated,
        "evaluated_share": found.evaluated / found.lattice.size,
        "evaluated_where": found.search,
        "box": found.lattice.box.tolist(),
        "box_frame": found.region.frame,
        "box_in_dataset": found.region.in_dataset(to_normalised).tolist(),
        "box_source": found.region.source,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "cleaned": asdict(found.cleaned),
        "beyond_points": None if found.trimmed is None else found.trimmed.describe(_unit(options, to_normalised)),
        "bounds": [low.tolist(), high.tolist()],
        "area": surface_area(mesh),
        "volume": signed_volume(mesh),
        "watertight": is_watertight(mesh),
        "colours": found.colours,
        "texture": options.texture,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def _field_class(field: Any) -> str:
    inner = getattr(field, "field", field)
    return type(inner).__name__


def _unit(options: MeshSettings, to_normalised: Similarity) -> float:
    """Normalised length of one unit of the mesh that is written."""
    return to_normalised.scale if options.frame == "dataset" else 1.0
