"""Implicit neural representation research as nerfstudio methods.

For programs::

    import inr_plugins as inr

    run = inr.load_run("outputs/windmill/diner/2026-01-01_120000")
    field = inr.DatasetField(run)              # density, sdf, occupancy, colour at points of the dataset's frame
    extracted = inr.extract_mesh(run, inr.MeshSettings(resolution=512))
    inr.write_mesh(extracted.mesh, "windmill.glb", sidecar=extracted.description)

What is named here is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run, load_run
    from inr_plugins.errors import InputError
    from inr_plugins.evaluation.camera import render_view
    from inr_plugins.evaluation.judge import Settings as EvaluationSettings
    from inr_plugins.evaluation.library import evaluate
    from inr_plugins.evaluation.surfaces import SurfaceSettings, compare_surfaces
    from inr_plugins.geometry.io.mesh_io import write_mesh
    from inr_plugins.geometry.io.mesh_read import read_mesh
    from inr_plugins.geometry.mesh import Mesh
    from inr_plugins.meshing.dataset_field import DatasetField
    from inr_plugins.meshing.extracted import ExtractedMesh, extract_mesh
    from inr_plugins.meshing.settings import MeshSettings
    from inr_plugins.scenes.make import SceneOptions, make_scene

_PLACES = {
    "DatasetField": "meshing.dataset_field",
    "EvaluationSettings": "evaluation.judge:Settings",
    "ExtractedMesh": "meshing.extracted",
    "InputError": "errors",
    "Mesh": "geometry.mesh",
    "MeshSettings": "meshing.settings",
    "Run": "engine.runs.run",
    "SceneOptions": "scenes.make",
    "SurfaceSettings": "evaluation.surfaces",
    "compare_surfaces": "evaluation.surfaces",
    "evaluate": "evaluation.library",
    "extract_mesh": "meshing.extracted",
    "load_run": "engine.runs.run",
    "make_scene": "scenes.make",
    "read_mesh": "geometry.io.mesh_read",
    "render_view": "evaluation.camera",
    "write_mesh": "geometry.io.mesh_io",
}
__all__ = [
    "DatasetField",
    "EvaluationSettings",
    "ExtractedMesh",
    "InputError",
    "Mesh",
    "MeshSettings",
    "Run",
    "SceneOptions",
    "SurfaceSettings",
    "__version__",
    "compare_surfaces",
    "evaluate",
    "extract_mesh",
    "load_run",
    "make_scene",
    "read_mesh",
    "render_view",
    "write_mesh",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, other = _PLACES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), other or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
