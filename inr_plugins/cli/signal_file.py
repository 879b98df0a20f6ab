"""inr-signal: a fitted image or video read out of its run, at any resolution, as a file."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.result import output_for_result, print_places
from inr_plugins.cli.runs import given_runs
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.errors import InputError
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.progress import progress

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run


_RATE = 25.0
"""Frames a second of a video that does not say how many it has."""


@dataclass(frozen=True, kw_only=True)
class SignalOptions(CommonOptions):
    """Read a fitted image or video out of a run of a method of images or videos, in the bits of its own file.

    Between the pixels of that file diner's network outputs are interpolated, so that a larger image is a smooth one and
    shows no more than the file did. The file itself is not needed, except for runs of an older version.

    A video becomes an .mp4 (H.264, of which a little is lost), an .mkv (FFV1, of which nothing is), or a folder of PNG
    frames; one frame of it can be an image.

    Example: inr-signal RUN out.png --scale 2 --region 100 50 64 64
    """

    GROUPS: ClassVar[Groups] = {
        "image": "scale region frames part fps",
        "run": "data device",
        "output": "overwrite",
    }

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or the config.yml in it."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Image to write: .png, .tif, .jpg or .npy, of floating-point numbers .tif, .exr or .npy, of many channels .tif or
    .npy; of a video .mp4, .mkv or a folder; of what was measured also .npy, numbers in their unit with <name>.json
    beside them, and NIfTI, .nii or .nii.gz."""
    scale: float = 1.0
    """Pixels of the output along one pixel of the image; a smaller image is sampled, not averaged."""
    region: Annotated[tuple[int, int, int, int] | None, told("LEFT TOP WIDTH HEIGHT", "all of the image")] = None
    """Part of the image that is read out, in its pixels."""
    frames: Annotated[str | None, told("A:B", "all of the video")] = None
    """Frames of a video that are read out, from 0, without frame B; A alone is one. With an s they are seconds, as in
    1.5s:2s, of a video file's own rate."""
    part: Annotated[str | None, told("NAME", "the first; of channels all")] = None
    """Which part is read out of what has several: amplitude or phase; index or absorption; background, foreground or
    mask of a nid-video; of an image of many channels one of them, such as "channel 5", or "first three" as colours."""
    fps: Annotated[float | None, told("FPS", "the video's own, or 25")] = None
    """Frames a second of the video file that is written."""
    data: Annotated[Path | None, told("PATH", "where the run was trained from")] = None
    """Where the image or the video is now."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace an existing file, or a folder in which there are only frames."""


