"""What inr-mesh can be told, and the checks that need nothing but the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.meshing.video import check_video
from inr_plugins.options import COMMANDS, check_numbers

_Box = tuple[float, float, float, float, float, float]


def _shown(metavar: str, default: str) -> Any:
    """How the help names an option's value and, where there is one, what stands in for a default of None."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})" if default else "")


@dataclass(frozen=True)
class MeshOptions:
    """Extract the surface of a trained run as a mesh, coloured where the field is, in the frame and units of the data.

    Takes runs of this package's methods and of nerfstudio's radiance fields (nerfacto, tensorf, vanilla-nerf, mipnerf)
    and SDF fields (neus, neus-facto).
    """

    run: tyro.conf.Positional[Annotated[Path | None, _shown("RUN", "")]] = None
    """Run folder, or the config.yml in it."""
    load_config: Annotated[Path | None, _shown("PATH", "")] = None
    """The run, under the name that nerfstudio's commands use."""
    output: Annotated[Path | None, _shown("PATH", "mesh.ply in the run folder")] = None
    """Mesh file, .ply, .obj, .glb or .stl; a description goes beside it as <name>.json."""
    shape: Annotated[str | None, _shown("NAME|NUMBER", "the first")] = None
    """Of a run of several shapes, the one to extract, by its name or number."""
    resolution: Annotated[int | None, _shown("SAMPLES", "256")] = None
    """Samples along the longest side of the box; cost grows with their square."""
    voxel_size: Annotated[float | None, _shown("FLOAT", "by --resolution")] = None
    """Distance between samples instead, in the dataset's units."""
    level: Annotated[float | None, _shown("FLOAT", "0 for an SDF, 0.5 for an occupancy, for a density the model's")] = (
        None
    )
    """Value of the field on the surface, in the field's own units (normalised frame)."""
    frame: Literal["dataset", "normalised"] = "dataset"
    """Frame of the mesh: that of the input camera poses, or the one nerfstudio trains in."""
    box: Annotated[_Box | None, _shown("X Y Z X Y Z", "around what the model holds")] = None
    """Look into exactly this box: its lowest and its highest corner, in the dataset's frame."""
    crop: Annotated[_Box | None, _shown("X Y Z X Y Z", "all")] = None
    """Keep only what lies in this box, in the dataset's frame; pieces side by side join at the same --voxel-size."""
    min_component: Annotated[int | None, _shown("FACES", "a thousandth of the largest piece; 0 for an SDF")] = None
    """Drop connected pieces with fewer faces than this: the floaters of a density."""
    keep_largest: bool = False
    """Keep only the connected piece with the most faces."""
    drop_unseen: bool = False
    """Drop the faces that no training camera sees: the underside of a table, the inner walls of a hollow density."""
    trim_to_points: Annotated[float | Literal["auto"] | None, _shown("DISTANCE|auto", "keep all")] = None
    """For a run on a cloud of points: cut off what is farther from all of them than this, in the units of their file.
    Auto: a few times the distance between the points."""
    max_faces: Annotated[int | None, _shown("FACES", "all")] = None
    """Thin the mesh out to at most this many faces."""
    closed: bool = True
    """Cap the mesh where the box cuts through something solid."""
    fill_cavities: Annotated[bool | None, _shown("{True,False}", "True for a density, else False")] = None
    """Leave out the inner walls of closed cavities: a density is hollow behind what the pictures show."""
    colour: Literal["normal", "views", "none"] = "normal"
    """Colour of each vertex: as seen from straight outside, or the mean over the training views that see it."""
    texture: Annotated[int | None, _shown("PIXELS", "no texture")] = None
    """Bake the colours into a square texture with sides of so many pixels; for .glb."""
    turntable: Annotated[Path | None, _shown("PATH", "no video")] = None
    """Also render the mesh turning around, as an .mp4 video."""
    dense: bool = False
    """Evaluate the whole lattice, not only near the surface: slow, for comparison."""
    memory_gb: float = 2.0
    """Memory that evaluating the field may take, beside the mesh."""
    data: Annotated[Path | None, _shown("PATH", "where the run was trained from")] = None
    """Where the dataset is now; its poses define the frame."""
    device: Annotated[str | None, _shown("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace existing files."""


DEFAULT_RESOLUTION = 256


def find_config(options: MeshOptions) -> Path:
    """The run's config.yml.

    Raises:
        InputError: no path, two paths, a path that does not exist, or a folder without config.yml.
    """
    given = [path for path in (options.run, options.load_config) if path is not None]
    if len(given) != 1:
        raise InputError("Give one run: a run folder or its config.yml, either alone or as --load-config.")
    path = given[0]
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"{shown(path)} {problem}; give a run folder that ns-train wrote, or its config.yml.")
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
    if options.resolution is not None and options.voxel_size is not None:
        raise InputError("Give --resolution or --voxel-size, not both.")
    check_numbers(options, COMMANDS["inr-mesh"])
    if options.texture is not None:
        if output.suffix.lower() != ".glb":
            raise InputError(f"--texture needs a .glb file, not {output.name}; pass --output mesh.glb.")
        if options.colour != "normal":
            raise InputError(f"--texture bakes the colour seen from straight outside, not --colour {options.colour}.")
    if options.turntable is not None:
        check_video(options.turntable, overwrite=options.overwrite)
