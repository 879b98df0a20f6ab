"""inr-scene: a multi-view dataset with ground truth, from a mesh file or a built-in object."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.result import print_places
from inr_plugins.progress import progress
from inr_plugins.scenes.make import MadeScene, SceneOptions, make_scene
from inr_plugins.scenes.objects.catalogue import BUILTIN_OBJECTS

_DESCRIPTION = (
    "Make a multi-view dataset from a mesh file or a built-in object: pictures with transparent background, camera "
    "poses that nerfstudio's blender-data reads, depth, normals, masks and the mesh itself, all in one frame. "
    "Needs no GPU and no display.\n\nBuilt-in objects: "
    + "; ".join(f"{name}, {what}" for name, what in BUILTIN_OBJECTS.items())
    + ".\n\nExample: inr-scene windmill data/windmill"
)


@dataclass(frozen=True, kw_only=True)
class Arguments(SceneOptions, CommonOptions):
    """The command line."""

    GROUPS: ClassVar[Groups] = {
        "picture": "resolution samples background smooth_angle",
        "view": "num_train num_val num_test coverage radius fov seed",
        "object": "object_radius up",
        "output": "overwrite",
    }

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    """A mesh file (ply, obj, stl, off, glb, gltf), or the name of a built-in object."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT")]
    """Folder to write the dataset to. It appears when it is complete."""
    overwrite: bool = False
    """Replace the scene in the output folder, once the new one is complete."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    given = parse(Arguments, prog="inr-scene", description=_DESCRIPTION, args=arguments)

    def work() -> None:
        begin = time.perf_counter()
        made = _make(given)
        if given.quiet:
            print_places(made.folder)
            for note in _notes(made):
                print(f"inr-scene: {note}", file=sys.stderr)
        else:
            _summarise(made, seconds=time.perf_counter() - begin)

    return run_command("inr-scene", work, with_less_memory="give a lower --resolution or fewer --samples")


def _make(given: Arguments) -> MadeScene:
    """Make the scene while its progress is shown."""
    with progress(quiet=given.quiet) as bar:
        return make_scene(
            given.source,
            given.output,
            options=_options(given),
            overwrite=given.overwrite,
            on_progress=lambda done, total: bar("Rendering the views", done, total),
        )


def _options(given: Arguments) -> SceneOptions:
    return SceneOptions(**{each.name: getattr(given, each.name) for each in fields(SceneOptions)})


def _summarise(made: MadeScene, *, seconds: float) -> None:
    views = ", ".join(f"{count} {split}" for split, count in made.views.items())
    print(f"  scene  {made.folder}")
    print(f"  views  {views}")
    print(f"   mesh  {made.folder / 'mesh.ply'}, {made.faces:,} faces")
    print(f"seconds  {seconds:.1f}")
    for note in _notes(made):
        print(f"   note  {note}")
    print(f"   next  ns-train diner --data {shlex.quote(str(made.folder))}")


def _notes(made: MadeScene) -> list[str]:
    """Sentences on what may not be as it is wanted."""
    notes = [f"{note[:1].upper()}{note[1:]}." for note in made.notes]
    if made.cropped:
        notes.append("The object is larger than the picture; raise --fov or --radius to see all of it.")
    return notes


def entrypoint() -> None:
    """The inr-scene command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
