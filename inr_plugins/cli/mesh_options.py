"""What inr-mesh can be told, and the checks that need nothing but the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from inr_plugins.cli.arguments import Groups
from inr_plugins.cli.runs import OneRun
from inr_plugins.errors import InputError
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.meshing.video import check_video
from inr_plugins.options import told


@dataclass(frozen=True, kw_only=True)
class MeshOptions(MeshSettings, OneRun):
    """Extract the surface of a trained run as a mesh, coloured where the field is, in the frame and units of the data.

    Takes runs of this package's methods and of nerfstudio's radiance fields (nerfacto, tensorf, vanilla-nerf, mipnerf)
    and SDF fields (neus, neus-facto).
    """

    GROUPS: ClassVar[Groups] = {
        "run": "load_config shape data device memory_gb",
        "surface": "resolution voxel_size level dense",
        "box": "box crop closed",
        "cleaning": "min_component keep_largest fill_cavities drop_unseen trim_to_points max_faces",
        "appearance": "colour texture",
        "output": "output frame turntable overwrite",
    }

    output: Annotated[Path | None, told("PATH", "mesh.ply in the run folder")] = None
    """Mesh file, .ply, .obj, .glb or .stl; a description goes beside it as <name>.json."""
    turntable: Annotated[Path | None, told("PATH", "no video")] = None
    """Also render the mesh turning around, as an .mp4 video."""
    data: Annotated[Path | None, told("PATH", "where the run was trained from")] = None
    """Where the dataset is now; its poses define the frame."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace existing files."""


def check_options(options: MeshOptions, output: Path) -> None:
    """Refuse what makes no sense before anything is loaded.

    Raises:
        InputError: naming the option.
    """
    options.check()
    if options.texture is not None and output.suffix.lower() != ".glb":
        raise InputError(f"--texture needs a .glb file, not {output.name}; pass --output mesh.glb.")
    if options.turntable is not None:
        check_video(options.turntable, overwrite=options.overwrite)
