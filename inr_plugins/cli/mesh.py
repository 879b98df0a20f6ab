"""inr-mesh: the surface of a trained field as a coloured mesh in the dataset's own frame and units."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume, surface_area, transform_mesh
from inr_plugins.geometry.mesh_io import check_output, write_mesh

if TYPE_CHECKING:
    from inr_plugins.cli.mesh_extraction import Extracted
    from inr_plugins.engine.run import Run


def _shown(metavar: str, default: str) -> Any:
    """How the help names an option's value and, where there is one, what stands in for a default of None."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})" if default else "")


@dataclass(frozen=True)
class MeshOptions:
    """Extract the surface of a trained run as a coloured mesh, in the frame and units of the input data."""

    run: tyro.conf.Positional[Annotated[Path | None, _shown("RUN", "")]] = None
    """Run folder, or the config.yml in it."""
    load_config: Annotated[Path | None, _shown("PATH", "")] = None
    """The run, under the name that nerfstudio's commands use."""
    output: Annotated[Path | None, _shown("PATH", "mesh.ply in the run folder")] = None
    """Mesh file, .ply, .obj or .glb; a description goes beside it as <name>.json."""
    resolution: int = 256
    """Samples along the longest side of the box."""
    level: Annotated[float | None, _shown("FLOAT", "0 for an SDF, 0.5 for an occupancy, for a density the model's")] = (
        None
    )
    """Value of the field on the surface, in the field's own units (normalised frame)."""
    frame: Literal["dataset", "normalised"] = "dataset"
    """Frame of the mesh: that of the input camera poses, or the one nerfstudio trains in."""
    aabb: Annotated[
        tuple[float, float, float, float, float, float] | None, _shown("X Y Z X Y Z", "all that the model holds")
    ] = None
    """Keep only this box: its lowest and its highest corner, in the dataset's frame."""
    min_component: Annotated[int | None, _shown("FACES", "a thousandth of the largest piece; 0 for an SDF")] = None
    """Drop connected pieces with fewer faces than this: the floaters of a density."""
    keep_largest: bool = False
    """Keep only the connected piece with the most faces."""
    max_faces: Annotated[int | None, _shown("FACES", "all")] = None
    """Thin the mesh out to at most this many faces."""
    closed: bool = True
    """Cap the mesh where the box cuts through something solid."""
    fill_cavities: Annotated[bool | None, _shown("{True,False}", "True, but for an SDF False")] = None
    """Leave out the inner walls of closed cavities: a density is hollow behind what the pictures show."""
    colour: bool = True
    """Colour the vertices, each as seen from straight outside."""
    memory_gb: float = 0.5
    """Memory that evaluating one chunk of points may take, beside the lattice itself (about 12 bytes a sample)."""
    data: Annotated[Path | None, _shown("PATH", "where the run was trained from")] = None
    """Where the dataset is now; its poses define the frame."""
    device: Annotated[str | None, _shown("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace an existing mesh file."""


def find_config(options: MeshOptions) -> Path:
    """The run's config.yml.

    Raises:
        InputError: no path, two paths, a path that does not exist, or a folder without config.yml.
    """
    given = [path for path in (options.run, options.load_config) if path is not None]
    if len(given) != 1:
        raise InputError("Give one run: a run folder or its config.yml, either alone or as --load-config.")
    path = given[0]
    if not path.exists():
        raise InputError(f"{path} does not exist; give a run folder that ns-train wrote, or its config.yml.")
    config = path / "config.yml" if path.is_dir() else path
    if not config.is_file():
        raise InputError(
            f"{path} has no config.yml; give a run folder that ns-train wrote (outputs/<name>/<method>/<time>)."
        )
    return config


def check_options(options: MeshOptions) -> None:
    """Refuse numbers that make no sense before anything is loaded.

    Raises:
        InputError: naming the option.
    """
    if options.resolution < 2:
        raise InputError(f"--resolution is {options.resolution}; it must be at least 2.")
    if not options.memory_gb > 0:
        raise InputError(f"--memory-gb is {options.memory_gb}; it must be above 0.")
    if options.min_component is not None and options.min_component < 0:
        raise InputError(f"--min-component is {options.min_component}; it must not be negative.")
    if options.max_faces is not None and options.max_faces < 4:
        raise InputError(f"--max-faces is {options.max_faces}; a closed mesh has at least 4 faces.")
    if options.level is not None and not np.isfinite(options.level):
        raise InputError(f"--level is {options.level}; it must be a number.")


def describe(
    found: Extracted,
    mesh: Mesh,
    run: Run,
    options: MeshOptions,
    *,
    to_normalised: Similarity,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The sidecar: everything needed to place the mesh, judge it and make it again."""
    low, high = mesh.bounds
    return {
        "made_by": f"inr-mesh {version('inr-plugins')}",
        "run": str(run.config_path),
        "step": int(run.step),
        "frame": options.frame,
        "units": "units of the input camera poses" if options.frame == "dataset" else "normalised units",
        "orientation": "faces and normals look outward; corners run anticlockwise seen from outside",
        "normalised_from_dataset": to_normalised.matrix.tolist(),
        "field": found.kind,
        "field_class": type(run.pipeline.model.field).__name__,
        "field_range": list(found.value_range),
        "level": found.level,
        "level_source": found.level_source,
        "resolution": options.resolution,
        "lattice_shape": list(found.lattice.shape),
        "lattice_spacing": found.lattice.spacing.tolist(),
        "box": found.lattice.box.tolist(),
        "box_frame": found.lattice_frame,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "cavity_samples_filled": found.filled,
        "components_dropped": found.dropped,
        "min_component": None if options.keep_largest else found.min_component,
        "bounds": [low.tolist(), high.tolist()],
        "area": surface_area(mesh),
        "volume": signed_volume(mesh),
        "watertight": is_watertight(mesh),
        "colours": None if mesh.colours is None else "the field's, along the inward normal",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def export(options: MeshOptions, *, load: Callable[..., Run] | None = None) -> dict[str, Any]:
    """Load the run, extract the mesh, write it and its sidecar; returns the sidecar.

    Args:
        options: what the command line said.
        load: in place of engine.run.load_run.

    Raises:
        InputError: anything the user can mend, in one sentence.
    """
    config = find_config(options)
    output = options.output or config.parent / "mesh.ply"
    check_options(options)
    check_output(output, overwrite=options.overwrite)
    if load is None:
        from inr_plugins.engine.run import load_run

        load = load_run
    from inr_plugins.cli.mesh_extraction import extract

    start = time.perf_counter()
    run = load(config, device=options.device, data=options.data)
    loaded = time.perf_counter()
    outputs = run.dataparser_outputs
    to_normalised = Similarity.from_dataparser(
        outputs.dataparser_transform.detach().cpu().double().numpy(), float(outputs.dataparser_scale)
    )
    with _progress() as bar:
        found = extract(run, options, to_normalised=to_normalised, bar=bar)
    mesh = found.mesh if options.frame == "normalised" else transform_mesh(found.mesh, to_normalised.inverse())
    extracted = time.perf_counter()
    seconds = {"load": loaded - start, "extract": extracted - loaded}
    sidecar = describe(found, mesh, run, options, to_normalised=to_normalised, seconds=seconds)
    try:
        write_mesh(mesh, output, sidecar=sidecar, overwrite=options.overwrite)
    except OSError as error:
        raise InputError(f"{output} could not be written ({error.strerror}); pass another --output.") from error
    _summarise(sidecar, output, seconds=time.perf_counter() - start)
    return sidecar


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, told (what is being done, points done, points in all)."""
    columns = (TextColumn("{task.description:<22}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def bar(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        yield bar


def _summarise(sidecar: dict[str, Any], output: Path, *, seconds: float) -> None:
    low, high = np.array(sidecar["bounds"])
    size = " x ".join(f"{side:.4g}" for side in high - low)
    lines = {
        "mesh": f"{sidecar['vertices']:,} vertices, {sidecar['faces']:,} faces, "
        f"{'watertight' if sidecar['watertight'] else 'not watertight'}"
        f"{'' if sidecar['colours'] else ', without colours'}",
        "size": f"{size} {sidecar['units']}",
        "surface": f"{sidecar['field']} = {sidecar['level']:.4g} ({sidecar['level_source']})",
        "dropped": f"{sidecar['components_dropped']} connected pieces",
        "file": str(output),
        "seconds": f"{seconds:.1f}",
    }
    for name, text in lines.items():
        if name != "dropped" or sidecar["components_dropped"]:
            print(f"{name:>8}  {text}")


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Run] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for a mistake the user can mend, 130 for Ctrl-C."""
    options = tyro.cli(MeshOptions, prog="inr-mesh", args=arguments)
    try:
        export(options, load=load)
    except InputError as error:
        print(f"inr-mesh: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("inr-mesh: stopped; nothing was written.", file=sys.stderr)
        return 130
    return 0


def entrypoint() -> None:
    """The inr-mesh command."""
    sys.exit(main())
