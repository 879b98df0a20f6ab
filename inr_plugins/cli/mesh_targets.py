"""Where inr-mesh writes each mesh: of one run, of several, of all shapes of a run, and of what is between two."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_io import WRITERS, check_output
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.meshing.video import check_video

if TYPE_CHECKING:
    from inr_plugins.cli.mesh_options import MeshOptions

ALL = "all"
"""The value of --shape that stands for all shapes of a run."""

# What a file's name ends with, and a folder's seldom does.
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,3}")


@dataclass(frozen=True)
class Target:
    """One mesh that is to be made.

    Attributes:
        config: config.yml of its run.
        shape: of a run of several shapes, which; None: the one that the run shows.
        blend: how far it is on its way to another, where one is given.
        output: the mesh file.
        turntable: its video, if one is wanted.
    """

    config: Path
    shape: str | None
    blend: float
    output: Path
    turntable: Path | None

    @property
    def name(self) -> str:
        """The run, and the shape where it is named."""
        run = str(self.config.parent)
        return run if self.shape is None else f"{run}, shape {self.shape}"


def makes_several(options: MeshOptions, configs: Sequence[Path]) -> bool:
    """Whether more than one mesh may come of the command line."""
    return len(configs) > 1 or options.shape == ALL or len(options.blend) > 1


def extension(options: MeshOptions) -> str:
    """Of meshes whose names are not given."""
    return f".{options.format or 'ply'}"


def the_only_target(options: MeshOptions, config: Path) -> Target:
    """The mesh of one run."""
    if options.output is None and options.towards is not None:
        return replace(targets_of(options, config, [config], [options.shape])[0], turntable=options.turntable)
    output = options.output or config.parent / f"mesh{extension(options)}"
    return Target(config, options.shape, options.blend[0], output, options.turntable)


def targets_of(
    options: MeshOptions, config: Path, configs: Sequence[Path], shapes: Sequence[str | None]
) -> list[Target]:
    """The meshes of one run of several, of all its shapes, or of several places between two.

    With --output they lie in that folder by the places of their runs below the folder that all runs are in. Without,
    each lies in its run folder: mesh.ply, or meshes/<shape>.ply, or meshes/<shape>-<second shape>-<blend>.ply.

    Args:
        options: what the command line said.
        config: config.yml of the run.
        configs: those of all runs.
        shapes: names of its shapes, or None alone.
    """
    found = []
    for shape, blend in itertools.product(shapes, options.blend):
        name = shape
        if options.towards is not None:
            name = "-".join([*([] if shape is None else [shape]), options.towards, f"{blend:g}"])
        beside = config.parent / ("mesh" if name is None else f"meshes/{name}")
        below = _below(config, configs) / (name or "") if len(configs) > 1 else Path(name or "mesh")
        output = beside if options.output is None else options.output / below
        video = None if options.turntable is None else _with(options.turntable / below, ".mp4")
        found.append(Target(config, shape, blend, _with(output, extension(options)), video))
    return found


def _below(config: Path, configs: Sequence[Path]) -> Path:
    """The run's folder as it is seen from the nearest folder that holds all runs' folders."""
    folders = [os.path.dirname(os.path.dirname(os.path.abspath(each))) for each in configs]
    return Path(os.path.relpath(os.path.dirname(os.path.abspath(config)), os.path.commonpath(folders)))


def _with(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def check_several(options: MeshOptions, configs: Sequence[Path]) -> None:
    """Refuse several meshes that could not be made or written, before the first run is opened.

    Raises:
        InputError: a run is named twice, a file is named where a folder is needed, or something cannot be written.
    """
    places = [os.path.realpath(each) for each in configs]
    for config, place in zip(configs, places, strict=True):
        if places.count(place) > 1:
            raise InputError(f"The run {config.parent} is named twice: name it once.")
    for option, folder in (("--output", options.output), ("--turntable", options.turntable)):
        if folder is None:
            continue
        if folder.is_file() or (_ENDING.fullmatch(folder.suffix) and not folder.is_dir()):
            raise InputError(
                f"{option} {folder} is one file, and there may be several meshes: give a folder, and --format for "
                "another kind of file than .ply."
            )
        check_place(folder / "mesh")
    if options.shape != ALL:
        for config in configs:
            check_targets(options, targets_of(options, config, configs, [options.shape]))


def check_targets(options: MeshOptions, targets: Sequence[Target]) -> None:
    """Refuse files that could not be written.

    Raises:
        InputError: one is there already without --overwrite, or its place takes none.
    """
    for target in targets:
        check_output(target.output, overwrite=options.overwrite)
        if target.turntable is not None:
            check_video(target.turntable, overwrite=options.overwrite)


def check_format(options: MeshOptions, output: Path | None) -> None:
    """Refuse an --output and a --format, or a texture and a format, that do not go together.

    Args:
        options: what the command line said.
        output: the mesh file, where there is only one.

    Raises:
        InputError: naming both.
    """
    ending = extension(options) if output is None else output.suffix.lower()
    if output is not None and options.format is not None and ending in WRITERS and ending != extension(options):
        raise InputError(f"--output {output} is no .{options.format} file: leave --format out.")
    if options.texture is not None and ending != ".glb":
        raise InputError(f"--texture needs a .glb file, not {ending or 'one without extension'}: give --format glb.")
