"""inr-photos: from photographs or a video to a dataset with poses."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.result import print_places
from inr_plugins.engine.host.ffmpeg import ensure_ffmpeg_somewhere
from inr_plugins.photos.make import MadeDataset, make_dataset
from inr_plugins.photos.options import PhotoOptions
from inr_plugins.progress import progress

_DESCRIPTION = (
    "Find out where photographs were taken from, and write them as a dataset that `ns-train METHOD --data OUTPUT` "
    "reads: undistorted images, poses, and points of the scene, z up, with a report on what was found.\n\n"
    "Poses are found by COLMAP (pycolmap, the extra photos of this package), on the CPU: features, comparison, "
    "mapping. What is done is kept, and the same command goes on where one was stopped. Good photographs are sharp, "
    "overlap by half, and go around the thing in small steps, 20 and more of them; what moves, mirrors, and walls of "
    "one colour hold on to nothing.\n\nExample: inr-photos photos data/mine"
)
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Arguments(PhotoOptions, CommonOptions):
    """The command line."""

    GROUPS: ClassVar[Groups] = {
        "photo": "masks max_size frames",
        "pose": "cameras matching max_features at_least seed colmap",
        "frame": "known_length up",
        "output": "overwrite",
    }

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SOURCE")]
    """A folder of photographs, or a video."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT")]
    """Folder for the dataset. It holds a transforms.json when it is complete."""
    overwrite: bool = False
    """Begin anew, or write anew, where OUTPUT was made of other photos or with other options; what is there stays until
    the new dataset is complete."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    given = parse(Arguments, prog="inr-photos", description=_DESCRIPTION, args=arguments)

    def work() -> None:
        made = _make(given)
        if given.quiet:
            print_places(made.folder)
            for note in _notes(made.report):
                print(f"inr-photos: {note}", file=sys.stderr)
        else:
            _summarise(made)

    return run_command(
        "inr-photos",
        work,
        when_stopped=lambda: f"what is done is kept in {given.output}, and the same command goes on there.",
        with_less_memory="give a lower --max-size or --max-features",
    )


def _make(given: Arguments) -> MadeDataset:
    """Make the dataset while its progress is shown."""
    options = PhotoOptions(**{each.name: getattr(given, each.name) for each in fields(PhotoOptions)})
    with progress(quiet=given.quiet) as bar:
        return make_dataset(
            given.source,
            given.output,
            options=options,
            overwrite=given.overwrite,
            tell=bar,
            ffmpeg=ensure_ffmpeg_somewhere,
        )


def _summarise(made: MadeDataset) -> None:
    report = made.report
    registered, count = report["registered"], report["photos"]
    print(f"dataset  {made.folder}{', which was complete already' if made.was_there else ''}")
    print(
        f" photos  {registered} of {count} have a place; {report['points']:,} points, "
        f"{report['reprojection_error_pixels']:.2f} pixels off on average"
    )
    for lens in report["lenses"]:
        print(f"   lens  {_lens(lens)}")
    print(f"     up  {_up(report['up'])}")
    print(f"  scale  {_scale(report)}")
    for note in _notes(report):
        print(f"   note  {note}")
    print(f"seconds  {report['seconds']}")
    data = shlex.quote(str(made.folder))
    print(f"   next  ns-train diner --data {data}, for pictures; ns-train diner-surface --data {data}, for a mesh")


def _lens(lens: dict[str, Any]) -> str:
    name = lens["camera"] or "a camera without a name"
    by_exif = "" if lens["focal_by_exif"] is None else f" (EXIF: {lens['focal_by_exif']:.0f})"
    found = "without a place" if lens["focal"] is None else f"focal length {lens['focal']:.0f} pixels{by_exif}"
    return f"{name}, {lens['photos']} photos of {lens['size'][0]} x {lens['size'][1]}: {found}"


def _up(up: dict[str, Any]) -> str:
    how = {
        "level": "z, by the cameras, which are held level",
        "mean": "z, by the mean of the cameras",
        "given": "z, as given; by it the cameras are held level",
    }
    return f"{how[up['means']]} to {up['tilt_degrees']:.1f} degrees"


def _scale(report: dict[str, Any]) -> str:
    length = report["known_length"]
    if length is None:
        return f"unknown: {report['units']}; give --known-length A B METRES for metres"
    return f"metres, by {length['metres']:g} m from {length['ends'][0]} to {length['ends'][1]}"


def _notes(report: dict[str, Any]) -> list[str]:
    """Sentences on photos without a place, and on what may not be as it is wanted."""
    without = report["not_registered"]
    notes = [f"{each['photo']} {each['why']}." for each in without[:_SHOWN]]
    if len(without) > _SHOWN:
        notes.append(f"{len(without) - _SHOWN} more photos have no place; report.json says why.")
    return [*notes, *report["notes"]]


def entrypoint() -> None:
    """The inr-photos command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