def export(options: SignalOptions, *, load: Callable[..., Run] | None, outputs: OutputFiles) -> None:
    """Read out what the command line asks for.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-signal"])
    config, output = find_config(*given_runs([options.run], None)), options.output
    from inr_plugins.data.signals.medical_file import is_nifti
    from inr_plugins.data.signals.video_output import is_video_output
    from inr_plugins.models.signals.base import ImageModel
    from inr_plugins.models.signals.readout import find_frames, find_part, find_region, output_size
    from inr_plugins.signal_grid import views_of

    # The place, before a run is opened.
    check_place(output)
    _check_output(options, None)
    if load is None:
        from inr_plugins.engine.runs.run import load_run

        load = load_run
    begin = time.perf_counter()
    with output_for_result(quiet=options.quiet):
        opened = load(config, device=options.device, data=options.data)
    model = opened.pipeline.model
    if not isinstance(model, ImageModel):
        raise InputError(
            f"The run {config.parent} is of a method that learns no image: give one of an -image or a -video method."
        )
    if model.bands and options.part is not None:
        views = views_of(model.bands)
        model.read_bands = views[tuple(views)[find_part(tuple(views), options.part)]]
    elif not model.bands:
        model.show_part(find_part(model.parts, options.part))
    is_numbers = _is_array(output) and model.spacing_mm is not None
    if is_nifti(output) and not is_numbers:
        raise InputError(
            f"{output} is an array with a unit and a spacing, and what this run has learnt has neither: give a .tif."
        )
    _check_output(options, model)
    manager: Any = opened.pipeline.datamanager
    kind = manager.dataparser.kind
    region, frames = find_region(model.grid, options.region), find_frames(model.grid, options.frames, rate=kind.rate)
    model.look_beside(manager)
    is_video = is_video_output(output)
    if is_video and not model.grid.is_video:
        raise InputError(f"This run has learnt an image, and {output} is to be a video: give a .png, .tif or .jpg.")
    if not is_video and len(frames) > 1 and not is_numbers:
        others = "an .mp4, an .mkv or a folder" if model.spacing_mm is None else "an .npy or a .nii.gz"
        raise InputError(
            f"This run has learnt {model.grid.frames} {model.frame_noun}s, and {output} is to be one image: give "
            f"--frames and the number of one, or {others}."
        )
    outputs.expect(_files_of(output, is_numbers=is_numbers))
    write = _write_array if is_numbers else _write_video if is_video else _write_image
    write(options, model, kind=kind, region=region, frames=frames)
    if options.quiet:
        print_places(output)
        return
    width, height = output_size(region, options.scale)
    bits = 8 if output.suffix.lower() == ".mp4" else model.bits
    what = f"{width} x {height} pixels, {model.shown_channels} x {bits} bits"
    if is_video:
        lost = ", H.264, of which a little is lost" if output.suffix.lower() == ".mp4" else ""
        print(f"  video  {output}, {len(frames)} frame{'s' if len(frames) > 1 else ''} of {what}{lost}")
    else:
        if is_numbers:
            slices = f"{len(frames)} slices of " if len(frames) > 1 else ""
            unit = "without a unit" if model.unit == "1" else f"in {model.unit}"
            what = f"{slices}{width} x {height} numbers {unit}"
        if model.spacing_mm is not None:
            what += f", {_distances(model, _spacing(model, region, (height, width)), slices=len(frames))}"
        print(f"  image  {output}, {what}")
    print(f"seconds  {time.perf_counter() - begin:.1f}")
    print(f"   next  inr-eval {shlex.quote(str(config.parent))}")


def _check_output(options: SignalOptions, model: Any) -> None:
    """Refuse a place that is taken, or a name that cannot be written to; of an opened model, or of none yet."""
    from inr_plugins.data.signals.image_output import check_image_output
    from inr_plugins.data.signals.medical_file import check_can_write, is_nifti
    from inr_plugins.data.signals.video_output import check_video_output, is_taken, is_video_output

    output, bits, channels = options.output, None, 1
    if model is not None:
        bits, channels = model.bits, model.shown_channels
    is_measured = model is not None and model.spacing_mm is not None
    if is_video_output(output):
        check_video_output(output, bits=bits or 8, channels=channels)
        if is_taken(output) and not options.overwrite:
            raise InputError(f"{output} exists: give another name, or --overwrite.")
        return
    if options.fps is not None:
        raise InputError(f"--fps is for videos, and {output} is an image: leave it out.")
    for each in _files_of(output, is_numbers=is_measured):
        if each.exists() and not options.overwrite:
            raise InputError(f"{each} exists: give another name, or --overwrite.")
    if is_nifti(output):
        check_can_write(output)
    elif not (_is_array(output) and is_measured):
        others = ", of a video .mkv or .mp4, or a folder"
        has_bands = model is not None and model.reads_bands
        some = ", or --part and what of them is to be seen"
        form: dict[str, Any] = {"has_bands": has_bands, "of_others": others, "or_some": some}
        check_image_output(output, bits=bits, channels=channels, **form)


def _is_array(output: Path) -> bool:
    """Whether it is of numbers in their unit, not of an image's."""
    from inr_plugins.data.signals.image_output import ARRAY_ENDING
    from inr_plugins.data.signals.medical_file import is_nifti

    return output.suffix.lower() == ARRAY_ENDING or is_nifti(output)


def _files_of(output: Path, *, is_numbers: bool) -> list[Path]:
    """What is written: beside the .npy of what was measured, which says neither unit nor spacing, a file that does."""
    from inr_plugins.data.signals.image_output import ARRAY_ENDING, array_sidecar

    has_sidecar = is_numbers and output.suffix.lower() == ARRAY_ENDING
    return [output, array_sidecar(output)] if has_sidecar else [output]


