"""inr-mesh of several runs, or of all shapes of a run: one that fails does not cost the others theirs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_plugins.cli.ending import describe, keep_traceback
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.mesh_make import make_mesh, open_run
from inr_plugins.cli.mesh_options import MeshOptions
from inr_plugins.cli.mesh_targets import ALL, check_targets, targets_of
from inr_plugins.cli.result import print_places
from inr_plugins.errors import InputError, first_line, is_out_of_memory
from inr_plugins.evaluation.failures import free_memory
from inr_plugins.evaluation.runs import check_run
from inr_plugins.meshing.shapes import HoldsShapes, find_shape

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run


def make_several(
    options: MeshOptions, configs: Sequence[Path], *, load: Callable[..., Run] | None, outputs: OutputFiles
) -> int:
    """Make the meshes one after the other and print a row of each; 1 if any could not be made, else 0.

    Raises:
        InputError: a run cannot be read, has no checkpoint or no data, which is seen before the first is opened.
    """
    if load is None:
        for config in configs:
            check_run(config, data=options.data)
    failed = 0
    for config in configs:
        for outcome in _outcomes(options, config, configs, load=load, outputs=outputs):
            failed += outcome.reason is not None
            _tell(outcome, quiet=options.quiet)
        # Of a run that failed for want of it, now that its error and all that this held are gone.
        free_memory()
    return 1 if failed else 0


@dataclass(frozen=True)
class Outcome:
    """What came of one mesh.

    Attributes:
        name: of the run and the shape.
        files: that were written.
        row: what the mesh is like, in words.
        reason: why there is none.
    """

    name: str
    files: tuple[Path, ...] = ()
    row: str = ""
    reason: str | None = None


def _tell(outcome: Outcome, *, quiet: bool) -> None:
    """Print the row of a mesh, or why there is none."""
    if not quiet:
        print(f"  failed  {outcome.name}" if outcome.reason is not None else f"    mesh  {outcome.row}", flush=True)
    else:
        print_places(*outcome.files)
    if outcome.reason is not None:
        print(f"inr-mesh: {outcome.name}: {outcome.reason}", file=sys.stderr, flush=True)


def _outcomes(
    options: MeshOptions,
    config: Path,
    configs: Sequence[Path],
    *,
    load: Callable[..., Run] | None,
    outputs: OutputFiles,
) -> Iterator[Outcome]:
    """The meshes of one run, one after the other."""
    try:
        opened = open_run(config, options, load)
        targets = targets_of(options, config, configs, _shapes(opened.run, options))
        # Once its shapes are known, and before the first of them takes its time.
        check_targets(options, targets)
    except Exception as error:
        yield Outcome(str(config.parent), reason=_reason(error))
        return
    for target in targets:
        try:
            sidecar, files = make_mesh(opened, target, options, outputs=outputs)
        except Exception as error:
            yield Outcome(target.name, reason=_reason(error))
        else:
            yield Outcome(target.name, tuple(files.values()), _row(sidecar, files))


def _shapes(run: Run, options: MeshOptions) -> list[str | None]:
    """The shapes to extract, by name; None alone for the one that the run shows.

    Raises:
        InputError: all are wanted of a run of images.
    """
    if options.shape != ALL:
        return [options.shape]
    manager: Any = getattr(run.pipeline, "datamanager", None)
    if not isinstance(manager, HoldsShapes):
        find_shape(run, ALL)
    return list(manager.shape_names)


def _row(sidecar: dict[str, Any], files: dict[str, Path]) -> str:
    closed = "watertight" if sidecar["watertight"] else "not watertight"
    seconds = sum(sidecar["seconds"].values())
    size = f"{sidecar['vertices']:,} vertices, {sidecar['faces']:,} faces"
    return f"{' and '.join(map(str, files.values()))}: {size}, {closed}, {seconds:.1f} s"


def _reason(error: Exception) -> str:
    """Why there is no mesh, in a sentence."""
    if isinstance(error, InputError):
        return error.on_command_line
    if is_out_of_memory(error):
        return (
            f"There is not enough memory ({first_line(error)}): give a lower --resolution or --memory-gb, or "
            "--device cpu."
        )
    return f"It failed in a way that nobody has foreseen ({describe(error)}); {keep_traceback('inr-mesh', error)}."
