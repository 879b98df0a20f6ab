"""What inr-mesh can be told, and the checks that need nothing but the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from inr_plugins.cli.arguments import Groups
from inr_plugins.cli.runs import SeveralRuns
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.options import told


@dataclass(frozen=True, kw_only=True)
class MeshOptions(MeshSettings, SeveralRuns):
    """Extract the surface of trained runs as meshes, coloured where the field is, in the frame and units of the data.

    One run gives one mesh, or with --shape all one of each of its shapes, and with --towards one for each --blend. A
    run that fails does not cost the others theirs. Takes runs of this package's methods and of nerfstudio's radiance
    fields (nerfacto, tensorf, vanilla-nerf, mipnerf) and SDF fields (neus, neus-facto).
    """

    GROUPS: ClassVar[Groups] = {
        "run": "load_config shape towards blend data device memory_gb",
        "surface": "resolution voxel_size level dense",
        "box": "box crop closed",
        "cleaning": "min_component keep_largest fill_cavities drop_unseen trim_to_points max_faces",
        "appearance": "colour texture",
        "output": "output format frame turntable overwrite",
    }

    shape: Annotated[str | None, told("NAME|NUMBER|all", "the first")] = None
    """Of a run of several shapes, the one to extract, by its name or number; all: one mesh of each."""
    output: Annotated[Path | None, told("PATH", "mesh.ply in the run folder; of several, meshes/<shape>.ply")] = None
    """Mesh file, .ply, .obj, .glb or .stl; a description goes beside it as <name>.json. Of several meshes, a folder."""
    format: Annotated[Literal["ply", "obj", "glb", "stl"] | None, told("{ply,obj,glb,stl}", "ply")] = None
    """Kind of mesh files whose names are not given."""
    turntable: Annotated[Path | None, told("PATH", "no video")] = None
    """Also render the mesh turning around, as an .mp4 video; of several meshes, a folder for the videos."""
    data: Annotated[Path | None, told("PATH", "where the run was trained from")] = None
    """Where the dataset is now; its poses define the frame."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace existing files."""