def _write_image(options: SignalOptions, model: Any, *, kind: Any, region: Any, frames: range) -> None:
    from inr_plugins.data.signals import rows_output
    from inr_plugins.data.signals.image_output import write_image
    from inr_plugins.models.signals.readout import output_size, output_type, read_out, read_out_rows

    size, channels, dtype = output_size(region, options.scale), model.shown_channels, output_type(model)
    has_bands = model.reads_bands
    is_large = size[0] * size[1] * channels * dtype.itemsize > rows_output.LARGE
    with progress(quiet=options.quiet) as bar:
        asked: Any = {"scale": options.scale, "region": region, "frame": frames.start}
        asked["on_rows"] = lambda done, total: bar("Reading out", done, total)
        if is_large and model.spacing_mm is None and rows_output.can_write_rows(options.output):
            rows, form = read_out_rows(model, **asked), {"profile": kind.icc_profile, "has_bands": has_bands}
            rows_output.write_rows(options.output, rows, size=size, channels=channels, dtype=dtype, **form)
            return
        pixels = read_out(model, **asked)
    spacing = None if model.spacing_mm is None else _spacing(model, region, pixels.shape)
    planes = {"has_bands": has_bands, "is_planar": has_bands and kind.is_planar}
    write_image(options.output, pixels, profile=kind.icc_profile, spacing_mm=spacing, **planes)


def _write_array(options: SignalOptions, model: Any, *, kind: Any, region: Any, frames: range) -> None:
    """Of an image, or of the slices of a volume."""
    import numpy as np

    from inr_plugins.data.signals.image_output import write_array
    from inr_plugins.data.signals.medical_file import is_nifti, write_nifti, written_affine
    from inr_plugins.models.signals.readout import read_out

    found = []
    with progress(quiet=options.quiet) as bar:
        for done, frame in enumerate(frames, 1):
            pixels = read_out(model, scale=options.scale, region=region, frame=frame, unit_span=model.unit_span)
            found.append(pixels[..., 0])
            bar("Reading out", done, len(frames))
    spacing: tuple[float, ...] = _spacing(model, region, found[0].shape)
    numbers = found[0]
    if len(found) > 1:
        numbers, spacing = np.stack(found), (model.slice_mm, *spacing)
    if not is_nifti(options.output):
        write_array(options.output, numbers, unit=model.unit, spacing_mm=spacing)
        return
    height, width = found[0].shape
    across, down = region.width / width, region.height / height
    first = (region.left + (across - 1) / 2, region.top + (down - 1) / 2, float(frames.start))
    whole = model.spacing_mm if model.slice_mm is None else (model.slice_mm, *model.spacing_mm)
    affine = written_affine(model.affine, whole, first=first, step=(across, down, 1.0))
    write_nifti(options.output, numbers, affine=affine, unit=model.unit)


def _spacing(model: Any, region: Any, shape: Sequence[int]) -> tuple[float, float]:
    """Distance of the rows and of the columns of what is written, mm."""
    (rows, columns), (height, width) = model.spacing_mm, shape[:2]
    return rows * region.height / height, columns * region.width / width


def _distances(model: Any, spacing: tuple[float, float], *, slices: int) -> str:
    """Of what is written, in words: of its pixels, and of slices where there are several."""
    of_pixels = f"{' and '.join(dict.fromkeys(f'{each:.6g}' for each in spacing))} mm apart"
    return of_pixels if slices < 2 or model.slice_mm is None else f"{of_pixels}, slices {model.slice_mm:.6g} mm"


def _write_video(options: SignalOptions, model: Any, *, kind: Any, region: Any, frames: range) -> None:
    from inr_plugins.data.signals.video_output import write_video
    from inr_plugins.models.signals.readout import read_out_frames

    with progress(quiet=options.quiet) as bar:
        read = read_out_frames(
            model,
            frames,
            scale=options.scale,
            region=region,
            on_frame=lambda done, total: bar("Reading out frames", done, total),
        )
        write_video(options.output, read, rate=options.fps or kind.rate or _RATE, first=frames.start)


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Run] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(SignalOptions, prog="inr-signal", args=arguments), OutputFiles()
    return run_command(
        "inr-signal",
        lambda: export(options, load=load, outputs=outputs),
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="give a lower --scale, or a --region",
    )


def entrypoint() -> None:
    """The inr-signal command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
