"""What inr-mesh can be told, and the checks that need nothing but the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from inr_plugins import files
from inr_plugins.errors import InputError
from inr_plugins.meshing.settings import MeshSettings, shown
from inr_plugins.meshing.video import check_video


@dataclass(frozen=True)
class MeshOptions(MeshSettings):
    """Extract the surface of a trained run as a mesh, coloured where the field is, in the frame and units of the data.

    Takes runs of this package's methods and of nerfstudio's radiance fields (nerfacto, tensorf, vanilla-nerf, mipnerf)
    and SDF fields (neus, neus-facto).
    """

    run: tyro.conf.Positional[Annotated[Path | None, shown("RUN", "")]] = None
    """Run folder, or the config.yml in it."""
    load_config: Annotated[Path | None, shown("PATH", "")] = None
    """The run, under the name that nerfstudio's commands use."""
    output: Annotated[Path | None, shown("PATH", "mesh.ply in the run folder")] = None
    """Mesh file, .ply, .obj, .glb or .stl; a description goes beside it as <name>.json."""
    turntable: Annotated[Path | None, shown("PATH", "no video")] = None
    """Also render the mesh turning around, as an .mp4 video."""
    data: Annotated[Path | None, shown("PATH", "where the run was trained from")] = None
    """Where the dataset is now; its poses define the frame."""
    device: Annotated[str | None, shown("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace existing files."""


def find_config(options: MeshOptions) -> Path:
    """The run's config.yml.

    Raises:
        InputError: no path, two paths, a path that does not exist, or a folder without config.yml.
    """
    given = [path for path in (options.run, options.load_config) if path is not None]
    if len(given) != 1:
        raise InputError("Give one run: a run folder or its config.yml, either alone or as --load-config.")
    path = given[0]
    problem = files.why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"{files.shown(path)} {problem}; give a run folder that ns-train wrote, or its config.yml.")
    config = path / "config.yml" if path.is_dir() else path
    if not config.is_file():
        raise InputError(
            f"{path} has no config.yml; give a run folder that ns-train wrote (outputs/<name>/<method>/<time>)."
        )
    return config


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
