"""What inr-mesh says of the mesh it made: the sidecar for programs, a few lines for people."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume, surface_area
from inr_plugins.meshing.shapes import RunShape
from inr_plugins.meshing.trim import tell_trimmed

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.extract import Extracted
    from inr_plugins.meshing.settings import MeshOptions


def describe(
    found: Extracted,
    mesh: Mesh,
    run: Run,
    options: MeshOptions,
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
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "run": str(run.config_path),
        "step": int(run.step),
        "frame": options.frame,
        "units": units if options.frame == "dataset" else "normalised units",
        "shape": None if shape is None else shape.name,
        "shape_number": None if shape is None else shape.number,
        "shapes": None if shape is None else shape.count,
        "shape_file": None if shape is None else str(shape.file),
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


def summarise(sidecar: dict[str, Any], files: dict[str, Path], *, seconds: float) -> None:
    """Print what was made, where it is, and how long it took."""
    low, high = np.array(sidecar["bounds"])
    size = " x ".join(f"{side:.4g}" for side in high - low)
    box = " to ".join(" ".join(f"{x:.4g}" for x in corner) for corner in sidecar["box_in_dataset"])
    step = max(sidecar["lattice_spacing"])
    lines = {
        "shape": _which(sidecar),
        "mesh": f"{sidecar['vertices']:,} vertices, {sidecar['faces']:,} faces, "
        f"{'watertight' if sidecar['watertight'] else 'not watertight'}"
        f"{'' if sidecar['colours'] else ', without colours'}",
        "size": f"{size} {sidecar['units']}",
        "box": f"{box} in the dataset's frame ({sidecar['box_source']})",
        "surface": f"{sidecar['field']} = {sidecar['level']:.4g} ({sidecar['level_source']})",
        "samples": f"{sidecar['resolution']} along the longest side, {step:.4g} apart"
        f"{' (normalised)' if sidecar['box_frame'] == 'normalised' else ''}; "
        f"{sidecar['evaluated']:,} evaluated, {sidecar['evaluated_share']:.1%} of all",
        "dropped": dropped(sidecar["cleaned"]),
        _trim_name(sidecar["beyond_points"]): tell_trimmed(sidecar["beyond_points"]),
        **{name: str(path) for name, path in files.items()},
        "seconds": f"{seconds:.1f}",
    }
    for name, text in lines.items():
        if text:
            print(f"{name:>9}  {text}")


def _unit(options: MeshOptions, to_normalised: Similarity) -> float:
    """Normalised length of one unit of the mesh that is written."""
    return to_normalised.scale if options.frame == "dataset" else 1.0


def _trim_name(beyond: dict[str, Any] | None) -> str:
    return "trimmed" if beyond is not None and beyond["cut"] else "note"


def _which(sidecar: dict[str, Any]) -> str:
    """Which of several shapes it is, in words; empty where there is no choice."""
    if (sidecar["shapes"] or 0) < 2:
        return ""
    return f"{sidecar['shape']}, number {sidecar['shape_number']} of {sidecar['shapes']} (--shape chooses)"


def dropped(cleaned: dict[str, Any]) -> str:
    """What cleaning took away, in words; empty where that is nothing."""
    names = {
        "cavities": ("closed cavity filled", "closed cavities filled"),
        "pieces": ("connected piece", "connected pieces"),
        "unseen": ("face that no camera sees", "faces that no camera sees"),
        "degenerate": ("face without area", "faces without area"),
        "duplicate": ("double face", "double faces"),
        "decimated": ("face by thinning out", "faces by thinning out"),
    }
    return ", ".join(f"{cleaned[key]:,} {words[cleaned[key] != 1]}" for key, words in names.items() if cleaned[key])
